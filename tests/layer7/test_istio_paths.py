"""Paths as Istio's proxies compare them, setting by setting."""

import pytest

from ringfence.layer7.istio_paths import normalised


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/a?b", "/a"),
        ("/a#b", "/a"),
        ("/%61", "/a"),
        ("/%2D%7e", "/-~"),
        ("/%2f%5c", "/%2f%5c"),
        ("/a%20b", "/a%20b"),
        ("/a\\b", "/a/b"),
        ("//a", "//a"),
        ("/a/./b", "/a/b"),
        ("/a/../b", "/b"),
        ("/a/..", "/"),
        ("/a/.", "/a/"),
        ("/../a", "/a"),
        ("/%2e%2e/a", "/a"),
        ("/", "/"),
    ],
)
def test_by_default_it_is_resolved_and_slashes_are_kept(path: str, expected: str) -> None:
    assert normalised(path, "BASE") == expected


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("NONE", "//%61/%2fb\\c/../d"),
        ("BASE", "//a/%2fb/d"),
        ("MERGE_SLASHES", "/a/%2fb/d"),
        ("DECODE_AND_MERGE_SLASHES", "/a/b/d"),
    ],
)
def test_each_setting_does_more_than_the_one_before(setting: str, expected: str) -> None:
    assert normalised("//%61/%2fb\\c/../d?q", setting) == expected
