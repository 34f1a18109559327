"""What outputs of all pairs say of mTLS."""

import msgspec
import pytest

from questions import shop as plain
from questions.mesh_shop import STRICT, shop
from ringfence import outputs
from ringfence.model.connectivity import Connectivity
from ringfence.outputs._page_data import page_data
from ringfence.questions.connectivity import connectivity
from ringfence.questions.mesh_warnings import mesh_warnings

LINE = "mTLS: 2 of 6 pairs of workloads with a served port open are over mTLS, 4 plaintext"


def written(answer: Connectivity, output: str) -> str:
    return b"".join(outputs.write(answer, output)).decode()


@pytest.mark.parametrize("output", ["text", "markdown"])
def test_how_many_pairs_are_over_mtls_is_told(output: str) -> None:
    assert LINE in written(connectivity(shop()), output)


def test_the_page_tells_it_among_its_notes() -> None:
    assert page_data(connectivity(shop())).notes[0] == LINE
    assert not any("mTLS" in note for note in page_data(connectivity(plain.shop())).notes)


def test_the_wide_output_tells_it_of_each_pair() -> None:
    head, *rows = written(connectivity(shop()), "wide").splitlines()
    assert head.split()[-2:] == ["MTLS", "TRAFFIC"]
    told = {(row.split()[0], row.split()[2]): row.split()[4] for row in rows}
    assert told["shop/web", "shop/pay"] == "yes"
    assert told["legacy/batch", "shop/pay"] == "no"


@pytest.mark.parametrize("output", ["text", "markdown", "wide", "json", "yaml"])
def test_without_a_mesh_nothing_is_told(output: str) -> None:
    assert "mtls:" not in written(connectivity(plain.shop()), output).lower().replace('"', "")


def test_the_wide_output_ends_with_warnings() -> None:
    snapshot = shop(STRICT)
    warnings = mesh_warnings(snapshot)
    assert warnings
    answer = msgspec.structs.replace(connectivity(snapshot), warnings=warnings)
    told = written(answer, "wide")
    assert "\nWARNINGS\n  PeerAuthentication/shop/default: demands mTLS" in told
    assert "\n    shown by legacy/batch -> shop/" in told
