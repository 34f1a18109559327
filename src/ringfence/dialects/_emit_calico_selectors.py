"""Writes selectors in Calico's own language, and the entities of rules that are made of them.

Authority: Calico `libcalico-go/lib/selector/parser/ast.go` and `tokenizer.go`.
"""

import re
from typing import Any, Final

from ringfence.model.label_space import (
    CALICO_NAMESPACE,
    CALICO_NAMESPACE_PREFIX,
    CALICO_ORCHESTRATOR,
    CALICO_SERVICE_ACCOUNT,
    CALICO_SERVICE_ACCOUNT_PREFIX,
    NAMESPACE_NAME,
)
from ringfence.model.rule import PodPeer
from ringfence.model.selector import (
    EVERYTHING,
    LabelAnd,
    LabelExpression,
    LabelIs,
    LabelNot,
    LabelOr,
    Operator,
    Requirement,
    expression,
    expression_keys,
    from_labels,
)

ALL: Final = "all()"

_LABEL: Final = re.compile(r"[A-Za-z0-9_./-]{1,512}")
_OBJECT_NAME: Final = "projectcalico.org/name"
"""Within a selector of namespaces or service accounts: the name of the object itself."""
_PODS: Final = LabelIs(Requirement(CALICO_ORCHESTRATOR, Operator.IN, ("k8s",)))
"""Keeps network sets out, which carry labels too: as Calico does for Kubernetes' own policies.

Source: Calico `libcalico-go/lib/backend/k8s/conversion/conversion.go`."""


class Unsayable(Exception):  # noqa: N818 - it is told, not raised to anybody
    """Calico has no words for it; the message says why."""


def selector_text(found: LabelExpression) -> str:
    """Return a selector as Calico writes it; `all()` for one that selects everything.

    Raises:
        Unsayable: it holds a key or a value that the language has no way to write.
    """
    match found:
        case LabelIs(requirement):
            return _requirement(requirement)
        case LabelNot(part):
            text = selector_text(part)
            return f"!{text}" if text.startswith("has(") and _single(part) else f"!({text})"
        case LabelAnd(()):
            return ALL
        case LabelOr(()):
            return f"!{ALL}"
        case LabelAnd(parts):
            return " && ".join(map(_operand, parts))
        case LabelOr(parts):
            return " || ".join(map(_operand, parts))


def entity_of_pods(peer: PodPeer, own_namespace: str) -> dict[str, Any]:
    """Return pods as the source or destination of a rule in a namespace's policy.

    Source: Calico `libcalico-go/lib/backend/syncersv1/updateprocessors/rules.go`
    getEndpointSelector: a selector without a `namespaceSelector` stays in the own namespace.

    Raises:
        Unsayable: see `selector_text`.
    """
    found: dict[str, Any] = {}
    if peer.namespaces != from_labels({NAMESPACE_NAME: own_namespace}):
        found["namespaceSelector"] = selector_text(expression(peer.namespaces))
    pods = () if peer.pods == EVERYTHING else expression(peer.pods).parts
    return {"selector": selector_text(LabelAnd((_PODS, *pods))), **found}


def entity_of_labels(found: LabelExpression, own_namespace: str) -> dict[str, Any]:
    """Return endpoints by their labels as the source or destination of a rule.

    What is said of the namespace and of the service account has fields of its own.

    Raises:
        Unsayable: it names no namespace (a namespace's policy always would), mixes what fields
            keep apart, or cannot be written.
    """
    parts = found.parts if isinstance(found, LabelAnd) else (found,)
    namespaces: list[LabelExpression] = []
    accounts: list[LabelExpression] = []
    pods: list[LabelExpression] = []
    for part in parts:
        scopes = {_scope(key) for key in expression_keys(part)}
        if len(scopes) != 1:
            raise Unsayable("it says of labels and namespaces together what has fields apart")
        {"namespace": namespaces, "account": accounts, "pod": pods}[scopes.pop()].append(part)
    if not namespaces:
        raise Unsayable("a namespace's policy names no endpoint without naming its namespace")
    entity: dict[str, Any] = {}
    if pods:
        entity["selector"] = selector_text(LabelAnd(tuple(pods)))
    if not _names_only(namespaces, own_namespace) or not (pods or accounts):
        # Of one that says only `has(projectcalico.org/namespace)`: whatever has a namespace.
        entity["namespaceSelector"] = _scoped(namespaces, CALICO_NAMESPACE, CALICO_NAMESPACE_PREFIX)
    if accounts:
        entity["serviceAccounts"] = _service_accounts(accounts)
    return entity


def _service_accounts(parts: list[LabelExpression]) -> dict[str, Any]:
    match parts:
        case [LabelIs(Requirement(key, Operator.IN, names))] if key == CALICO_SERVICE_ACCOUNT:
            return {"names": list(names)}
        case _:
            return {
                "selector": _scoped(parts, CALICO_SERVICE_ACCOUNT, CALICO_SERVICE_ACCOUNT_PREFIX)
            }


def _names_only(parts: list[LabelExpression], namespace: str) -> bool:
    return parts == [LabelIs(Requirement(CALICO_NAMESPACE, Operator.IN, (namespace,)))]


def _scope(key: str) -> str:
    if key == CALICO_NAMESPACE or key.startswith(CALICO_NAMESPACE_PREFIX):
        return "namespace"
    if key == CALICO_SERVICE_ACCOUNT or key.startswith(CALICO_SERVICE_ACCOUNT_PREFIX):
        return "account"
    return "pod"


def _scoped(parts: list[LabelExpression], name_key: str, prefix: str) -> str:
    """Return a selector over the labels of a namespace or service account itself."""
    if all(p == LabelIs(Requirement(name_key, Operator.EXISTS)) for p in parts):
        return ALL
    return selector_text(_renamed(LabelAnd(tuple(parts)), name_key, prefix))


def _renamed(found: LabelExpression, name_key: str, prefix: str) -> LabelExpression:
    match found:
        case LabelIs(Requirement(key, operator, values)):
            own = _OBJECT_NAME if key == name_key else key.removeprefix(prefix)
            return LabelIs(Requirement(own, operator, values))
        case LabelNot(part):
            return LabelNot(_renamed(part, name_key, prefix))
        case LabelAnd(parts):
            return LabelAnd(tuple(_renamed(part, name_key, prefix) for part in parts))
        case LabelOr(parts):
            return LabelOr(tuple(_renamed(part, name_key, prefix) for part in parts))


def _operand(part: LabelExpression) -> str:
    text = selector_text(part)
    plain = isinstance(part, LabelIs | LabelNot) or not part.parts
    return text if plain else f"({text})"


def _single(part: LabelExpression) -> bool:
    return isinstance(part, LabelIs)


def _requirement(requirement: Requirement) -> str:
    key, values = requirement.key, requirement.values
    if not _LABEL.fullmatch(key):
        raise Unsayable(f"`{key}` is no label that Calico can write")
    match requirement.operator:
        case Operator.EXISTS:
            return f"has({key})"
        case Operator.DOES_NOT_EXIST:
            return f"!has({key})"
        case Operator.IN if len(values) == 1:
            return f"{key} == {_string(values[0])}"
        case Operator.NOT_IN if len(values) == 1:
            return f"{key} != {_string(values[0])}"
        case Operator.IN:
            return f"{key} in {{{', '.join(map(_string, values))}}}"
        case Operator.NOT_IN:
            return f"{key} not in {{{', '.join(map(_string, values))}}}"
        case Operator.CONTAINS:
            return f"{key} contains {_string(values[0])}"
        case Operator.STARTS_WITH:
            return f"{key} starts with {_string(values[0])}"
        case Operator.ENDS_WITH:
            return f"{key} ends with {_string(values[0])}"


def _string(value: str) -> str:
    """Return a string in quotes; the language has no escapes."""
    if "'" not in value:
        return f"'{value}'"
    if '"' not in value:
        return f'"{value}"'
    raise Unsayable(f"`{value}` holds both kinds of quotes, of which Calico escapes neither")
