import pytest

from ringfence.reference.istio_paths import normalised


@pytest.mark.parametrize(
    ("path", "none", "base", "merged", "decoded"),
    [
        ("/a?b=/c", "/a", "/a", "/a", "/a"),
        ("/a#b", "/a", "/a", "/a", "/a"),
        ("//a", "//a", "//a", "/a", "/a"),
        ("/a/./b", "/a/./b", "/a/b", "/a/b", "/a/b"),
        ("/a/../b", "/a/../b", "/b", "/b", "/b"),
        ("/a/..", "/a/..", "/", "/", "/"),
        ("/a/.", "/a/.", "/a/", "/a/", "/a/"),
        ("/../a", "/../a", "/a", "/a", "/a"),
        ("/a/b/", "/a/b/", "/a/b/", "/a/b/", "/a/b/"),
        ("/%61", "/%61", "/a", "/a", "/a"),
        ("/%2561", "/%2561", "/%2561", "/%2561", "/%2561"),
        ("/a/%2e%2E/b", "/a/%2e%2E/b", "/b", "/b", "/b"),
        ("/%2fa", "/%2fa", "/%2fa", "/%2fa", "/a"),
        ("/a%5Cb", "/a%5Cb", "/a%5Cb", "/a%5Cb", "/a/b"),
        ("/a\\b", "/a\\b", "/a/b", "/a/b", "/a/b"),
        ("/x%2f../a", "/x%2f../a", "/x%2f../a", "/x%2f../a", "/a"),
    ],
)
def test_normalisation(path: str, none: str, base: str, merged: str, decoded: str) -> None:
    found = [
        normalised(path, how)
        for how in ("NONE", "BASE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES")
    ]
    assert found == [none, base, merged, decoded]
