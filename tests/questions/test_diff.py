"""Differences in connections: what is one, and what is none."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outputs.answers import IPV4, IPV6, allowances, answer, peer
from ringfence.model.connectivity import Connectivity, Pair
from ringfence.model.diff import Change, Diff
from ringfence.model.outside import AddressRange, parse_range
from ringfence.model.profile import Cni, Profile
from ringfence.questions.diff import diff
from ringfence.questions.traffic_sets import TrafficSet


def change(line: str, **kinds: str) -> Change:
    source, _, destination = line.partition(" -> ")
    return Change(source, destination, **{kind: allowances(text) for kind, text in kinds.items()})


def test_nothing_differs_from_itself() -> None:
    told = answer("a/x -> a/y: TCP 80 | UDP 53", f"{IPV4} -> a/x: ANY")
    assert diff(told, told).empty


def test_gained_and_lost_are_told_by_port() -> None:
    found = diff(
        answer("a/x -> a/y: TCP 80,443", "a/y -> a/x: ANY"),
        answer("a/x -> a/y: TCP 443,8080; UDP 53", "a/y -> a/x: TCP 1-65535; UDP 1-65535; ICMP"),
    )
    assert found.changes == (
        change(
            "a/x -> a/y",
            gained="TCP 8080; UDP 53",
            lost="TCP 80",
            before="TCP 80,443",
            now="TCP 443,8080; UDP 53",
        ),
        change(
            "a/y -> a/x",
            lost="SCTP 1-65535",
            before="ANY",
            now="TCP 1-65535; UDP 1-65535; ICMP",
        ),
    )


def test_what_becomes_unknown_is_neither_gained_nor_lost() -> None:
    found = diff(
        answer("a/x -> a/y: TCP 80", "a/y -> a/x: | TCP 1-3"),
        answer("a/x -> a/y: | TCP 80,81", "a/y -> a/x: TCP 1 | TCP 2"),
    )
    assert found.changes == (
        change("a/x -> a/y", became_unknown="TCP 80-81", before="TCP 80"),
        change("a/y -> a/x", became_allowed="TCP 1", became_denied="TCP 3", now="TCP 1"),
    )


def test_writing_the_same_ports_differently_is_no_difference() -> None:
    old = answer("a/x -> a/y: TCP 80-81,82; UDP/4 53; UDP/6 53")
    assert diff(old, answer("a/x -> a/y: TCP 80-82; UDP 53")).empty


def test_a_workload_that_appears_is_told_apart_from_what_changed() -> None:
    old = answer("a/x -> a/y: TCP 80", "a/gone -> a/x: TCP 1")
    new = answer("a/x -> a/y: TCP 81", "a/new -> a/x: TCP 2", peers=(peer("a/new", "Job"),))
    found = diff(old, new)
    assert found.appeared == (peer("a/new", "Job"),)
    assert found.disappeared == (peer("a/gone"),)
    assert [c.source for c in found.changes] == ["a/x"]
    assert found.of_appeared == (change("a/new -> a/x", gained="TCP 2", now="TCP 2"),)
    assert found.of_disappeared == (change("a/gone -> a/x", lost="TCP 1", before="TCP 1"),)


def test_a_workload_without_any_connection_still_appears() -> None:
    assert not diff(answer(peers=("a/x",)), answer(peers=("a/x", "a/y"))).empty


def test_a_range_that_splits_is_no_difference() -> None:
    parts = ("0.0.0.0-9.255.255.255", "10.0.0.0-10.255.255.255", "11.0.0.0-255.255.255.255")
    whole = answer(f"a/x -> {IPV4}: TCP 443", f"{IPV4} -> a/x: ANY")
    split = answer(*(f"a/x -> {p}: TCP 443" for p in parts), *(f"{p} -> a/x: ANY" for p in parts))
    assert diff(whole, split).empty
    assert diff(split, whole).empty


def test_ranges_that_change_alike_are_told_as_one() -> None:
    old = answer("a/x -> 0.0.0.0-9.255.255.255: TCP 443", "a/x -> 10.0.0.0-255.255.255.255: UDP 1")
    new = answer(
        "a/x -> 0.0.0.0-4.255.255.255: TCP 443; SCTP 5",
        "a/x -> 5.0.0.0-99.255.255.255: SCTP 5; UDP 1",
        "a/x -> 100.0.0.0-255.255.255.255: UDP 1",
    )
    assert [(c.destination, c.gained, c.lost) for c in diff(old, new).changes] == [
        ("0.0.0.0-4.255.255.255", allowances("SCTP 5"), ()),
        ("10.0.0.0-99.255.255.255", allowances("SCTP 5"), ()),
        ("5.0.0.0-9.255.255.255", allowances("UDP 1; SCTP 5"), allowances("TCP 443")),
    ]


def test_the_whole_outside_is_one_range_per_family() -> None:
    parts = ("0.0.0.0-9.255.255.255", "10.0.0.0-255.255.255.255", IPV6)
    old = answer(*(f"a/x -> {part}: ANY" for part in parts))
    assert [c.destination for c in diff(old, answer(peers=("a/x", *parts))).changes] == [IPV4, IPV6]


def test_a_workload_told_in_parts_by_one_side_alone_is_compared_part_by_part() -> None:
    whole = answer("a/web -> a/db: TCP 80")
    parts = answer("a/web[w-0] -> a/db: TCP 80", "a/web[w-1] -> a/db: TCP 80,81")
    found = diff(whole, parts)
    assert not found.appeared + found.disappeared
    assert [(c.source, c.gained) for c in found.changes] == [("a/web[w-1]", allowances("TCP 81"))]
    assert [(c.source, c.lost) for c in diff(parts, whole).changes] == [
        ("a/web[w-1]", allowances("TCP 81"))
    ]


def test_parts_that_change_alike_are_told_as_the_workload() -> None:
    whole = answer("a/web -> a/db: TCP 80", "a/web -> a/x: ANY", "a/x -> a/web: TCP 1")
    parts = answer("a/web[w-0] -> a/x: ANY", "a/web[w-1] -> a/x: TCP 1", peers=("a/db",))
    assert [(c.source, c.destination) for c in diff(whole, parts).changes] == [
        ("a/web", "a/db"),
        ("a/web[w-1]", "a/x"),
        ("a/x", "a/web"),
    ]


def test_parts_told_apart_differently_are_compared_as_a_whole_and_that_is_said() -> None:
    old = answer("a/web[w-0] -> a/db: TCP 80,81", "a/web[w-1] -> a/db: TCP 80")
    new = answer("a/web[w-7] -> a/db: TCP 80", "a/web[w-8] -> a/db: TCP 80,82")
    found = diff(old, new)
    assert "a/web" in found.notes[0]
    assert found.changes == (
        change(
            "a/web -> a/db",
            became_unknown="TCP 82",
            became_denied="TCP 81",
            before="TCP 80",
            now="TCP 80",
        ),
    )


def test_a_name_that_becomes_ambiguous_is_the_same_workload() -> None:
    old = answer("a/web -> a/db: TCP 80")
    new = answer(
        "a/Deployment/web -> a/db: TCP 80",
        peers=(peer("a/Deployment/web", "Deployment"), peer("a/Job/web", "Job")),
    )
    found = diff(old, new)
    assert found.appeared == (peer("a/Job/web", "Job"),)
    assert not found.disappeared + found.changes


def test_a_domain_name_is_before_what_the_outside_was() -> None:
    old = answer(f"a/x -> {IPV4}: ANY", f"a/x -> {IPV6}: ANY", peers=("a/y",))
    new = answer("a/x -> api.example: TCP 443", peers=("a/y", IPV4, IPV6))
    by_name = {(c.source, c.destination): c for c in diff(old, new).changes}
    assert by_name["a/x", "api.example"].gained == ()
    assert by_name["a/x", "api.example"].now == allowances("TCP 443")
    assert ("a/y", "api.example") not in by_name


def test_a_domain_name_where_addresses_differ_was_unknown() -> None:
    old = answer("a/x -> 0.0.0.0-9.255.255.255: TCP 443", peers=("10.0.0.0-255.255.255.255",))
    new = answer(
        "a/x -> 0.0.0.0-9.255.255.255: TCP 443",
        "a/x -> api.example: TCP 443",
        peers=("10.0.0.0-255.255.255.255",),
    )
    assert diff(old, new).changes == (
        change("a/x -> api.example", became_allowed="TCP 443", now="TCP 443"),
    )


def test_notes_say_which_side_they_are_of() -> None:
    old = answer(notes=("same", "old one"), profile=Profile(Cni.CALICO))
    found = diff(old, answer(notes=("same", "new one")))
    assert found.notes == ("same", "before: old one", "now: new one")
    assert (found.old_profile.cni, found.profile.cni) == (Cni.CALICO, Cni.GENERIC)


# -- any two answers -------------------------------------------------------------------------

WORKLOADS = ("a/x", "a/y", "b/z")
TRAFFIC = tuple(map(allowances, ("", "TCP 80", "TCP 80,443", "UDP 53", "ANY")))
EDGES = (0, 10, 20, 200)


@st.composite
def answers(draw: st.DrawFn) -> Connectivity:
    """Draw an answer whose outside is cut somewhere."""
    cuts = sorted(draw(st.sets(st.sampled_from(EDGES[1:]))))
    starts = [0, *cuts]
    ranges = [
        str(AddressRange(4, a << 24, (b << 24) - 1))
        for a, b in zip(starts, [*cuts, 256], strict=True)
    ]
    pairs = []
    for source in (*WORKLOADS, *ranges):
        for destination in (*WORKLOADS, *ranges):
            if source != destination and {source, destination} & set(WORKLOADS):
                allow, unknown = draw(st.sampled_from(TRAFFIC)), draw(st.sampled_from(TRAFFIC[:3]))
                if allow or unknown:
                    pairs.append(Pair(source, destination, allow, unknown))
    told = answer(peers=(*WORKLOADS, *ranges))
    ordered = sorted(pairs, key=lambda p: (p.source, p.destination))
    return msgspec.structs.replace(told, connections=tuple(ordered))


def at(told: Connectivity, source: str, destination: str) -> tuple[TrafficSet, TrafficSet]:
    """Return what is allowed and what is unknown between two points."""
    for p in told.connections:
        if holds(p.source, source) and holds(p.destination, destination):
            allow = TrafficSet.of(p.allow)
            return allow, TrafficSet.of(p.unknown) - allow
    return TrafficSet({}), TrafficSet({})


def holds(name: str, point: str) -> bool:
    block, inner = parse_range(name), parse_range(point)
    if block is None or inner is None:
        return name == point
    return block.first <= inner.first and inner.last <= block.last


def told_of(found: Diff, source: str, destination: str) -> Change:
    matching = [
        c for c in found.changes if holds(c.source, source) and holds(c.destination, destination)
    ]
    assert len(matching) <= 1
    return matching[0] if matching else Change(source, destination)


@given(answers(), answers())
def test_every_point_has_changed_as_the_diff_says(old: Connectivity, new: Connectivity) -> None:
    found = diff(old, new)
    points = [f"{edge}.0.0.1" for edge in EDGES]
    for source in (*WORKLOADS, *points):
        for destination in (*WORKLOADS, *points):
            if source == destination or not {source, destination} & set(WORKLOADS):
                continue
            (a0, u0), (a1, u1) = at(old, source, destination), at(new, source, destination)
            told = told_of(found, source, destination)
            assert TrafficSet.of(told.gained) == a1 - a0 - u0
            assert TrafficSet.of(told.lost) == a0 - a1 - u1
            assert TrafficSet.of(told.became_unknown) == u1 - u0
            assert TrafficSet.of(told.became_allowed) == u0 & a1
            assert TrafficSet.of(told.became_denied) == u0 - a1 - u1


@given(answers(), answers())
def test_the_way_back_is_the_mirror_image(old: Connectivity, new: Connectivity) -> None:
    forth, back = diff(old, new), diff(new, old)
    assert [(c.source, c.destination, c.gained, c.lost) for c in forth.changes] == [
        (c.source, c.destination, c.lost, c.gained) for c in back.changes
    ]


@pytest.mark.parametrize("order", [1, -1])
def test_changes_are_sorted(order: int) -> None:
    lines = ["b/x -> a/y: TCP 1", "a/y -> b/x: TCP 2", "a/y -> a/z: TCP 3"][::order]
    found = diff(answer(peers=("a/y", "a/z", "b/x")), answer(*lines))
    assert [(c.source, c.destination) for c in found.changes] == [
        ("a/y", "a/z"),
        ("a/y", "b/x"),
        ("b/x", "a/y"),
    ]
