"""Condensed lines must say every pair, and no other, in any cluster."""

from hypothesis import given
from hypothesis import strategies as st

from outputs.answers import IPV4, IPV6, answer, peer, wide_open
from ringfence.model.connectivity import Allowance, Connectivity, Pair
from ringfence.outputs._condense import condense, say
from ringfence.outputs._peers import Peers

NAMES = (
    "a/one", "a/two", "a/three", "a/four", "b/one", "b/two", "c/one[p-0]", "c/one[p-1]", "c/two",
    "node/n1", "node/n2", "0.0.0.0-9.255.255.255", "10.0.0.0-10.255.255.255",
    "11.0.0.0-255.255.255.255", IPV6,
)  # fmt: skip
TRAFFIC = ((Allowance("ANY"),), (Allowance("TCP", "80"),))


def judged(source: str, destination: str) -> bool:
    """Return whether an answer tells a pair at all."""
    ends = {peer(source).kind, peer(destination).kind}
    if "Deployment" not in ends:
        return False
    return source.partition("[")[0] != destination.partition("[")[0]


@st.composite
def clusters(draw: st.DrawFn) -> Connectivity:
    """Draw answers that are open in blocks, as clusters are, with some exceptions."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=2, unique=True).map(sorted))
    base = draw(st.integers(-1, 1))
    changed = draw(
        st.dictionaries(
            st.tuples(st.sampled_from(names), st.sampled_from(names)), st.integers(-1, 1)
        )
    )
    pairs = []
    for source in names:
        for destination in names:
            number = changed.get((source, destination), base)
            if number >= 0 and judged(source, destination):
                pairs.append(Pair(source, destination, TRAFFIC[number]))
    told = answer(peers=tuple(names))
    return Connectivity(profile=told.profile, endpoints=told.endpoints, connections=tuple(pairs))


@given(clusters())
def test_lines_say_every_pair_once_and_no_other(told: Connectivity) -> None:
    peers = Peers(told.endpoints)
    said = [
        (peers.all[source].name, peers.all[destination].name, line.allow)
        for line in condense(told, peers)
        for source in line.sources
        for destination in line.destinations
        if judged(peers.all[source].name, peers.all[destination].name)
    ]
    assert len(said) == len(set(said))
    assert set(said) == {(p.source, p.destination, p.allow) for p in told.connections}


@given(clusters())
def test_words_name_exactly_the_peers_of_a_line(told: Connectivity) -> None:
    peers = Peers(told.endpoints)
    for line in condense(told, peers):
        sources, destinations = say(line.sources, line.destinations, peers)
        spoken = {
            (source, destination)
            for group in sources
            for source in group.members
            for other in destinations
            for destination in other.members
            if judged(peers.all[source].name, peers.all[destination].name)
        }
        meant = {
            (source, destination)
            for source in line.sources
            for destination in line.destinations
            if judged(peers.all[source].name, peers.all[destination].name)
        }
        assert spoken == meant


def described(told: Connectivity) -> list[str]:
    peers = Peers(told.endpoints)
    found = []
    for line in condense(told, peers):
        sides = say(line.sources, line.destinations, peers)
        found.append(" -> ".join(", ".join(group.text for group in side) for side in sides))
    return found


def test_a_wide_open_cluster_is_one_line() -> None:
    assert described(wide_open("shop/web", "shop/db", "pay/api")) == ["anything -> anything"]


def test_a_namespace_that_all_may_call_is_said_by_its_name() -> None:
    lines = [f"x/{i} -> shop/{j}: TCP 80" for i in range(2) for j in "abc"]
    lines += [f"shop/{i} -> shop/{j}: TCP 80" for i in "abc" for j in "abc" if i != j]
    assert described(answer(*lines)) == ["any workload -> shop/* (3)"]


def test_a_caller_of_all_others_is_not_told_to_be_excepted_from_itself() -> None:
    names = [f"shop/w{i}" for i in range(9)]
    told = answer(*(f"shop/prom -> {name}: TCP 9090" for name in names))
    assert described(told) == ["shop/prom -> any workload"]


def test_two_workloads_are_not_told_as_their_namespace() -> None:
    assert described(answer("a/x -> a/y: TCP 1", peers=("b/z",))) == ["a/x -> a/y"]


def test_few_exceptions_are_named() -> None:
    names = [f"shop/w{i}" for i in range(9)]
    told = answer(
        *(f"{a} -> {b}: ANY" for a in names for b in names if a not in (b, "shop/w3")),
    )
    assert described(told) == ["any workload except shop/w3 -> any workload"]


def test_ranges_are_joined_and_told_as_blocks() -> None:
    told = answer(
        "shop/web -> 10.0.0.0-10.127.255.255: TCP 443",
        "shop/web -> 10.128.0.0-10.255.255.255: TCP 443",
        peers=("0.0.0.0-9.255.255.255", "11.0.0.0-255.255.255.255", IPV6, "shop/db"),
    )
    assert described(told) == ["shop/web -> 10.0.0.0/8"]


def test_what_is_missing_from_a_family_is_told_where_that_is_shorter() -> None:
    told = answer(
        "shop/web -> 0.0.0.0-169.254.169.253: TCP 443",
        "shop/web -> 169.254.169.255-255.255.255.255: TCP 443",
        peers=("169.254.169.254-169.254.169.254", IPV6, "shop/db"),
    )
    assert described(told) == ["shop/web -> 0.0.0.0/0 except 169.254.169.254"]


def test_domain_names_only_receive() -> None:
    told = answer(
        "shop/web -> api.example: TCP 443", f"{IPV4} -> shop/web: ANY", peers=("shop/db",)
    )
    assert described(told) == ["shop/web -> api.example", "0.0.0.0/0 -> shop/web"]
