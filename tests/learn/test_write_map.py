import msgspec
import yaml
from hypothesis import given
from hypothesis import strategies as st

from map_strategies import clusters, maps
from ringfence.learn.dependency_map import Dependency, DependencyMap
from ringfence.learn.read_map import read_text
from ringfence.learn.write_map import write
from ringfence.model.location import Location
from strategies import build
from written_maps import dependency_map

NOWHERE = Location("map.yaml")


def without_lines(written: DependencyMap) -> DependencyMap:
    def plain(dependency: Dependency) -> Dependency:
        return msgspec.structs.replace(dependency, location=NOWHERE)

    return msgspec.structs.replace(
        written,
        location=NOWHERE,
        workloads=tuple(
            msgspec.structs.replace(
                entry,
                location=NOWHERE,
                calls=tuple(map(plain, entry.calls)),
                callers=tuple(map(plain, entry.callers)),
            )
            for entry in written.workloads
        ),
    )


@given(data=st.data())
def test_what_is_written_is_read_as_the_same_map(data: st.DataObject) -> None:
    snapshot = build(data.draw(clusters()))
    drawn = data.draw(maps(snapshot, addresses=True))
    reading = read_text(write(drawn, ["a comment"]), "map.yaml")
    assert reading.problems == ()
    assert reading.map is not None
    assert without_lines(reading.map) == without_lines(drawn)


def test_evidence_stands_above_its_entry_and_in_it() -> None:
    written = dependency_map(
        "namespaces: [a]\nworkloads:\n  - workload: a/b\n    calls:\n"
        "      - {to: a/c, ports: [80], evidence: 'env C of container x, b.yaml:9'}\n"
    )
    assert write(written, ["Drafted."]) == (
        "# Drafted.\n"
        "apiVersion: ringfence.dev/v1\n"
        "kind: DependencyMap\n"
        "\n"
        "# In these namespaces, what is not listed below will be denied.\n"
        "namespaces: [a]\n"
        "\n"
        "workloads:\n"
        "  - workload: a/b\n"
        "    calls:\n"
        "      # guessed from env C of container x, b.yaml:9\n"
        "      - to: a/c\n"
        "        ports: [80]\n"
        "        evidence: env C of container x, b.yaml:9\n"
    )


@given(st.text(max_size=30))
def test_no_text_of_a_manifest_leaves_its_place(text: str) -> None:
    drawn = dependency_map("namespaces: [a]\nworkloads:\n  - {workload: a/b, owner: x}\n")
    [entry] = drawn.workloads
    odd = msgspec.structs.replace(entry, owner=text or "x")
    changed = msgspec.structs.replace(drawn, workloads=(odd,))
    loaded = yaml.safe_load(write(changed, [text]))
    assert loaded["workloads"] == [{"workload": "a/b", "owner": text or "x"}]
