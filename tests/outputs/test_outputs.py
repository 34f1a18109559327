"""The room of outputs: what it holds, and what it can write."""

import pytest

from outputs.answers import answer
from ringfence import outputs
from ringfence.cli import connectivity, diff, exposure
from ringfence.model.connectivity import Connectivity
from ringfence.model.diff import Diff
from ringfence.model.exposure import Exposure


@pytest.mark.parametrize(
    ("kind", "offered"),
    [
        (Connectivity, connectivity.FORMATS),
        (Diff, diff.FORMATS),
        (Exposure, exposure.FORMATS),
    ],
)
def test_verbs_offer_exactly_the_formats_there_are(kind: type, offered: tuple[str, ...]) -> None:
    assert outputs.formats(kind) == tuple(sorted(offered))


@pytest.mark.parametrize("output", connectivity.FORMATS)
def test_an_empty_cluster_can_be_written_and_ends_with_a_newline(output: str) -> None:
    written = b"".join(outputs.write(answer(), output))
    assert written.endswith(b"\n")


@pytest.mark.parametrize("output", connectivity.FORMATS)
def test_the_same_answer_gives_the_same_bytes(output: str) -> None:
    told = answer("shop/web -> shop/db: TCP 5432", "shop/a -> shop/db: TCP 5432 | UDP 53")
    assert list(outputs.write(told, output)) == list(outputs.write(told, output))


def test_a_format_that_makes_no_sense_for_an_answer_is_an_error() -> None:
    with pytest.raises(KeyError):
        outputs.write(object(), "text")
