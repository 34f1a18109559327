"""What a question leaves open, made concrete: requests one of which stands for each that may be.

Each policy tells requests apart by a few values. For every pattern there is a value that meets it,
for every two that may be met together one that meets both, and one that meets none.
"""

from collections.abc import Iterable, Iterator
from itertools import product

from ringfence.model.layer7 import Request
from ringfence.model.rule import Chain
from ringfence.reference.istio_envoy import Facts
from ringfence.reference.istio_objects import config
from ringfence.reference.istio_paths import normalised
from ringfence.reference.istio_policies import Policy
from ringfence.reference.istio_rules import Field, Rule
from ringfence.reference.mesh_flow import Flow

OTHER = "zz"
"""Stands for what no policy speaks of."""


def witnesses(
    flow: Flow,
    request: Request,
    chain: Chain,
    port: int,
    policies: Iterable[Policy],
    *,
    at_waypoint: bool,
) -> Iterator[Facts]:
    """Yield what the question may mean, as the filters of a port read it.

    Args:
        flow: the connection.
        request: what is known of what is said above the port.
        chain: how the port is read.
        port: what `ports` are compared with.
        policies: those that are to be judged by.
        at_waypoint: whether a waypoint judges, not the destination's own proxy.
    """
    fields = [
        one
        for policy in policies
        for rule in policy.rules
        if isinstance(rule, Rule)
        for one in rule.fields
    ]
    if request.http is not True or chain is Chain.TCP:
        as_http = chain is Chain.HTTP
        yield Facts(flow, port, as_http=as_http, http=False, at_waypoint=at_waypoint)
    if request.http is not False and not request.dns and chain is not Chain.TCP:
        yield from _requests(flow, request, port, fields, at_waypoint=at_waypoint)


def _requests(
    flow: Flow, request: Request, port: int, fields: list[Field], *, at_waypoint: bool
) -> Iterator[Facts]:
    """Yield HTTP requests."""
    how = config(flow.snapshot).normalization
    methods = _said(request.method, _strings(fields, "methods", OTHER.upper()))
    paths = _said(request.path, [_absolute(p) for p in _strings(fields, "paths", OTHER)])
    hosts = _said(request.host, _strings(fields, "hosts", OTHER))
    headers = [request.headers] if request.headers is not None else list(_headers(fields))
    for method, path, host, sent in product(methods, paths, hosts, headers):
        yield Facts(
            flow,
            port,
            as_http=True,
            http=True,
            at_waypoint=at_waypoint,
            method=method,
            path=normalised(path, how),
            host=host,
            headers=sent,
        )


def _said(value: str | None, possible: list[str]) -> list[str]:
    """Return what the question says, else all that it may mean."""
    return possible if value is None else [value]


def _absolute(path: str) -> str:
    return path if path.startswith("/") else f"/{path}"


def _headers(fields: list[Field]) -> Iterator[tuple[tuple[str, str], ...]]:
    """Yield sets of headers: each that a policy speaks of is missing, or has one of its values."""
    names = sorted({one.header for one in fields if one.kind == "headers"})
    choices: list[list[tuple[tuple[str, str], ...]]] = []
    for name in names:
        spoken = [one for one in fields if one.header == name]
        values = _strings(spoken, "headers", OTHER)
        choices.append([(), *(((name, value),) for value in values)])
    for chosen in product(*choices):
        yield tuple(sorted(pair for part in chosen for pair in part))


def _strings(fields: list[Field], kind: str, other: str) -> list[str]:
    """Return strings that tell apart all that the fields of one kind tell apart."""
    patterns = dict.fromkeys(
        value for one in fields if one.kind == kind for value in (*one.values, *one.not_values)
    )
    found = {other: None}
    fronts, backs = [""], [""]
    for pattern in patterns:
        if "{*}" in pattern or "{**}" in pattern:
            for many in ("", other, f"{other}/{other}"):
                found[pattern.replace("{**}", many).replace("{*}", other)] = None
        elif pattern.startswith("*"):
            backs.append(pattern[1:])
        elif pattern.endswith("*"):
            fronts.append(pattern[:-1])
        else:
            found[pattern] = None
    for front, back in product(fronts, backs):
        for middle in ("", other):
            if front + middle + back:
                found[front + middle + back] = None
    return list(found)
