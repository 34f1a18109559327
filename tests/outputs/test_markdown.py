from outputs.answers import answer, wide_open
from ringfence import outputs
from ringfence.model.connectivity import Connectivity
from ringfence.outputs._marks import code, prose


def markdown(told: Connectivity) -> str:
    return b"".join(outputs.write(told, "markdown")).decode()


def test_the_whole_of_a_small_cluster() -> None:
    told = answer("shop/web -> shop/db: TCP 5432", "pay/api -> shop/db: | TCP 5432")
    assert markdown(told) == (
        """\
### Connectivity: 17 % of the pairs of workloads are open

3 workloads in 2 namespaces; 1 of 6 pairs open, 0 of them for any traffic; profile generic \
(assumed: the input does not tell the CNI).

1 pair with something **unknown**.

| Namespace | Workloads | Open pairs into it |  | Any traffic | From outside | To outside |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
| `pay` | 1 | 0 % | 0 of 2 | 0 | 0 | 0 |
| `shop` | 2 | 25 % | 1 of 4 | 0 | 0 | 0 |

**Pairs**

| From | To | Traffic |
| --- | --- | --- |
| `pay/api` | `shop/db` | unknown: TCP 5432 |
| `shop/web` | `shop/db` | TCP 5432 |

"""
    )


def test_long_tables_are_folded_away() -> None:
    told = answer(*(f"a/w{i} -> b/w{i}: TCP {i + 1}" for i in range(20)))
    assert "<details><summary>Pairs</summary>" in markdown(told)


def test_groups_are_words_and_not_names() -> None:
    assert "| *anything* | *anything* | any |" in markdown(wide_open("a/x", "a/y"))


def test_names_stay_inert() -> None:
    told = answer("a/<img src=x>|y -> a/b`c: TCP 1", notes=("see <b> @team [x](y) `|`",))
    written = markdown(told)
    assert "| `a/<img src=x>\\|y` | ``a/b`c`` | TCP 1 |" in written
    assert "- see \\<b\\> \\@team \\[x\\](y) `\\|`" in written


def test_code_spans_survive_backticks_at_their_ends() -> None:
    assert code("`a") == "`` `a ``"
    assert code("a``b") == "```a``b```"


def test_prose_leaves_a_lone_backtick_without_meaning() -> None:
    assert prose("a ` b") == "a \\` b"
