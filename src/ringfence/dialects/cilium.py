"""`cilium.io/v2` CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy, with CiliumCIDRGroup.

Authority: Cilium `pkg/policy/api`, `pkg/k8s/apis/cilium.io/v2/{cnp,ccnp}_types.go`,
`pkg/k8s/apis/cilium.io/utils/utils.go`.
"""

from typing import Any, Final

from ringfence.dialects import Context, Dialect, _cilium_rules
from ringfence.dialects._cilium_blocks import GROUP
from ringfence.dialects._cilium_peers import Surroundings
from ringfence.dialects._cilium_rules import SECTIONS, Policing
from ringfence.dialects._cilium_selectors import hosts, selects_initializing, subject
from ringfence.dialects._emit_cilium import emit
from ringfence.dialects._shared import Malformed, fields, items, text
from ringfence.model import tiers
from ringfence.model.document import Document, Path
from ringfence.model.profile import Cni, Profile
from ringfence.model.rule import Direction, Peer, Policy, Rule, Unreadable

BODY: Final = ("apiVersion", "kind", "metadata", "spec", "specs", "status")
CLUSTERWIDE: Final = "CiliumClusterwideNetworkPolicy"


def parse(index: int, document: Document, context: Context) -> list[Policy]:
    """Return one policy for `spec`, and one for each of `specs`.

    Cilium takes an object as a whole or not at all: what is wrong at one place makes all of it
    unreadable.
    """
    if document.kind == GROUP:
        return []
    roots: list[tuple[Path, Any]] = []
    try:
        roots = _roots(document)
        fields(document.body, (), BODY)
        found = [_policy(index, document, context, value, path) for path, value in roots]
    except Malformed as malformed:
        wrong = (malformed.unreadable,)
        return [
            _unreadable(index, document, value, path, wrong)
            for path, value in roots or [(("spec",), None)]
        ]
    return [policy for policy in found if policy]


def _roots(document: Document) -> list[tuple[Path, Any]]:
    """Return the rules of an object with their paths.

    Source: `cnp_types.go` Parse: neither `spec` nor `specs` is an error.
    """
    body = document.body
    spec, specs = body.get("spec"), body.get("specs")
    if spec is None and specs is None:
        raise Malformed("`spec` or `specs` is required", ())
    first = [] if spec is None else [(("spec",), spec)]
    return [*first, *items(specs, ("specs",))]


def _unreadable(
    index: int,
    document: Document,
    value: Any,  # noqa: ANN401
    path: Path,
    wrong: tuple[Unreadable, ...],
) -> Policy:
    selected: Peer | None = None
    if isinstance(value, dict):
        try:
            selected = _subject(value, path, document.namespace)
        except Malformed:
            selected = None
    return _as_policy(index, document, path, selected, unreadable=wrong)


def _as_policy(
    index: int,
    document: Document,
    path: Path,
    selected: Peer | None,
    isolates: tuple[Direction, ...] = (),
    rules: tuple[Rule, ...] = (),
    unreadable: tuple[Unreadable, ...] = (),
) -> Policy:
    return Policy(
        document=index,
        kind=document.title,
        namespace=document.namespace,
        name=document.name,
        tier=tiers.CILIUM_NORMAL,
        tie=document.name,
        subject=selected,
        isolates=isolates,
        isolation_path=path,
        rules=rules,
        unreadable=unreadable,
    )


def _subject(given: dict[str, Any], path: Path, namespace: str) -> Peer:
    """Return the subject of a rule.

    Source: `rule_validation.go` Rule.Validate; `cnp_types.go` Parse: no nodes in a namespaced one.
    """
    by_pods, by_nodes = given.get("endpointSelector"), given.get("nodeSelector")
    if (by_pods is None) == (by_nodes is None):
        raise Malformed("exactly one of endpointSelector and nodeSelector", path)
    if by_nodes is None:
        return subject(by_pods, (*path, "endpointSelector"), namespace)
    if namespace:
        raise Malformed("only a clusterwide policy selects nodes", (*path, "nodeSelector"))
    return hosts(by_nodes, (*path, "nodeSelector"))


def _policy(
    index: int,
    document: Document,
    context: Context,
    value: Any,  # noqa: ANN401
    path: Path,
) -> Policy | None:
    """Return one policy; None where it is of nodes, and the host firewall is off."""
    known = ["endpointSelector", "nodeSelector", "labels", "description", "log"]
    known += [section.name for section in SECTIONS]
    around = _surroundings(document, context, value, path)
    if not around.older_than(1, 16):
        known.append("enableDefaultDeny")
    given = fields(value, path, known)
    _check_notes(given, path)
    selected = _subject(given, path, document.namespace)
    listed = {s.name: items(given.get(s.name), (*path, s.name)) for s in SECTIONS}
    if not any(listed.values()) and not around.older_than(1, 19):
        raise Malformed("cilium refuses a policy without any rule", path)
    ruled = {s.direction for s in SECTIONS if listed[s.name]}
    default_deny = _default_deny(given, path)
    isolates = tuple(
        direction
        for direction in Direction
        if direction in ruled and default_deny.get(direction, True)
    )
    rules: list[Rule] = []
    for section in SECTIONS:
        policing = Policing("nodeSelector" in given, section.direction in isolates)
        for at, item in listed[section.name]:
            rules += _cilium_rules.parse(item, at, section, around, policing)
    if "nodeSelector" in given and not around.settings.host_firewall:
        return None
    return _as_policy(index, document, path, selected, isolates, tuple(rules))


def _surroundings(document: Document, context: Context, value: Any, path: Path) -> Surroundings:  # noqa: ANN401
    selector = value.get("endpointSelector") if isinstance(value, dict) else None
    at = (*path, "endpointSelector")
    return Surroundings(
        namespace=document.namespace,
        initializing=selector is not None and selects_initializing(selector, at),
        context=context,
    )


def _check_notes(given: dict[str, Any], path: Path) -> None:
    """Check the fields that change no verdict."""
    text(given.get("description", ""), (*path, "description"))
    for at, label in items(given.get("labels"), (*path, "labels")):
        for key, written in fields(label, at, ("key", "value", "source")).items():
            text(written, (*at, key))
    if "log" in given:
        at = (*path, "log")
        text(fields(given["log"], at, ("value",)).get("value", ""), (*at, "value"))


def _default_deny(given: dict[str, Any], path: Path) -> dict[Direction, bool]:
    """Return what `enableDefaultDeny` says; a direction that it leaves out denies with its rules.

    Source: `rule_validation.go` Rule.Sanitize.
    """
    at = (*path, "enableDefaultDeny")
    written = fields(given.get("enableDefaultDeny", {}), at, tuple(Direction))
    for direction, value in written.items():
        if not isinstance(value, bool):
            raise Malformed("expected true or false", (*at, direction))
    return {Direction(direction): value for direction, value in written.items()}


def inert_because(kind: str, profile: Profile) -> str | None:
    """Return why the profile does not enforce Cilium's policies; None where it does."""
    match profile.cni:
        case Cni.CILIUM:
            return None
        case Cni.NONE:
            return "nothing in this cluster enforces network policies (profile none)"
        case _:
            return f"only cilium knows {kind}, not {profile.cni}"


DIALECT: Final = Dialect(
    kinds=frozenset(
        {
            ("cilium.io", "CiliumNetworkPolicy"),
            ("cilium.io", CLUSTERWIDE),
            ("cilium.io", GROUP),
        }
    ),
    parse=parse,
    inert_because=inert_because,
    emit=emit,
)
