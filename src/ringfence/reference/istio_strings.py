"""Values of an AuthorizationPolicy's fields, as the matchers read them that Istio makes of them.

Source: Istio `pilot/pkg/security/authz/matcher/{string,header,path,host}.go`,
`pilot/pkg/security/authz/model/generator.go`; Envoy `source/extensions/path/uri_template_lib`.
"""

import re
import string

from ringfence.reference.mesh_flow import SOMEBODY

_SEGMENT = frozenset(string.ascii_letters + string.digits + "-._~%!$&'()*+,;=:@")
"""What a segment of a path consists of (RFC 3986 pchar, percent signs as they are)."""
_OPERATOR = re.compile(r"\{\*\*\}|\{\*\}")


def is_value(pattern: str, text: str) -> bool:
    """Return whether a string is meant: `*` is any but the empty one, and else where it stands.

    A star means something at one end alone: `*x` ends with x, `x*` begins with it; anywhere else it
    is itself. One at the front goes before one at the end.

    Source: matcher/string.go StringMatcherWithPrefix.
    """
    if pattern == "*":
        return text != ""
    if pattern.startswith("*"):
        return text.endswith(pattern[1:])
    if pattern.endswith("*"):
        return text.startswith(pattern[:-1])
    return text == pattern


def is_header(pattern: str, text: str) -> bool:
    """Return whether the value of a header that is there is meant: of `*` also the empty one.

    Source: matcher/header.go HeaderMatcher.
    """
    return pattern == "*" or is_value(pattern, text)


def is_host(pattern: str, text: str) -> bool:
    """Return whether a host is meant, in whatever case; a port is part of it.

    Source: matcher/header.go HostMatcher.
    """
    return is_header(pattern.lower(), text.lower())


def is_path(pattern: str, path: str) -> bool:
    """Return whether a path without its query is meant, by a template or by a pattern.

    Source: generator.go pathGenerator; `pkg/config/security` ContainsPathTemplate.
    """
    if _OPERATOR.search(pattern):
        return _fits(_pieces(pattern), path)
    return is_value(pattern, path)


def _pieces(template: str) -> list[str]:
    """Return a template in its operators and what stands between them."""
    return [piece for piece in re.split(r"(\{\*\*\}|\{\*\})", template) if piece]


def _fits(pieces: list[str], path: str) -> bool:
    """Return whether a whole path is of a template.

    `{*}` is one segment, which is not empty; `{**}` any number of characters, slashes among them.
    """
    if not pieces:
        return path == ""
    piece, rest = pieces[0], pieces[1:]
    if piece == "{*}":
        return any(
            _fits(rest, path[end:])
            for end in range(1, _run(path, _SEGMENT) + 1)
            if end == len(path) or path[end] == "/"
        )
    if piece == "{**}":
        longest = _run(path, _SEGMENT | {"/"})
        return any(_fits(rest, path[end:]) for end in range(longest + 1))
    return path.startswith(piece) and _fits(rest, path[len(piece) :])


def _run(text: str, admitted: frozenset[str]) -> int:
    """Return how many characters at the beginning are among the admitted."""
    return next((i for i, sign in enumerate(text) if sign not in admitted), len(text))


def is_peer(pattern: str, principal: str) -> bool:
    """Return whether a principal is meant; what follows a star at the front is no plain text.

    Source: matcher/string.go StringMatcherWithPrefix: it becomes `spiffe://.*<rest>`, not quoted.
    """
    if pattern.startswith("*") and pattern != "*":
        return _matches(f".*{pattern[1:]}", principal)
    return is_value(pattern, principal)


def is_namespace(pattern: str, principal: str) -> bool:
    """Return whether a principal is of a namespace; a star may stand anywhere, and may hold `/`.

    Source: generator.go srcNamespaceGenerator (`.*/ns/<value>/.*`, not quoted).
    """
    if pattern == "*" and principal == SOMEBODY:
        return True
    return _matches(".*/ns/{}/.*".format(pattern.replace("*", ".*")), principal)


def is_service_account(value: str, principal: str, namespace: str) -> bool:
    """Return whether a principal is a service account, of whatever trust domain.

    Names are not quoted: that of `front.end` is also `front-end`.

    Args:
        value: `namespace/name`, or a name in the policy's own namespace.
        principal: what the peer proves to be.
        namespace: the policy's.

    Source: generator.go serviceAccountRegex.
    """
    owner, slash, name = value.partition("/")
    if not slash:
        owner, name = namespace, value
    return _matches(f".+/ns/{owner}/(.+/|)sa/{name}(/.+)?", principal)


def is_refused(kind: str, value: str) -> bool:
    """Return whether Envoy refuses what Istio makes of a value that it does not quote."""
    import re2  # noqa: PLC0415 - only those whose policies speak of identities wait for it

    unquoted = {
        "principals": value[1:] if value.startswith("*") else "",
        "namespaces": value.replace("*", ".*"),
        "serviceAccounts": value,
    }.get(kind, "")
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(unquoted, options)
    except re2.error:
        return True
    return False


def _matches(expression: str, text: str) -> bool:
    """Return whether a regular expression matches the whole of a text, in time linear in it."""
    import re2  # noqa: PLC0415 - only those whose policies speak of identities wait for it

    return re2.fullmatch(expression, text) is not None


def with_aliases(principal: str, trust_domains: tuple[str, ...]) -> list[str]:
    """Return what a principal in a policy stands for, the trust domain's aliases considered.

    Only one of five parts names a trust domain. If that is the mesh's, an alias of it, or
    `cluster.local`, it stands for all of them; another is kept, and so is a lone star.

    Source: Istio `pilot/pkg/security/trustdomain/bundle.go`.
    """
    parts = principal.split("/")
    if len(parts) != 5 or parts[0] == "*":
        return [principal]
    said = parts[0]
    if said != "cluster.local" and not any(_alike(said, known) for known in trust_domains):
        return [principal]
    found = []
    for known in trust_domains:
        kept = said.startswith("*") and known.endswith(said[1:])
        found.append(principal if kept else "/".join((known, *parts[1:])))
    return list(dict.fromkeys(found))


def _alike(said: str, known: str) -> bool:
    """Return whether a trust domain in a policy, perhaps with a star at one end, is one known.

    Source: `pilot/pkg/security/trustdomain/util.go` stringMatch.
    """
    starts = said.endswith("*") and known.startswith(said[:-1])
    return said == known or starts or (said.startswith("*") and known.endswith(said[1:]))
