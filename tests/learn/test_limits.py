import pytest

from ringfence.learn.dependency_map import HttpRequest
from ringfence.learn.limits import EVERY_NAME, lookups, requests
from ringfence.model.layer7 import DomainPattern, Form, HttpMatch, Layer7, Text, exact
from ringfence.model.rule import DomainPeer, Entity, EntityPeer, IpPeer, Peer, PodPeer
from ringfence.model.selector import EVERYTHING

PODS = PodPeer(EVERYTHING, EVERYTHING)
NAME = DomainPeer(DomainPattern("x.io"))


def test_no_request_is_no_limit() -> None:
    assert requests(()) is None


def test_each_request_is_a_box() -> None:
    found = requests((HttpRequest(("GET", "HEAD"), "/v1/*"), HttpRequest((), "/h")))
    assert found == (
        Layer7(
            http=HttpMatch(
                methods=(exact("GET"), exact("HEAD")), paths=(Text(Form.PREFIX, "/v1/"),)
            )
        ),
        Layer7(http=HttpMatch(paths=(exact("/h"),))),
    )


def test_only_names_outside_need_a_lookup() -> None:
    assert lookups([(PODS,)]) == ()
    assert lookups([(PODS, NAME), (NAME,)]) == (NAME.pattern,)


@pytest.mark.parametrize("peer", [IpPeer("192.0.2.7/32"), EntityPeer(Entity.WORLD), None])
def test_whoever_calls_addresses_may_know_them_by_any_name(peer: Peer | None) -> None:
    assert lookups([(NAME,), None if peer is None else (peer,)]) == (EVERY_NAME,)
