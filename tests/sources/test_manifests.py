"""Files, directories and standard input, with whatever may be wrong with them."""

import io
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.errors import InputError
from ringfence.model.reading import Reading
from ringfence.sources import manifests

SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: %s}\n"
POLICY = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: db
  namespace: shop
spec:
  podSelector: {}
  ingress:
  - from: []
"""
ONLINE_BOUTIQUE = Path("../shared/vectors/online-boutique")


def put(path: Path, content: str | bytes) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def piped(content: str | bytes) -> Reading:
    data = content if isinstance(content, bytes) else content.encode()
    return manifests.read(["-"], io.BytesIO(data))


def names(reading: Reading) -> list[str]:
    return [document.name for document in reading.documents]


def test_a_directory_is_read_in_the_order_of_its_names(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.yml", "c/d/e.json", "c-x.yaml", "a/z.yaml"):
        put(tmp_path / name, SERVICE % name.replace("/", "-"))
    put(tmp_path / "readme.txt", "no: [")
    put(tmp_path / ".git/config.yaml", "no: [")
    put(tmp_path / "c/.hidden/x.yaml", "no: [")
    put(tmp_path / ".visible.yaml", SERVICE % "hidden-file")
    reading = manifests.read([str(tmp_path)])
    assert names(reading) == [
        "hidden-file",
        "a-z.yaml",
        "a.yml",
        "b.yaml",
        "c-d-e.json",
        "c-x.yaml",
    ]
    assert reading.problems == ()
    assert reading.source == str(tmp_path)
    assert reading.documents[4].file == str(tmp_path / "c/d/e.json")


def test_inputs_are_read_in_their_order_and_each_file_once(tmp_path: Path) -> None:
    one = put(tmp_path / "d/one.yaml", SERVICE % "one")
    two = put(tmp_path / "two.yaml", SERVICE % "two")
    paths = [two, "-", str(tmp_path / "d"), one, str(tmp_path / "d"), two]
    reading = manifests.read(paths, io.BytesIO((SERVICE % "piped").encode()))
    assert names(reading) == ["two", "piped", "one"]
    assert [document.file for document in reading.documents] == [two, "-", one]
    assert reading.problems == ()
    assert reading.source == ", ".join(paths)


def test_symbolic_links_may_loop(tmp_path: Path) -> None:
    put(tmp_path / "d/a.yaml", SERVICE % "a")
    (tmp_path / "d/loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "d/z.yaml").symlink_to(tmp_path / "d/a.yaml")
    (tmp_path / "self").symlink_to(tmp_path / "self")
    reading = manifests.read([str(tmp_path)])
    assert names(reading) == ["a"]
    assert reading.problems == ()


def test_a_mounted_config_map_is_read_once(tmp_path: Path) -> None:
    put(tmp_path / "..2026_01/a.yaml", SERVICE % "a")
    (tmp_path / "..data").symlink_to("..2026_01")
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")
    assert names(manifests.read([str(tmp_path)])) == ["a"]


def test_a_link_to_nowhere_is_told(tmp_path: Path) -> None:
    put(tmp_path / "a.yaml", SERVICE % "a")
    (tmp_path / "b.yaml").symlink_to("gone")
    (tmp_path / "c.yaml").symlink_to("c.yaml")
    reading = manifests.read([str(tmp_path)])
    assert names(reading) == ["a"]
    assert [(p.location.file, p.severity) for p in reading.problems] == [
        (str(tmp_path / "b.yaml"), "error"),
        (str(tmp_path / "c.yaml"), "error"),
    ]


def test_an_empty_directory_is_told(tmp_path: Path) -> None:
    (problem,) = manifests.read([str(tmp_path)]).problems
    assert problem.severity == "warning"
    assert str(problem) == (
        f"{tmp_path}: no manifests in this directory (`*.json`, `*.yaml`, `*.yml`)"
    )


def test_charts_and_values_in_a_directory_are_warnings(tmp_path: Path) -> None:
    put(tmp_path / "Chart.yaml", "apiVersion: v2\nname: x\n")
    put(tmp_path / "values.yaml", "\nreplicas: 1\n")
    put(tmp_path / "kustomization.yaml", "resources: [a.yaml]\n")
    put(tmp_path / "ok.yaml", SERVICE % "a")
    reading = manifests.read([str(tmp_path)])
    assert names(reading) == ["a"]
    assert [
        (p.severity, Path(p.location.file).name, p.location.line) for p in reading.problems
    ] == [
        ("warning", "Chart.yaml", 1),
        ("warning", "kustomization.yaml", 1),
        ("warning", "values.yaml", 2),
    ]
    (problem,) = manifests.read([str(tmp_path / "values.yaml")]).problems
    assert problem.severity == "error"


def test_a_missing_path_is_an_error_beside_others_and_the_end_alone(tmp_path: Path) -> None:
    gone = str(tmp_path / "gone.yaml")
    there = put(tmp_path / "a.yaml", SERVICE % "a")
    reading = manifests.read([gone, there])
    assert names(reading) == ["a"]
    (problem,) = reading.problems
    assert (problem.severity, problem.affects) == ("error", ())
    assert problem.message == f"`{gone}` does not exist"
    with pytest.raises(InputError, match=r"gone\.yaml` does not exist"):
        manifests.read([gone])
    with pytest.raises(InputError, match="does not exist"):
        manifests.read([there + "/below", gone])


def test_input_that_is_all_broken_is_returned_with_its_problems() -> None:
    reading = piped("a: [")
    assert reading.documents == ()
    assert [problem.severity for problem in reading.problems] == ["error"]
    assert piped("") == Reading((), (), "-")


def test_what_is_no_file_is_told_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    put(tmp_path / "ok.yaml", SERVICE % "a")
    for path in (str(tmp_path), str(tmp_path / "pipe.yaml"), "/dev/null"):
        reading = manifests.read([path])
        (problem,) = reading.problems
        assert problem.message.startswith("neither a file nor a directory")
        assert problem.severity == "error"


def test_what_may_not_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = put(tmp_path / "secret.yaml", SERVICE % "s")
    put(tmp_path / "ok.yaml", SERVICE % "a")
    closed = tmp_path / "sub"
    closed.mkdir()
    opened, listed = Path.open, Path.iterdir

    def refuse_open(path: Path, *arguments: object) -> object:
        if str(path) == secret:
            raise PermissionError(13, "Permission denied")
        return opened(path, *arguments)  # type: ignore[call-overload]

    def refuse_list(path: Path) -> object:
        if path == closed:
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr(Path, "open", refuse_open)
    monkeypatch.setattr(Path, "iterdir", refuse_list)
    reading = manifests.read([str(tmp_path)])
    assert names(reading) == ["a"]
    assert [str(problem) for problem in reading.problems] == [
        f"{closed}: cannot be read: permission denied",
        f"{secret}: cannot be read: permission denied",
    ]
    (problem,) = manifests.read([secret]).problems
    assert problem.severity == "error"


def test_an_empty_path_is_not_the_current_directory() -> None:
    with pytest.raises(InputError, match="`` does not exist"):
        manifests.read([""])


def test_standard_input_may_fail() -> None:
    class Directory(io.BytesIO):
        def read(self, _size: int | None = -1, /) -> bytes:
            raise IsADirectoryError(21, "Is a directory")

    (problem,) = manifests.read(["-"], Directory()).problems
    assert str(problem) == "-: cannot be read: is a directory"


def test_a_path_that_no_system_has_is_told() -> None:
    (problem,) = manifests.read(["a\0b"]).problems
    assert problem.severity == "error"


def test_a_file_has_a_largest_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifests, "MAX_BYTES", 1 << 20)
    path = put(tmp_path / "a.yaml", b"#" * (1 << 20) + b"#")
    for reading in (manifests.read([path]), piped(b"#" * (1 << 20) + b"#")):
        (problem,) = reading.problems
        assert problem.message == "larger than 1 MiB, which is not read"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_tells_the_encoding(encoding: str) -> None:
    text = SERVICE % "é"
    assert names(piped(text.encode(encoding))) == ["é"]
    assert names(
        piped(b"\xef\xbb\xbf" + b'{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}}')
    ) == ["x"]


def test_utf16_may_be_broken() -> None:
    (problem,) = piped(b"\xff\xfea").problems
    assert problem.message == "bad UTF-16: truncated data"


def test_bad_utf8_spoils_its_own_document_only() -> None:
    text = (SERVICE % "a").encode() + b"---\n" + POLICY.encode().replace(b"spec", b"# \xff\nspec")
    reading = piped(text + b"---\n" + (SERVICE % "z").encode())
    assert names(reading) == ["a", "z"]
    (problem,) = reading.problems
    assert str(problem) == "-:10: bad UTF-8"
    assert (problem.affects, problem.object) == (("NetworkPolicy",), "NetworkPolicy/shop/db")


@pytest.mark.parametrize(
    ("damage", "line", "message"),
    [
        ("\tx: 1", 13, "a tab in the indentation"),
        ("kind: Other", 13, "key `kind` is given twice, first in line 6"),
        ("a: 'open", 13, "invalid YAML: found unexpected end of stream"),
        ("{{ if .Values.x }}", 13, "suggests a template: render it first"),
        (
            "a: &a [" + "[x,x]," * 9 + "]\nb: &b [" + "*a," * 9999 + "]\nc: [" + "*b," * 99 + "]",
            14,
            "aliases bring",
        ),
        ("a: " + "[" * 300, 13, "nested more than 256 levels deep"),
    ],
)
def test_a_broken_policy_is_known_by_its_name(damage: str, line: int, message: str) -> None:
    text = SERVICE % "a" + "---\n" + POLICY.replace("spec:", "  # c\nspec:", 1).rstrip() + "\n"
    text = text.replace("  ingress:\n  - from: []\n", damage + "\n", 1)
    reading = piped(text + "---\n" + SERVICE % "z")
    assert names(reading) == ["a", "z"]
    (problem,) = reading.problems
    assert (problem.location.file, problem.severity) == ("-", "error")
    assert message in problem.message
    assert problem.location.line == line
    if "kind" in damage:
        assert problem.affects == ("NetworkPolicy", "Other")
    else:
        assert (problem.affects, problem.object) == (("NetworkPolicy",), "NetworkPolicy/shop/db")


def test_what_cannot_be_told_may_be_anything() -> None:
    (problem,) = piped("kind: {{ .Values.kind }}\n").problems
    assert (problem.affects, problem.object) == ((), None)


def test_of_two_that_contradict_each_other_the_later_counts(tmp_path: Path) -> None:
    first = put(tmp_path / "1.yaml", SERVICE % "other" + "---\n" + POLICY)
    second = put(
        tmp_path / "2.yaml", POLICY.replace("from: []", "ports: []") + "---\n" + SERVICE % "z"
    )
    reading = manifests.read([str(tmp_path)])
    assert names(reading) == ["other", "db", "z"]
    assert reading.documents[1].file == second
    (problem,) = reading.problems
    assert (problem.severity, problem.object) == ("warning", "NetworkPolicy/shop/db")
    assert str(problem) == (
        f"{second}:1: NetworkPolicy/shop/db is given again:"
        f" this one counts, not the one in {first}:5"
    )


def test_the_same_object_twice_is_no_contradiction(tmp_path: Path) -> None:
    put(tmp_path / "1.yaml", POLICY)
    put(tmp_path / "2.yaml", POLICY)
    reading = manifests.read([str(tmp_path)])
    assert (len(reading.documents), reading.problems) == (1, ())


def test_nameless_objects_are_all_different() -> None:
    job = "apiVersion: batch/v1\nkind: Job\nmetadata: {generateName: x-}\nspec: %s\n---\n"
    reading = piped(job % "{a: 1}" + job % "{a: 2}" + job % "{a: 2}")
    assert (len(reading.documents), reading.problems) == (3, ())


def test_equal_names_of_other_kinds_do_not_contradict() -> None:
    knative = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n"
    assert len(piped(SERVICE % "a" + "---\n" + knative).documents) == 2


@given(
    st.lists(
        st.tuples(
            st.integers(0, len(POLICY)),
            st.integers(0, 9),
            st.sampled_from(
                [b"", b"\xff", b"\0", b"{", b"]", b"'", b"---\n", b"...\n", b"{{", b"\t"]
            ),
        ),
        max_size=4,
    ),
    st.booleans(),
)
def test_any_damage_is_told_with_a_line(edits: list[tuple[int, int, bytes]], json: bool) -> None:
    data = POLICY.encode()
    if json:
        data = b'{"apiVersion": "v1", "kind": "Pod",\n "metadata": {"name": "x", "labels": {}}}'
    for place, length, put_ in edits:
        data = data[:place] + put_ + data[place + length :]
    reading = piped(data)
    for problem in reading.problems:
        assert problem.location.line is not None or problem.message.startswith("bad UTF-16")
    assert reading == piped(data)


@pytest.mark.skipif(not ONLINE_BOUTIQUE.is_dir(), reason="the shared vectors are not here")
def test_online_boutique_is_read_whole() -> None:
    reading = manifests.read([str(ONLINE_BOUTIQUE)])
    assert [(problem.object, problem.severity) for problem in reading.problems] == [
        ("VirtualService/frontend", "note")
    ]
    kinds = [document.kind for document in reading.documents]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        "Deployment": 12,
        "Service": 12,
        "ServiceAccount": 11,
        "NetworkPolicy": 13,
        "ServiceEntry": 2,
        "Gateway": 1,
        "HTTPRoute": 1,
    }
    for document in reading.documents:
        if document.kind == "NetworkPolicy":
            lines = Path(document.file).read_text().split("\n")
            assert (
                lines[(document.line_of(("spec", "podSelector")) or 0) - 1].strip()[:11]
                == "podSelector"
            )
