import pytest

from ringfence.reference import calico_selectors
from ringfence.reference.schema import NotUnderstoodError

WEB = {"app": "web", "zone": "a.b"}


@pytest.mark.parametrize(
    ("text", "selects"),
    [
        ("", True),
        ("   \t", True),
        ("all()", True),
        ("all(  )", True),
        ("!all()", False),
        ("has(app)", True),
        ("has( app )", True),
        ("!has(app)", False),
        ("!!has(app)", True),
        ("app == 'web'", True),
        ('app=="web"', True),
        ("app != 'web'", False),
        ("nothing != 'web'", True),
        ("nothing == ''", False),
        ("app in {'db', \"web\"}", True),
        ("app in {'web',}", True),
        ("app in {}", False),
        ("app not in {}", True),
        ("app notin {'web'}", False),
        ("nothing not in {'web'}", True),
        ("nothing in {'web'}", False),
        ("app contains 'e'", True),
        ("app contains ''", True),
        ("nothing contains ''", False),
        ("app starts with 'w'", True),
        ("app startswith'w'", True),
        ("app ends with 'b' && zone ends  with '.b'", True),
        ("app == 'db' && app == 'web' || has(zone)", True),
        ("app == 'db' && (app == 'web' || has(zone))", False),
        ("has(zone) || app == 'db' && app == 'x'", True),
        ("!(app == 'db') && !has(nothing)", True),
        ("!has(nothing) && !(app == 'web')", False),
        ("has(all)", False),
        ("in == 'x'", False),
    ],
)
def test_selector(text: str, *, selects: bool) -> None:
    assert calico_selectors.read(text, ("spec",))(WEB) is selects


@pytest.mark.parametrize(
    "text",
    [
        "app",
        "app = 'web'",
        "app == web",
        "app == 'web",
        "app == 'we'b'",
        "app & 'web'",
        "app in 'web'",
        "app in {'web'",
        "app in {,}",
        "app starts 'w'",
        "has()",
        "has (app)",
        "has(app",
        "all(x)",
        "(app == 'web'",
        "app == 'web')",
        "app == 'web' &&",
        "&& app == 'web'",
        "app == 'web' app == 'web'",
        "app == 'web'\n",
        "\nall()",
        "!",
        "a" * 513 + " == 'x'",
        "(" * 200 + "all()" + ")" * 200,
        "global()",
        "app == 'é' && ü == 'x'",
    ],
)
def test_no_selector(text: str) -> None:
    with pytest.raises(NotUnderstoodError):
        calico_selectors.read(text, ("spec", "selector"))


def test_an_error_names_the_column() -> None:
    with pytest.raises(NotUnderstoodError, match="column 5"):
        calico_selectors.read("app = 'web'", ())


def test_global_stands_alone() -> None:
    selects = calico_selectors.read("global()", (), may_be_global="namespace")
    assert selects({})
    assert not selects({"namespace": "shop"})
    for text in ("!global()", "global() || all()", "(global())"):
        with pytest.raises(NotUnderstoodError):
            calico_selectors.read(text, (), may_be_global="namespace")


def test_keys_get_a_prefix_and_all_a_label() -> None:
    selects = calico_selectors.read("team == 'shop'", (), prefix="pcns.")
    assert selects({"pcns.team": "shop"})
    assert not selects({"team": "shop"})
    everything = calico_selectors.read("all()", (), prefix="pcns.", everything="namespace")
    assert everything({"namespace": "shop"})
    assert not everything({"pcns.team": "shop"})
