"""One verdict for several connections, and what it is limited to."""

from ringfence.model.verdict import Judgement, Verdict
from ringfence.questions.combining import Limit, combine

POST: Limit = {"http": {"method": "POST"}}
GET: Limit = {"http": {"method": "GET"}}


def judged(verdict: str, *limits: Limit) -> Judgement:
    found = Verdict(verdict)
    return Judgement(verdict=found, egress=found, ingress=found, limited_to=limits)


def test_an_allow_among_denies_is_limited_to_its_own_part_and_limits() -> None:
    found = combine([({"to": "a"}, judged("allow", POST, GET)), ({"to": "b"}, judged("deny"))])
    assert found.verdict is Verdict.ALLOW
    assert found.limited_to == ({"to": "a", **POST}, {"to": "a", **GET})


def test_parts_with_the_same_limits_are_limited_by_them_alone() -> None:
    found = combine([({"to": "a"}, judged("allow", POST)), ({"to": "b"}, judged("allow", POST))])
    assert found.limited_to == (POST,)


def test_parts_with_different_limits_say_which_is_whose() -> None:
    found = combine([({"to": "a"}, judged("allow", POST)), ({"to": "b"}, judged("allow"))])
    assert found.limited_to == ({"to": "a", **POST}, {"to": "b"})


def test_ports_are_gathered_where_the_rest_is_the_same() -> None:
    def ports(text: str) -> Limit:
        return {"protocol": "TCP", "ports": text}

    parts = [
        (ports("80"), judged("allow", POST)),
        (ports("81-90"), judged("allow", POST)),
        (ports("91"), judged("deny")),
        (ports("92"), judged("allow")),
    ]
    assert combine(parts).limited_to == ({**ports("80-90"), **POST}, ports("92"))


def test_an_unknown_part_makes_the_whole_unknown() -> None:
    found = combine([({"to": "a"}, judged("allow", POST)), ({"to": "b"}, judged("unknown"))])
    assert (found.verdict, found.limited_to) == (Verdict.UNKNOWN, ())
