"""The collector rests while much is read, and is then as it was."""

import gc

import pytest

from ringfence.sources import collector


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_rests_and_is_then_as_it_was(*, enabled: bool) -> None:
    was_enabled = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        with pytest.raises(KeyError, match="False"), collector.paused():
            raise KeyError(gc.isenabled())
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if was_enabled else gc.disable)()
