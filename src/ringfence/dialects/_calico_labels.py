"""Who is meant by the selectors of a Calico rule or policy, in Calico's label space.

Authority: Calico `libcalico-go/lib/backend/syncersv1/updateprocessors/{rules,selectors,
networkpolicyprocessor,globalnetworkpolicyprocessor}.go`.
"""

from typing import Any, Final

from ringfence.dialects import _calico_selector
from ringfence.dialects._calico_selector import ALL, SelectorError
from ringfence.dialects._shared import Malformed, filled, items, text
from ringfence.model.document import Path
from ringfence.model.label_space import (
    CALICO_NAMESPACE,
    CALICO_NAMESPACE_PREFIX,
    CALICO_SERVICE_ACCOUNT,
    CALICO_SERVICE_ACCOUNT_PREFIX,
)
from ringfence.model.selector import (
    LabelAnd,
    LabelExpression,
    LabelIs,
    LabelNot,
    Operator,
    Requirement,
)


def has(key: str) -> LabelIs:
    """Return the expression of which a label must only be there."""
    return LabelIs(Requirement(key, Operator.EXISTS))


def one_of(key: str, *values: str) -> LabelIs:
    """Return the expression of which a label must have one of these values."""
    return LabelIs(Requirement(key, Operator.IN, tuple(sorted(set(values)))))


NAMESPACED: Final = has(CALICO_NAMESPACE)
"""Pods, and the network sets of namespaces."""
GLOBAL: Final = LabelNot(NAMESPACED)
"""Host endpoints, and global network sets."""


def every(*parts: LabelExpression | None) -> LabelExpression | None:
    """Return what all the parts mean together that are there; None where none is."""
    given = [part for part in parts if part is not None]
    return given[0] if len(given) == 1 else LabelAnd(tuple(given)) if given else None


def selector(
    value: Any,  # noqa: ANN401
    path: Path,
    *,
    prefix: str = "",
    everything: LabelExpression = ALL,
) -> LabelExpression | None:
    """Return the expression of a selector; None where it is empty.

    Raises:
        Malformed: not a text, or no selector.
    """
    written = text(value, path)
    if not written:
        return None
    try:
        return _calico_selector.parse(written, prefix=prefix, everything=everything)
    except SelectorError as error:
        raise Malformed(f"no selector: {error}", path) from None


def namespaces(value: Any, path: Path) -> LabelExpression | None:  # noqa: ANN401
    """Return what a rule's namespaceSelector means; None where it is empty.

    `all()` is whatever has a namespace, `global()` is what has none.

    Raises:
        Malformed: not a text, or no selector.
    Source: `updateprocessors/rules.go` getEndpointSelector.
    """
    written = text(value, path)
    try:
        if _calico_selector.is_global(written):
            return GLOBAL
    except SelectorError as error:
        raise Malformed(f"no selector: {error}", path) from None
    return selector(value, path, prefix=CALICO_NAMESPACE_PREFIX, everything=NAMESPACED)


def service_accounts(given: dict[str, Any], path: Path) -> LabelExpression | None:
    """Return what a rule's serviceAccounts mean: one of the names, and the selector.

    Raises:
        Malformed: a name that is empty or not a text, or no selector.
    Source: `updateprocessors/rules.go` parseServiceAccounts.
    """
    labels = selector(
        given.get("selector", ""), (*path, "selector"), prefix=CALICO_SERVICE_ACCOUNT_PREFIX
    )
    names = [filled(name, at) for at, name in items(given.get("names"), (*path, "names"))]
    return every(labels, one_of(CALICO_SERVICE_ACCOUNT, *names) if names else None)


def subject(spec: dict[str, Any], namespace: str) -> LabelExpression:
    """Return whom a policy selects; an empty namespace is that of a policy of the cluster.

    In a policy of the cluster, a namespaceSelector or serviceAccountSelector makes `all()`, also
    that of the selector beside it, mean only what has a namespace or service account.

    Raises:
        Malformed: no selector.
    Source: `networkpolicyprocessor.go`, `globalnetworkpolicyprocessor.go`.
    """
    account_path = ("spec", "serviceAccountSelector")
    accounts = spec.get("serviceAccountSelector", "")
    if namespace:
        return LabelAnd(
            tuple(
                part
                for part in (
                    selector(spec.get("selector", ""), ("spec", "selector")),
                    one_of(CALICO_NAMESPACE, namespace),
                    selector(accounts, account_path, prefix=CALICO_SERVICE_ACCOUNT_PREFIX),
                )
                if part is not None
            )
        )
    inside = spec.get("namespaceSelector", "")
    everything: LabelExpression = ALL
    if inside:
        everything = NAMESPACED
    elif accounts:
        everything = has(CALICO_SERVICE_ACCOUNT)
    chosen = every(
        selector(spec.get("selector", ""), ("spec", "selector"), everything=everything),
        selector(
            inside,
            ("spec", "namespaceSelector"),
            prefix=CALICO_NAMESPACE_PREFIX,
            everything=NAMESPACED,
        ),
        selector(
            accounts,
            account_path,
            prefix=CALICO_SERVICE_ACCOUNT_PREFIX,
            everything=has(CALICO_SERVICE_ACCOUNT),
        ),
    )
    return ALL if chosen is None else chosen
