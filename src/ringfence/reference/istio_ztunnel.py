"""An AuthorizationPolicy as a ztunnel reads it: of connections alone, and it may fail open.

Source: Istio `pilot/pkg/serviceregistry/ambient/authorization.go` (handleRule,
convertAuthorizationPolicy); ztunnel `src/rbac.rs` (Authorization::matches), `src/state.rs`
(assert_rbac).
"""

from ringfence.model.rule import Direction
from ringfence.reference.istio_envoy import has_address
from ringfence.reference.istio_rules import Field, Rule
from ringfence.reference.istio_strings import is_value
from ringfence.reference.mesh_flow import Flow
from ringfence.reference.outcome import (
    NO,
    Degree,
    Match,
    all_of,
    any_of,
    certain,
    negated,
    perhaps,
)

VERSIONS = "versions of Istio differ in what a ztunnel gets of `trustDomains`"
_CONDITIONS = frozenset(
    {"source.ip", "source.namespace", "source.principal", "destination.ip", "destination.port"}
)
_FIELDS = frozenset({"principals", "namespaces", "serviceAccounts", "ipBlocks", "ports"})


def is_known(one: Field) -> bool:
    """Return whether a ztunnel knows a field; of conditions it knows fewer than of fields."""
    return one.key in _CONDITIONS if one.key else one.kind in _FIELDS


def meets(rule: Rule, flow: Flow, namespace: str, *, allows: bool) -> Match:
    """Return whether a rule matches.

    A rule that allows is left out altogether if it has any field that a ztunnel does not know. Of
    one that denies such fields are left out, and what then has no field left matches nothing:
    whatever else the rule says, it does not deny. A rule without anything matches everything.

    Of `trustDomains` a ztunnel never hears. A rule that allows and has them is left out only by
    versions of Istio that tell so; by others what else it says is all that is left.

    Args:
        rule: the rule.
        flow: the connection.
        namespace: the policy's.
        allows: whether the rule allows.

    Source: authorization.go handleRule; rbac.rs matches ("if m.is_empty()").
    """
    if allows and not all(is_known(one) or _is_trust_domain(one) for one in rule.fields):
        return NO
    clauses = [part for part in (rule.operations, rule.sources) if part]
    clauses += [((one,),) for one in rule.conditions]
    found = all_of(any_of(_part(part, flow, namespace) for part in clause) for clause in clauses)
    of_version = allows and any(_is_trust_domain(one) for one in rule.fields)
    return perhaps(VERSIONS) if of_version and found.degree is not Degree.NO else found


def _is_trust_domain(one: Field) -> bool:
    """Return whether a field of a source says which trust domain it is to be of."""
    return one.kind == "trustDomains" and not one.key


def _part(fields: tuple[Field, ...], flow: Flow, namespace: str) -> Match:
    """Return whether what is left of a source, an operation or a condition matches."""
    known = [one for one in fields if is_known(one)]
    return all_of(_holds(one, flow, namespace) for one in known) if known else NO


def _holds(one: Field, flow: Flow, namespace: str) -> Match:
    found = []
    if one.values:
        found.append(any_of(_is(one.kind, value, flow, namespace) for value in one.values))
    if one.not_values:
        any_other = any_of(_is(one.kind, value, flow, namespace) for value in one.not_values)
        found.append(negated(any_other))
    return all_of(found)


def _is(kind: str, value: str, flow: Flow, namespace: str) -> Match:
    """Return whether one value of a field is what the connection shows.

    A star means something at one end of a value alone, also in a namespace. Principals are
    compared as they are written: a ztunnel knows nothing of a trust domain's aliases.

    Source: authorization.go stringToMatch; rbac.rs.
    """
    principal = flow.principal
    parts = principal.split("/")
    of_namespace, account = (parts[2], parts[4]) if len(parts) == 5 else (principal, principal)
    match kind:
        case "principals":
            return certain(is_value(value, principal) and principal != "")
        case "namespaces":
            return certain(is_value(value, of_namespace) and principal != "")
        case "serviceAccounts":
            owner, slash, name = value.partition("/")
            wanted = (owner, name) if slash else (namespace, value)
            return certain((of_namespace, account) == wanted)
        case "ports":
            return certain(int(value) == flow.port)
        case "ipBlocks":
            return has_address(flow, value, Direction.INGRESS)
        case _:
            return has_address(flow, value, Direction.EGRESS)
