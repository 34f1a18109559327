"""How Hypothesis looks for examples: the same ones every time, so that the gate is no lottery.

Nor does it depend on how fast a machine is. `RINGFENCE_THOROUGH=1` looks at other examples each
time.
"""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "ringfence",
    derandomize=os.environ.get("RINGFENCE_THOROUGH") != "1",
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("ringfence")
