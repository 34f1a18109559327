"""ringfence: takes a Kubernetes cluster from default-allow to proven zero trust.

The library asks the same questions as the command line:

    import ringfence

    shop = ringfence.load(["manifests/"])
    ringfence.check(shop, "shop/web", "shop/db", 5432).verdict
    ringfence.connectivity(shop).connections

A name is imported when it is first used, so that `import ringfence` costs next to nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ringfence.assemble import load, load_live
    from ringfence.engine import Engine
    from ringfence.errors import RingfenceError
    from ringfence.model.snapshot import Snapshot
    from ringfence.model.verdict import Judgement, Verdict
    from ringfence.questions.check import Checker, check
    from ringfence.questions.connectivity import connectivity
    from ringfence.questions.diff import diff
    from ringfence.questions.explain import explain
    from ringfence.questions.exposure import exposure
    from ringfence.questions.mtls import mtls

__all__ = [
    "Checker",
    "Engine",
    "Judgement",
    "RingfenceError",
    "Snapshot",
    "Verdict",
    "check",
    "connectivity",
    "diff",
    "explain",
    "exposure",
    "load",
    "load_live",
    "mtls",
]

_HOMES = {
    "Checker": "ringfence.questions.check",
    "Engine": "ringfence.engine",
    "Judgement": "ringfence.model.verdict",
    "RingfenceError": "ringfence.errors",
    "Snapshot": "ringfence.model.snapshot",
    "Verdict": "ringfence.model.verdict",
    "check": "ringfence.questions.check",
    "connectivity": "ringfence.questions.connectivity",
    "diff": "ringfence.questions.diff",
    "explain": "ringfence.questions.explain",
    "exposure": "ringfence.questions.exposure",
    "load": "ringfence.assemble",
    "load_live": "ringfence.assemble",
    "mtls": "ringfence.questions.mtls",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Import a public name from its home on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module `ringfence` has no attribute `{name}`")
    return getattr(importlib.import_module(_HOMES[name]), name)
