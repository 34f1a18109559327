import pytest

from outputs.answers import IPV4, IPV6, answer, wide_open
from ringfence import outputs
from ringfence.model.connectivity import Connectivity
from ringfence.model.profile import Cni, Profile
from ringfence.outputs import Style


def text(told: Connectivity, style: Style | None = None, output: str = "text") -> str:
    return b"".join(outputs.write(told, output, style)).decode()


SHOP = answer(
    "shop/web -> shop/db: TCP 5432",
    "shop/web -> kube-system/dns: TCP 53; UDP 53",
    "shop/db -> kube-system/dns: TCP 53; UDP 53",
    "shop/job -> shop/db: | TCP 5432",
    f"{IPV4} -> shop/web: TCP 8080",
    f"{IPV6} -> shop/web: TCP 8080",
    peers=("shop/job",),
    notes=("pods live in 10.0.0.0/8",),
    unknown_because=("np.yaml:7: `port` is no number",),
    profile=Profile(Cni.CALICO, "detected", "DaemonSet kube-system/calico-node", "3.30.1"),
)


def test_the_whole_text_of_a_small_cluster() -> None:
    assert text(SHOP) == (
        """\
CONNECTIVITY  profile calico 3.30.1 (detected: DaemonSet kube-system/calico-node)

  4 workloads in 2 namespaces, 2 ranges of outside addresses
  3 of 12 pairs of workloads are open (25 %), 0 of them for any traffic
  1 pair with something unknown

NAMESPACE    WORKLOADS  OPEN PAIRS INTO IT          ANY  FROM OUTSIDE  TO OUTSIDE
kube-system          1  ███████░░░  67 %    2 of 3    0        0 of 1      0 of 1
shop                 3  ██░░░░░░░░  11 %    1 of 9    0        1 of 3      0 of 3

INGRESS  3 limited, 1 closed
  limited  kube-system/dns, shop/db, shop/web
  closed   shop/job
EGRESS  2 limited, 2 closed
  limited  shop/db, shop/web
  closed   kube-system/dns, shop/job

FROM                  TO               TRAFFIC
shop/db, shop/web  →  kube-system/dns  TCP 53; UDP 53
shop/job           →  shop/db          unknown: TCP 5432
shop/web           →  shop/db          TCP 5432
outside            →  shop/web         TCP 8080

UNKNOWN BECAUSE
  - np.yaml:7: `port` is no number

NOTES
  - pods live in 10.0.0.0/8
"""
    )


def test_a_wide_open_cluster_is_short_however_large() -> None:
    written = text(wide_open(*(f"ns-{i % 4}/w{i}" for i in range(60))))
    assert len(written.splitlines()) < 20
    assert "anything  →  anything  any" in written
    assert "3,540 of 3,540 pairs of workloads are open (100 %)" in written


def test_nothing_enforced_is_said_loudly() -> None:
    told = answer("a/x -> a/y: ANY", profile=Profile(Cni.NONE, "detected", "flannel alone"))
    assert "NOTHING ENFORCES POLICIES IN THIS CLUSTER" in text(told)


def test_too_many_lines_give_way_to_the_widest_openings_and_say_so() -> None:
    told = answer(*(f"a/w{i} -> b/w{j}: TCP {i * 100 + j}" for i in range(20) for j in range(10)))
    written = text(told)
    assert "THE WIDEST OPENINGS, 20 of 200" in written
    assert "-o wide" in written
    assert len(written.splitlines()) < 45


def test_all_lines_fit_the_width() -> None:
    long = "namespace-with-a-rather-long-name/deployment-with-an-even-longer-name"
    told = answer(f"{long}-1 -> {long}-2: TCP 1-2,4-5,7-8", f"{long}-3 -> {long}-2: ANY")
    assert max(map(len, text(told, Style(width=80)).splitlines())) <= 80


def test_no_colour_unless_asked_for() -> None:
    assert "\x1b" not in text(SHOP)
    assert "\x1b[1mCONNECTIVITY\x1b[0m" in text(SHOP, Style(colour=True))


def test_names_cannot_command_a_terminal() -> None:
    told = answer("shop/\x1b[31mweb -> shop/d\rb: TCP 1")
    for output in ("text", "wide", "markdown", "dot"):
        assert not {"\x1b", "\r"} & set(text(told, output=output))
    assert "shop/\\x1b[31mweb" in text(told)


def test_pairs_of_one_namespace_alone_are_counted_among_its_own() -> None:
    told = answer(
        "shop/web -> shop/db: ANY",
        "pay/api -> shop/db: TCP 5432",
        peers=("pay/db", IPV4),
        namespace="shop",
    )
    written = text(told)
    assert "2 of 10 pairs of workloads are open (20 %)" in written
    row = next(line for line in written.splitlines() if line.startswith("pay "))
    assert row.split() == ["pay", "2", "░░░░░░░░░░", "0", "%", *["0", "of", "4"], "0", "-", "-"]
    assert "INGRESS  1 open, 1 closed" in written


def test_pods_that_policies_tell_apart_count_as_one_workload() -> None:
    told = answer("a/web[w-0] -> a/db: ANY", "a/web[w-1] -> a/db: TCP 1")
    assert "2 workloads in 1 namespace" in text(told)
    assert "2 of 4 pairs" in text(told)


def test_wide_tells_every_pair_on_a_line_of_its_own() -> None:
    lines = text(SHOP, output="wide").splitlines()
    assert lines[0].split() == ["FROM", "FROM-KIND", "TO", "TO-KIND", "TRAFFIC"]
    assert lines[1].split(maxsplit=4) == [IPV4, "External", "shop/web", "Deployment", "TCP 8080"]
    assert lines[-1].split(maxsplit=4)[4] == "TCP 5432"
    assert len(text(SHOP, output="wide").splitlines()) == 1 + len(SHOP.connections)


@pytest.mark.parametrize(
    ("traffic", "words"),
    [
        ("ANY", "any"),
        ("TCP 1-65535", "TCP all ports"),
        ("ICMP", "ICMP"),
        ("TCP/6 443", "TCP 443 (IPv6)"),
        ("TCP 80 | UDP 53", "TCP 80; unknown: UDP 53"),
    ],
)
def test_traffic_in_words(traffic: str, words: str) -> None:
    told = answer(f"a/x -> a/y: {traffic}")
    assert text(told).splitlines()[-1].endswith(f"a/y  {words}")


@pytest.mark.parametrize(
    ("count", "share"), [(0, "0 %"), (1, "1 %"), (209, "99 %"), (210, "100 %")]
)
def test_a_share_is_never_rounded_to_none_or_all(count: int, share: str) -> None:
    names = [f"a/w{i}" for i in range(15)]
    pairs = [f"{a} -> {b}: ANY" for a in names for b in names if a != b]
    told = answer(*pairs[:count], peers=tuple(names))
    assert f"of 210 pairs of workloads are open ({share})" in text(told)
