"""Differences in what is said above the port: exact, or told as not known."""

from questions.cni_shops import CALICO_SHOP, CILIUM_SHOP, STAGED, calico, cilium
from ringfence.model.connectivity import Allowance
from ringfence.model.diff import Diff
from ringfence.model.snapshot import Snapshot
from ringfence.outputs._words import traffic_text
from ringfence.questions.connectivity import connectivity
from ringfence.questions.diff import diff

REGEX = "rules: {http: [{method: GET, path: '%s'}]}"
ONLY_POST = "rules: {http: [{method: POST, path: /v1/payment}]}"


def compare(old: Snapshot, new: Snapshot) -> Diff:
    return diff(connectivity(old), connectivity(new))


def cilium_with(rules: str) -> Snapshot:
    return cilium(CILIUM_SHOP.replace(ONLY_POST, rules))


def words(allowances: tuple[Allowance, ...]) -> str:
    return traffic_text(allowances)


def test_a_path_that_widens_gains_the_rest_of_it() -> None:
    found = compare(cilium_with(REGEX % "/v1/a"), cilium_with(REGEX % "/v1/.*"))
    (change,) = found.changes
    assert words(change.gained) == "TCP 8080 (GET /v1/*; but not GET /v1/a)"
    assert (change.lost, change.became_unknown) == ((), ())
    assert words(change.now) == "TCP 8080 (GET /v1/*)"


def test_a_path_that_narrows_loses_the_rest_of_it() -> None:
    found = compare(cilium_with(REGEX % "/v1/.*"), cilium_with(REGEX % "/v1/a"))
    (change,) = found.changes
    assert words(change.lost) == "TCP 8080 (GET /v1/*; but not GET /v1/a)"
    assert change.gained == ()


def test_another_way_of_writing_the_same_is_no_difference() -> None:
    found = compare(cilium_with(REGEX % "/v1/(a|b)"), cilium_with(REGEX % "/v1/[ab]"))
    assert found.empty


def test_a_limit_that_goes_gains_all_but_what_was_allowed() -> None:
    found = compare(cilium(), cilium_with(""))
    (change,) = found.changes
    assert words(change.gained) == "TCP 8080 (anything but POST /v1/payment)"


def test_what_cannot_be_compared_is_told_and_never_equal() -> None:
    # Each can be followed by itself; both together have too many states.
    found = compare(cilium_with(REGEX % "/(.*a.{9})"), cilium_with(REGEX % "/(.*b.{9})"))
    assert not found.empty
    (change,) = found.changes
    assert (change.gained, change.lost) == ((), ())
    assert words(change.became_unknown) == "TCP 8080 (GET ~/(.*b.{9}))"
    (reason,) = found.unknown_because
    assert reason.startswith("whether what is said above a port changed cannot be told")


def test_staged_policies_lose_what_they_no_longer_allow() -> None:
    text = CALICO_SHOP + STAGED
    found = compare(calico(text), calico(text, staged=True))
    (change,) = found.changes
    assert (change.source, change.destination) == ("shop/web", "shop/payment")
    assert words(change.lost) == "TCP 8080 (GET|POST /v1[/*]; but not POST /v1/payment)"
    assert compare(calico(text), calico(text)).empty
