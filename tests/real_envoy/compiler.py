"""AuthorizationPolicies to what Envoy enforces: its RBAC, as a control plane would send it.

It shares no code with the judges: what it knows, it has from Istio's own compiler alone.

Source: Istio `pilot/pkg/security/authz/{builder/builder,model/model,model/generator}.go`,
`pilot/pkg/security/authz/matcher`, `pilot/pkg/security/trustdomain/bundle.go`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

Json = dict[str, Any]

TYPE: Final = "type.googleapis.com/envoy.extensions"
TOKENS: Final = "envoy.filters.http.jwt_authn"
DRY_RUN: Final = "istio.io/dry-run"
ANY: Final[Json] = {"any": True}
NEVER: Final[Json] = {
    "permissions": [{"not_rule": ANY}],
    "principals": [{"not_id": ANY}],
}
ACTIONS: Final = {"AUDIT": "LOG", "CUSTOM": "DENY", "DENY": "DENY", "ALLOW": "ALLOW"}
"""In the order of the filters; a CUSTOM policy whose provider is not there denies."""


class HttpOnlyError(Exception):
    """A field of HTTP, in filters for TCP."""


@dataclass(frozen=True)
class Settings:
    """What of the mesh's configuration the compiler needs: its trust domain, and the aliases."""

    domains: tuple[str, ...] = ("cluster.local",)


# -- the matchers of Envoy -------------------------------------------------------------------------


def regex(value: str) -> Json:
    return {"safe_regex": {"regex": value}}


def string_matcher(value: str, before: str = "") -> Json:
    """Return what a value stands for; a lone `*` is whatever is not empty."""
    if value == "*":
        return regex(".+")
    if value.startswith("*"):
        rest = value[1:]
        return regex(f"{before}.*{rest}") if before else {"suffix": rest}
    if value.endswith("*"):
        return {"prefix": before + value[:-1]}
    return {"exact": before + value}


def header_matcher(name: str, value: str, *, ignore_case: bool = False) -> Json:
    if value == "*":
        return {"header": {"name": name, "present_match": True}}
    found = string_matcher(value)
    if ignore_case:
        found["ignore_case"] = True
    return {"header": {"name": name, "string_match": found}}


def path_matcher(value: str) -> Json:
    if "{*}" in value or "{**}" in value:
        template = value.replace("{*}", "*").replace("{**}", "**")
        config = {
            "@type": f"{TYPE}.path.match.uri_template.v3.UriTemplateMatchConfig",
            "path_template": template,
        }
        return {"uri_template": {"name": "uri-template", "typed_config": config}}
    return {"url_path": {"path": string_matcher(value)}}


def block(value: str) -> Json:
    address, slash, length = value.partition("/")
    whole = 128 if ":" in address else 32
    return {"address_prefix": address, "prefix_len": int(length) if slash else whole}


def authenticated(matcher: Json) -> Json:
    return {"authenticated": {"principal_name": matcher}}


def claim(path: Iterable[str], value: Json) -> Json:
    """Return a matcher of what the filter of tokens notes, as itself or as one of a list."""
    keys = [{"key": key} for key in ("payload", *path)]
    return {"metadata": {"filter": TOKENS, "path": keys, "value": value}}


def list_claim(path: Iterable[str], value: str) -> Json:
    return claim(path, {"list_match": {"one_of": {"string_match": string_matcher(value)}}})


def request_principal(value: str) -> Json:
    issuer, _, subject = value.rpartition("/")
    if value == "*":
        issuer, subject = "*", "*"
    elif "/" not in value:
        issuer, subject = value, "*" if value.endswith("*") else ""
    parts = [
        claim([name], {"string_match": string_matcher(one)})
        for name, one in (("iss", issuer), ("sub", subject))
        if one
    ]
    return {"and_ids": {"ids": parts}}


# -- the fields of a rule --------------------------------------------------------------------------


@dataclass(frozen=True)
class Field:
    """Values that may be and values that may not, and what Envoy matches one of them by."""

    values: list[str]
    not_values: list[str]
    matcher: Callable[[str], Json]
    http_only: bool = False


def expanded(values: list[str], settings: Settings) -> list[str]:
    """Return principals in each of the mesh's trust domains, where they name one of them."""
    found: list[str] = []
    for value in values:
        domain, _, rest = value.partition("/")
        ours = domain == "cluster.local" or any(_alike(domain, one) for one in settings.domains)
        if value.count("/") != 4 or domain == "*" or not ours:
            found.append(value)
            continue
        for one in settings.domains:
            kept = domain.startswith("*") and one.endswith(domain[1:])
            found.append(value if kept else f"{one}/{rest}")
    return list(dict.fromkeys(found))


def _alike(pattern: str, domain: str) -> bool:
    if pattern.startswith("*"):
        return domain.endswith(pattern[1:])
    if pattern.endswith("*"):
        return domain.startswith(pattern[:-1])
    return pattern == domain


def _trust_domains(values: list[str], settings: Settings) -> list[str]:
    found = [
        one
        for value in values
        for one in (settings.domains if value in settings.domains else [value])
    ]
    return list(dict.fromkeys(found))


def _namespace(value: str) -> Json:
    return authenticated(regex(".*/ns/{}/.*".format(value.replace("*", ".*"))))


def _trust_domain(value: str) -> Json:
    if value == "*":
        return authenticated(regex(".+"))
    if value.startswith("*"):
        return authenticated(regex(f"spiffe://[^/]*{value[1:]}/.*"))
    if value.endswith("*"):
        return authenticated({"prefix": f"spiffe://{value[:-1]}"})
    return authenticated({"prefix": f"spiffe://{value}/"})


def _account(namespace: str) -> Callable[[str], Json]:
    def matcher(value: str) -> Json:
        owner, slash, name = value.partition("/")
        if not slash:
            owner, name = namespace, value
        return authenticated(regex(f"spiffe://.+/ns/{owner}/(.+/|)sa/{name}(/.+)?"))

    return matcher


def _principal(value: str) -> Json:
    return authenticated(string_matcher(value, "spiffe://"))


def _of_source(source: Json, namespace: str, settings: Settings) -> list[Field]:
    matchers: dict[str, tuple[Callable[[str], Json], bool]] = {
        "principals": (_principal, False),
        "requestPrincipals": (request_principal, True),
        "namespaces": (_namespace, False),
        "serviceAccounts": (_account(namespace), False),
        "trustDomains": (_trust_domain, False),
        "remoteIpBlocks": (lambda value: {"remote_ip": block(value)}, False),
        "ipBlocks": (lambda value: {"direct_remote_ip": block(value)}, False),
    }
    return _fields(source, matchers, settings)


def _of_operation(operation: Json) -> list[Field]:
    matchers: dict[str, tuple[Callable[[str], Json], bool]] = {
        "hosts": (lambda value: header_matcher(":authority", value, ignore_case=True), True),
        "methods": (lambda value: header_matcher(":method", value), True),
        "paths": (path_matcher, True),
        "ports": (lambda value: {"destination_port": int(value)}, False),
    }
    return _fields(operation, matchers, Settings())


def _fields(
    part: Json, matchers: dict[str, tuple[Callable[[str], Json], bool]], settings: Settings
) -> list[Field]:
    found = []
    for name, (matcher, http_only) in matchers.items():
        values = part.get(name, [])
        not_values = part.get(f"not{name[0].upper()}{name[1:]}", [])
        if name == "principals":
            values, not_values = expanded(values, settings), expanded(not_values, settings)
        if name == "trustDomains":
            values, not_values = (
                _trust_domains(values, settings),
                _trust_domains(not_values, settings),
            )
        if values or not_values:
            found.append(Field(values, not_values, matcher, http_only))
    return found


CONNECTION: Final = ("destination.ip", "destination.port", "connection.sni")
AS_SOURCE: Final = {
    "source.ip": "ipBlocks",
    "remote.ip": "remoteIpBlocks",
    "source.namespace": "namespaces",
    "source.principal": "principals",
    "source.serviceAccount": "serviceAccounts",
    "source.trustDomain": "trustDomains",
    "request.auth.principal": "requestPrincipals",
}


def _of_condition(condition: Json, namespace: str, settings: Settings) -> Field:
    key = condition["key"]
    values, not_values = condition.get("values", []), condition.get("notValues", [])
    if key in AS_SOURCE:
        name = AS_SOURCE[key]
        negative = f"not{name[0].upper()}{name[1:]}"
        (found,) = _of_source({name: values, negative: not_values}, namespace, settings)
        return found
    inside = key.partition("[")[2].removesuffix("]")
    matchers: dict[str, tuple[Callable[[str], Json], bool]] = {
        "destination.ip": (lambda value: {"destination_ip": block(value)}, False),
        "destination.port": (lambda value: {"destination_port": int(value)}, False),
        "connection.sni": (
            lambda value: {"requested_server_name": string_matcher(value)},
            False,
        ),
        "request.headers": (lambda value: header_matcher(inside, value), True),
        "request.auth.audiences": (lambda value: list_claim(["aud"], value), True),
        "request.auth.presenter": (lambda value: list_claim(["azp"], value), True),
        "request.auth.claims": (lambda value: list_claim(inside.split("]["), value), True),
    }
    matcher, http_only = matchers[key.partition("[")[0]]
    return Field(values, not_values, matcher, http_only)


# -- rules and policies ----------------------------------------------------------------------------


def _met(fields: list[Field], words: tuple[str, str, str, str], *, tcp: bool, allows: bool) -> Json:
    """Return what all fields demand; `words` are how Envoy says and, or, not, and lists."""
    and_word, or_word, not_word, inner = words
    parts: list[Json] = []
    for field in fields:
        if tcp and field.http_only:
            if allows:
                raise HttpOnlyError
            continue
        if field.values:
            parts.append({or_word: {inner: [field.matcher(value) for value in field.values]}})
        if field.not_values:
            refused = {or_word: {inner: [field.matcher(value) for value in field.not_values]}}
            parts.append({not_word: refused})
    return {and_word: {inner: parts or [ANY]}}


PERMISSION: Final = ("and_rules", "or_rules", "not_rule", "rules")
PRINCIPAL: Final = ("and_ids", "or_ids", "not_id", "ids")


def rule(written: Json, namespace: str, settings: Settings, *, tcp: bool, allows: bool) -> Json:
    """Return a rule as a policy of Envoy.

    Raises:
        HttpOnlyError: in filters for TCP it is left out.
    """
    conditions = written.get("when", [])
    of_connection = [one for one in conditions if one["key"] in CONNECTION]
    of_peer = [one for one in conditions if one["key"] not in CONNECTION]
    permission = [_of_condition(one, namespace, settings) for one in of_connection]
    principal = [_of_condition(one, namespace, settings) for one in of_peer]
    sources = [one["source"] for one in written.get("from", [])] or [{}]
    operations = [one["operation"] for one in written.get("to", [])] or [{}]
    return {
        "permissions": [
            _met(_of_operation(one) + permission, PERMISSION, tcp=tcp, allows=allows)
            for one in operations
        ],
        "principals": [
            _met(
                _of_source(one, namespace, settings) + principal, PRINCIPAL, tcp=tcp, allows=allows
            )
            for one in sources
        ],
    }


def filters(policies: list[Json], settings: Settings, *, tcp: bool) -> list[Json]:
    """Return the filters of a workload for the policies that apply to it."""
    found = []
    for action, word in (
        ("CUSTOM", "DENY"),
        ("AUDIT", "LOG"),
        ("DENY", "DENY"),
        ("ALLOW", "ALLOW"),
    ):
        of_action = [one for one in policies if one["spec"].get("action", "ALLOW") == action]
        if not of_action:
            continue
        sets: dict[str, Json] = {}
        for policy in of_action:
            dry = policy["metadata"].get("annotations", {}).get(DRY_RUN) == "true"
            rules = sets.setdefault(
                "shadow_rules" if dry else "rules", {"action": word, "policies": {}}
            )
            rules["policies"] |= _of_policy(policy, settings, tcp=tcp, allows=word == "ALLOW")
        found.append(_filter(sets, tcp=tcp))
    return found


def _of_policy(policy: Json, settings: Settings, *, tcp: bool, allows: bool) -> Json:
    meta = policy["metadata"]
    name, namespace = meta["name"], meta["namespace"]
    written = policy["spec"].get("rules", [])
    if not written:
        return {f"{namespace}.{name}": NEVER}
    found = {}
    for index, one in enumerate(written):
        try:
            made = rule(one, namespace, settings, tcp=tcp, allows=allows)
        except HttpOnlyError:
            continue
        found[f"{namespace}.{name}.{index}"] = made
    return found


def _filter(sets: dict[str, Json], *, tcp: bool) -> Json:
    if tcp:
        kind = f"{TYPE}.filters.network.rbac.v3.RBAC"
        return {
            "name": "envoy.filters.network.rbac",
            "typed_config": {"@type": kind, "stat_prefix": "tcp.", **sets},
        }
    kind = f"{TYPE}.filters.http.rbac.v3.RBAC"
    return {"name": "envoy.filters.http.rbac", "typed_config": {"@type": kind, **sets}}
