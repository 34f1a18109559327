"""What workloads of a generated cluster serve over HTTP, and which names of the outside they call.

Every application has paths of its own, as real ones do, so that the patterns of a whole cluster are
as many as there are applications.
"""

import random

from bench.clusters import Workload

HTTP_COMPONENTS = frozenset({"api", "web"})
VERBS = ("GET", "POST", "PUT", "DELETE")
PROVIDERS = ("stripe", "adyen", "twilio", "datadoghq", "sentry", "auth0", "mailgun", "algolia")
TOP_LEVELS = ("com", "io", "net")


def methods_of(rng: random.Random) -> list[str]:
    """Return the methods that a caller may use."""
    return rng.sample(VERBS, rng.randint(1, 3))


def paths_of(rng: random.Random, workload: Workload) -> list[str]:
    """Return beginnings of paths that a caller may ask for; none: whatever it likes."""
    version = rng.randint(1, 2)
    team = workload.labels["team"]
    own = f"/{team}/v{version}/{workload.application}"
    return rng.choice(([], [own], [own, "/healthz"], [f"{own}/items"], [f"/v{version}/status"]))


def domain(rng: random.Random) -> str:
    """Return a name of the outside that workloads call."""
    return f"api{rng.randrange(40)}.{rng.choice(PROVIDERS)}.{rng.choice(TOP_LEVELS)}"


def wildcard(rng: random.Random) -> str:
    """Return a pattern of names of the outside."""
    return f"*.{rng.choice(PROVIDERS)}.{rng.choice(TOP_LEVELS)}"
