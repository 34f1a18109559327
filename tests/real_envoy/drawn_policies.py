"""AuthorizationPolicies drawn at random, from values that meet each other often."""

import random
from collections.abc import Callable
from typing import Any, Final

from real_envoy.compiler import Json

PRINCIPALS: Final = (
    *("*", "cluster.local/ns/web/sa/front", "cluster.local/ns/web/*", "*/sa/front", "*back"),
    *("*/ns/web/sa/front", "*local/ns/lab/sa/default", "old.example/ns/web/sa/back", "*/front.end"),
    *("cluster.local/ns/shop/sa/near", "cluster.local/ns/web-2/sa/front", "cluster*"),
    *("cluster.local/ns/web/sa/front.end", "td.example/ns/web/sa/front", "td*/ns/web/sa/back"),
)
NAMESPACES: Final = ("web", "shop", "lab", "web*", "*b", "*", "we*2", "web-2", "none")
ACCOUNTS: Final = ("web/front", "web/back", "near", "web/front.end", "lab/default", "shop/front")
DOMAINS: Final = ("cluster.local", "td.example", "old.example", "*.example", "td*", "*")
BLOCKS: Final = ("127.1.0.1", "127.1.0.0/24", "127.1.0.0/30", "127.1.1.4/30", "127.1.0.0/16", "::1")
PORTS: Final = ("8080", "9000", "7000", "81")
METHODS: Final = ("GET", "POST", "P*", "*T", "*", "DELETE", "get", "G*T")
PATHS: Final = (
    *("/", "/admin", "/admin*", "*/admin", "/admin/*", "*", "/v1/payment", "/a/{*}/c", "/a/{**}"),
    *("/{*}", "/{**}", "*.css", "/x/../admin", "//admin", "//*", "/%2f*", "*n", "/store/{**}/cart"),
    *("/A*", "/v1/{*}", "/{*}/{**}", "/~u", "/a%20b", "/a:b@c"),
)
HOSTS: Final = ("api.example.com", "API.*", "*.internal", "*", "other", "api.example.com:80", "*m")
VALUES: Final = ("a", "a*", "*a", "*", "b", "a,b", "B")


def policies(draw: random.Random) -> list[Json]:
    """Return the specs of one to three policies for a workload."""
    return [_spec(draw) for _ in range(draw.choice((1, 1, 2, 2, 3)))]


def mode(draw: random.Random) -> Json | None:
    """Return what a PeerAuthentication says, or that there is none."""
    if draw.random() < 0.7:
        return None
    modes = ("STRICT", "PERMISSIVE", "DISABLE", "UNSET")
    ports = draw.sample((8080, 9000, 7000), draw.choice((0, 1, 2)))
    return {"mode": draw.choice(modes), "ports": {port: draw.choice(modes) for port in ports}}


def _spec(draw: random.Random) -> Json:
    action = draw.choice(("ALLOW", "ALLOW", "ALLOW", "DENY", "DENY", "AUDIT"))
    least = 1 if action != "ALLOW" or draw.random() < 0.95 else 0
    rules = [_rule(draw) for _ in range(max(least, draw.choice((1, 1, 2))) if least else 0)]
    return {"action": action, "rules": rules}


def _rule(draw: random.Random) -> Json:
    found: Json = {}
    if draw.random() < 0.6:
        found["from"] = [{"source": _source(draw)} for _ in range(draw.choice((1, 1, 2)))]
    if draw.random() < 0.6:
        found["to"] = [{"operation": _operation(draw)} for _ in range(draw.choice((1, 1, 2)))]
    if draw.random() < 0.3:
        found["when"] = [_condition(draw) for _ in range(draw.choice((1, 1, 2)))]
    return found


def _some(draw: random.Random, pool: tuple[str, ...]) -> list[str]:
    return draw.sample(pool, draw.choice((1, 1, 2, 3)))


def _part(draw: random.Random, pools: dict[str, tuple[str, ...]]) -> Json:
    found: Json = {}
    for name in draw.sample(list(pools), draw.choice((1, 1, 2))):
        if draw.random() < 0.75:
            found[name] = _some(draw, pools[name])
        if name not in found or draw.random() < 0.2:
            found[f"not{name[0].upper()}{name[1:]}"] = _some(draw, pools[name])
    return found


def _source(draw: random.Random) -> Json:
    by_account = draw.random() < 0.25
    pools = {"ipBlocks": BLOCKS, "trustDomains": DOMAINS}
    identities = {"principals": PRINCIPALS, "namespaces": NAMESPACES}
    return _part(draw, pools | ({"serviceAccounts": ACCOUNTS} if by_account else identities))


def _operation(draw: random.Random) -> Json:
    pools = {"methods": METHODS, "paths": PATHS, "hosts": HOSTS, "ports": PORTS}
    return _part(draw, pools)


def _condition(draw: random.Random) -> Json:
    keys: dict[str, tuple[str, ...]] = {
        "source.ip": BLOCKS,
        "source.namespace": NAMESPACES,
        "source.principal": PRINCIPALS,
        "source.serviceAccount": ACCOUNTS,
        "destination.port": PORTS,
        "request.headers[x-a]": VALUES,
        "request.headers[X-B]": VALUES,
    }
    key = draw.choice(list(keys))
    found: dict[str, Any] = {"key": key}
    some: Callable[[], list[str]] = lambda: _some(draw, keys[key])  # noqa: E731
    if draw.random() < 0.7:
        found["values"] = some()
    if "values" not in found or draw.random() < 0.2:
        found["notValues"] = some()
    return found
