"""A diff as people and programs read it."""

import json

import yaml

from outputs.answers import IPV4, IPV6, answer, peer, wide_open
from ringfence import outputs
from ringfence.model.connectivity import Connectivity
from ringfence.model.profile import Cni, Profile
from ringfence.outputs import Style
from ringfence.questions.diff import diff


def written(old: Connectivity, new: Connectivity, output: str, style: Style | None = None) -> str:
    return b"".join(outputs.write(diff(old, new), output, style)).decode()


OLD = answer(
    "shop/web -> shop/db: ANY",
    "shop/job -> shop/db: TCP 5432",
    "shop/old -> shop/db: TCP 1",
    peers=(IPV4, IPV6),
)
NEW = answer(
    "shop/web -> shop/db: TCP 5432",
    "shop/job -> shop/db: | TCP 5432",
    "shop/new -> shop/db: TCP 2",
    f"{IPV4} -> shop/web: TCP 80",
    f"{IPV6} -> shop/web: TCP 80",
    peers=(peer("shop/new", "StatefulSet"),),
    unknown_because=("np.yaml:3: no such port",),
)


def test_the_whole_text() -> None:
    assert written(OLD, NEW, "text") == (
        """\
DIFF  profile generic (assumed: the input does not tell the CNI)
  connections: 2 gained, 1 lost, 1 became unknown; 1 workload appeared; 1 workload disappeared
  outside addresses may now send more to shop/web
APPEARED     shop/new
DISAPPEARED  shop/old

   FROM         TO        TRAFFIC
+  outside   →  shop/web  TCP 80
-  shop/web  →  shop/db   any (left: TCP 5432)
?  shop/job  →  shop/db   TCP 5432

with 1 workload that appeared
   FROM         TO       TRAFFIC
+  shop/new  →  shop/db  TCP 2

with 1 workload that disappeared
   FROM         TO       TRAFFIC
-  shop/old  →  shop/db  TCP 1

UNKNOWN BECAUSE
  - now: np.yaml:3: no such port
"""
    )


def test_the_whole_comment() -> None:
    assert written(OLD, NEW, "markdown") == (
        """\
### Connections: 2 gained, 1 lost, 1 became unknown; 1 workload appeared; 1 workload disappeared

> **Outside addresses may now send more to** `shop/web`

Judged by profile generic (assumed: the input does not tell the CNI).

**Appeared:** `shop/new` (StatefulSet)

**Disappeared:** `shop/old` (Deployment)

**Gained on 2 pairs**

| From | To | Traffic |
| --- | --- | --- |
| *outside* | `shop/web` | TCP 80 |

**Lost on 1 pair**

| From | To | Traffic |
| --- | --- | --- |
| `shop/web` | `shop/db` | any (left: TCP 5432) |

**Became unknown on 1 pair**

| From | To | Traffic |
| --- | --- | --- |
| `shop/job` | `shop/db` | TCP 5432 |

**Gained on 1 pair, with 1 workload that appeared**

| From | To | Traffic |
| --- | --- | --- |
| `shop/new` | `shop/db` | TCP 2 |

**Lost on 1 pair, with 1 workload that disappeared**

| From | To | Traffic |
| --- | --- | --- |
| `shop/old` | `shop/db` | TCP 1 |

**Unknown because**

- now: np.yaml:3: no such port

"""
    )


def test_json_tells_each_kind_of_change() -> None:
    told = json.loads(written(OLD, NEW, "json"))
    assert told["apiVersion"] == "ringfence.dev/v1"
    assert told["kind"] == "Diff"
    assert told["appeared"] == [{"name": "shop/new", "kind": "StatefulSet"}]
    assert told["changes"][1] == {
        "from": "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "to": "shop/web",
        "gained": [{"protocol": "TCP", "ports": "80"}],
        "lost": [],
        "became_unknown": [],
        "became_allowed": [],
        "became_denied": [],
        "before": [],
        "now": [{"protocol": "TCP", "ports": "80"}],
    }
    assert told["changes"][3]["lost"][0] == {"protocol": "TCP", "ports": "1-5431,5433-65535"}
    assert yaml.safe_load(written(OLD, NEW, "yaml")) == told


def test_no_difference_is_said_in_so_many_words() -> None:
    assert "no connection changed" in written(OLD, OLD, "text")
    assert written(OLD, OLD, "markdown").startswith("### No connection changed\n")


def test_closing_a_whole_cluster_is_one_line() -> None:
    names = [f"shop/w{i}" for i in range(40)]
    closed = answer(peers=(*names, IPV4, IPV6))
    lines = written(wide_open(*names), closed, "text").splitlines()
    assert "-  anything  →  anything  any" in lines


def test_signs_carry_the_meaning_and_colour_only_repeats_it() -> None:
    coloured = written(OLD, NEW, "text", Style(colour=True))
    assert "\x1b[31m-  shop/web  →  shop/db   any (left: TCP 5432)\x1b[0m" in coloured
    assert "\x1b[32m+  outside" in coloured


def test_another_profile_is_told() -> None:
    new = answer(profile=Profile(Cni.CILIUM, "given"))
    assert "profile cilium (given)" in written(answer(), new, "text")
    assert "before: profile generic" in written(answer(), new, "text")


def test_a_comment_stays_within_what_a_comment_may_hold() -> None:
    names = [f"shop/workload-with-a-name-{i:03}" for i in range(60)]
    old = answer(peers=tuple(names))
    new = answer(*(f"{a} -> {b}: TCP {i + 1}" for i, a in enumerate(names) for b in names[:i:3]))
    comment = written(old, new, "markdown")
    assert len(comment) < 65_536
    assert "<details>" in comment
