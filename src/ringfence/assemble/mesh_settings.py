"""Reads how the meshes of a cluster are set up: Istio's mesh configuration, Linkerd's values.

Both are YAML of their own: in a file that is given (`from_text`), or in a ConfigMap of the
cluster (`from_catalog`), where it stands in one string.

Authority: istio/api `mesh/v1alpha1/config.proto`; linkerd2
`charts/linkerd-control-plane/values.yaml`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec

from ringfence.assemble.catalog import Catalog
from ringfence.assemble.surroundings import canonical_cidr
from ringfence.assemble.values import Malformed, mapping, mappings, text, texts
from ringfence.errors import InputError
from ringfence.model.document import Document, Path
from ringfence.model.location import Location, Problem
from ringfence.model.mesh import IstioConfig, LinkerdConfig
from ringfence.sources import manifest_values
from ringfence.sources.manifest_values import Broken
from ringfence.yaml_text import type_text

MESH, VALUES, MESH_CONFIG = "mesh", "values", "meshConfig"
ISTIO_KEYS: Final = frozenset(
    {
        "accessLogFile",
        "defaultConfig",
        "discoverySelectors",
        "enableAutoMtls",
        "extensionProviders",
        "meshMTLS",
        "outboundTrafficPolicy",
        "pathNormalization",
        "rootNamespace",
        "trustDomain",
        "trustDomainAliases",
    }
)
LINKERD_KEYS: Final = frozenset(
    {
        "clusterNetworks",
        "egress",
        "identityTrustAnchorsPEM",
        "identityTrustDomain",
        "linkerdVersion",
        "policyController",
        "proxy",
        "proxyInit",
    }
)
"""What tells the one from the other, in a file that does not say what it is."""
NORMALIZATIONS: Final = ("NONE", "BASE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES")
OUTBOUND_MODES: Final = ("ALLOW_ANY", "REGISTRY_ONLY")
INBOUND_POLICIES: Final = (
    "all-authenticated",
    "all-unauthenticated",
    "cluster-authenticated",
    "cluster-unauthenticated",
    "audit",
    "deny",
)
AFFECTED: Final = {MESH: ("AuthorizationPolicy",), VALUES: ("Server",)}
"""A policy of the mesh that cannot be judged where its configuration cannot be read."""

UNEXPORTED: Final = (
    "{}: `{}` is not judged: what does not say where it is exported is taken to be so everywhere"
)
UNSELECTED: Final = (
    "{}: `discoverySelectors` is not judged: every namespace is taken to be known to Istio"
)


@dataclass(frozen=True)
class Injected:
    """What Linkerd's injector writes into pods that say nothing else, as ports are written."""

    skip_inbound: str = "4567,4568"
    skip_outbound: str = "4567,4568"
    opaque: str = "25,587,3306,4444,5432,6379,9300,11211"
    identity_ports: str = ""


@dataclass(frozen=True)
class Settings:
    """What is told of the meshes; None where nothing is."""

    istio: IstioConfig | None = None
    linkerd: LinkerdConfig | None = None
    injected: Injected = Injected()
    warnings: tuple[str, ...] = ()
    """What they say of Istio that is not judged."""

    def over(self, other: "Settings") -> "Settings":
        """Return these, and of what they do not tell, what others do."""
        return Settings(
            self.istio or other.istio,
            self.linkerd or other.linkerd,
            self.injected if self.linkerd else other.injected,
            self.warnings if self.istio else other.warnings,
        )


NOTHING: Final = Settings()


# -- a file ----------------------------------------------------------------------------------


def from_text(written: str, file: str) -> Settings:
    """Return what a file says: a MeshConfig, values of Linkerd, or ConfigMaps that hold them.

    Raises:
        InputError: it is none of them, or cannot be understood; with its line.
    """
    found = NOTHING
    for value, document in _values(written, file, 1):
        if not isinstance(value, dict):
            raise InputError(f"a map is expected, not {type_text(value)}", document.location_of())
        if value.get("kind") == "ConfigMap":
            read = _from_config_map(document)
            if read is None:
                message = "a ConfigMap with neither `mesh`, as Istio's, nor `values`, as Linkerd's"
                raise InputError(message, document.location_of())
            found = read.over(found)
        else:
            found = _from_plain(document).over(found)
    if found == NOTHING:
        raise InputError("no mesh configuration in it", Location(file))
    return found


def _from_plain(document: Document) -> Settings:
    body = document.body
    if isinstance(inner := body.get("spec"), dict) and MESH_CONFIG in inner:
        return _checked(document, inner[MESH_CONFIG], ("spec", MESH_CONFIG), _istio)
    if MESH_CONFIG in body:
        return _checked(document, body[MESH_CONFIG], (MESH_CONFIG,), _istio)
    if ISTIO_KEYS & body.keys():
        return _checked(document, body, (), _istio)
    if LINKERD_KEYS & body.keys():
        return _checked(document, body, (), _linkerd)
    raise InputError(
        "neither a mesh configuration of Istio nor values of Linkerd", document.location_of()
    )


# -- a cluster -------------------------------------------------------------------------------


def from_catalog(catalog: Catalog, problems: list[Problem]) -> Settings:
    """Return what the ConfigMaps of a cluster say; what cannot be read goes to `problems`.

    Of several control planes (revisions) the one in `istio-system` without a revision counts.
    """
    found = NOTHING
    counted: dict[str, Document] = {}
    for document in sorted(catalog.of("ConfigMap"), key=_rank):
        data = document.body.get("data")
        key = next((k for k in (MESH, VALUES) if isinstance(data, dict) and k in data), None)
        if key is None:
            continue
        try:
            read = _from_config_map(document) or NOTHING
        except InputError as error:
            place = error.location or document.location_of()
            message = f"{document.ref}: {error.message}"
            problems.append(Problem(message, place, AFFECTED[key], document.ref))
            # It is there, so that no default is assumed; what it decides is unknown.
            unread = document.ref
            read = (
                Settings(istio=IstioConfig(source=unread))
                if key == MESH
                else Settings(linkerd=LinkerdConfig(source=unread))
            )
        if key in counted and _differs(found, read):
            problems.append(
                Problem(
                    f"{counted[key].ref} and {document.ref} differ: the former counts, "
                    "--mesh-config settles it",
                    document.location_of(),
                    (),
                    document.ref,
                    severity="warning",
                )
            )
        counted.setdefault(key, document)
        found = found.over(read)
    return found


def _rank(document: Document) -> tuple[bool, bool, str, str]:
    at_home = document.namespace in {"istio-system", "linkerd"}
    return not at_home, "-" in document.name, document.namespace, document.name


def _differs(one: Settings, other: Settings) -> bool:
    def bare(config: IstioConfig | LinkerdConfig | None) -> object:
        return config and msgspec.structs.replace(config, source="")

    return any(
        mine is not None and theirs is not None and bare(mine) != bare(theirs)
        for mine, theirs in ((one.istio, other.istio), (one.linkerd, other.linkerd))
    )


def _from_config_map(document: Document) -> Settings | None:
    """Return what a ConfigMap says; None where it says nothing of a mesh.

    Raises:
        InputError: what it says cannot be understood.
    """
    data = document.body.get("data")
    for key, read in ((MESH, _istio), (VALUES, _linkerd)):
        if isinstance(data, dict) and key in data:
            written, at = data[key], document.location_of(("data", key))
            if not isinstance(written, str):
                message = f"`data.{key}` is {type_text(written)}, not a string"
                raise InputError(message, at)
            below = at.line + ("\n" in written) if at.line else None
            found = NOTHING
            for value, inner in _values(written, document.file, below):
                named = msgspec.structs.replace(
                    inner, kind=document.kind, namespace=document.namespace, name=document.name
                )
                found = _checked(named, value, (), read)
            if found.linkerd and document.namespace:
                # It is where the control plane is, of which newer values say nothing.
                linkerd = msgspec.structs.replace(found.linkerd, namespace=document.namespace)
                found = replace(found, linkerd=linkerd)
            return found
    return None


# -- what they say ---------------------------------------------------------------------------


def _values(written: str, file: str, line: int | None) -> Iterator[tuple[Any, Document]]:
    """Yield the values of a text of YAML, and each as a document that knows its lines.

    Args:
        written: the text.
        file: where it stands.
        line: the line that its first one is; None where lines are not known.

    Raises:
        InputError: it is no YAML.
    """
    for part in manifest_values.read(written, file):
        if isinstance(part, Broken):
            place = part.error.location
            if line is None or place is None or place.line is None:
                raise InputError(part.error.message, Location(file))
            raise InputError(part.error.message, Location(file, place.line + line - 1))
        value = part.value
        lines = () if line is None else tuple(n + line - 1 for n in part.lines())
        own = None if line is None else part.line + line - 1
        body = value if isinstance(value, dict) else {}
        yield value, Document("", str(body.get("kind") or ""), "", "", body, file, own, lines)


def _checked(document: Document, value: Any, path: Path, read: Any) -> Settings:  # noqa: ANN401
    """Return what `read` makes of a value that stands somewhere in a document.

    Raises:
        InputError: something in it is not as it has to be.
    """
    try:
        if not isinstance(value, dict):
            raise Malformed(f"expected a map, found {type_text(value)}", path)
        place = document.location_of()
        name = "/".join(filter(None, (document.kind, document.namespace, document.name)))
        found: Settings = read(value, path, name if document.name else place.file)
    except Malformed as malformed:
        told = malformed.of(document).message
        message = told.removeprefix(f"{document.ref}: ")
        raise InputError(message, document.location_of(malformed.path)) from malformed
    return found


def _istio(value: dict[str, Any], path: Path, source: str) -> Settings:
    """Return what a MeshConfig says."""
    defaults = IstioConfig()
    outbound = mapping(value, "outboundTrafficPolicy", path)
    paths = mapping(value, "pathNormalization", path)
    normalization = text(paths, "normalization", (*path, "pathNormalization")) or "DEFAULT"
    mode = text(outbound, "mode", (*path, "outboundTrafficPolicy")) or OUTBOUND_MODES[0]
    if normalization == "DEFAULT":
        normalization = defaults.normalization
    _one_of(normalization, NORMALIZATIONS, (*path, "pathNormalization", "normalization"))
    _one_of(mode, OUTBOUND_MODES, (*path, "outboundTrafficPolicy", "mode"))
    auto = value.get("enableAutoMtls")
    if not isinstance(auto, bool | None):
        reason = f"expected true or false, found {type_text(auto)}"
        raise Malformed(reason, (*path, "enableAutoMtls"))
    providers = (
        text(provider, "name", (*path, "extensionProviders", index))
        for index, provider in enumerate(mappings(value, "extensionProviders", path))
    )
    return Settings(
        istio=IstioConfig(
            source=source,
            root_namespace=text(value, "rootNamespace", path) or defaults.root_namespace,
            trust_domain=text(value, "trustDomain", path) or defaults.trust_domain,
            trust_domain_aliases=tuple(texts(value, "trustDomainAliases", path)),
            registry_only=mode == "REGISTRY_ONLY",
            normalization=normalization,
            auto_mtls=auto is not False,
            providers=tuple(sorted({provider for provider in providers if provider})),
        ),
        warnings=(
            *((UNSELECTED.format(source),) if value.get("discoverySelectors") else ()),
            *(
                UNEXPORTED.format(source, name)
                for name in ("defaultServiceExportTo", "defaultDestinationRuleExportTo")
                if value.get(name) not in (None, [], ["*"])
            ),
        ),
    )


def _linkerd(value: dict[str, Any], path: Path, source: str) -> Settings:
    """Return what values of Linkerd's chart say, and what the injector takes from them."""
    defaults, injected = LinkerdConfig(), Injected()
    proxy = mapping(value, "proxy", path)
    init, init_path = mapping(value, "proxyInit", path), (*path, "proxyInit")
    controller = mapping(value, "policyController", path)
    egress = mapping(value, "egress", path)
    proxy_path: Path = (*path, "proxy")
    inbound = text(proxy, "defaultInboundPolicy", proxy_path) or text(
        controller, "defaultAllowPolicy", (*path, "policyController")
    )
    inbound = inbound or defaults.default_inbound
    _one_of(inbound, INBOUND_POLICIES, (*proxy_path, "defaultInboundPolicy"))
    cluster = text(value, "clusterNetworks", path)
    probes = texts(controller, "probeNetworks", (*path, "policyController"))
    mode = text(proxy, "outboundTransportMode", proxy_path)
    if not mode:
        # The values that a cluster keeps are complete: before 2.18 there was no such key.
        mode = "transparent" if "linkerdVersion" in value else "transport-header"
    return Settings(
        linkerd=LinkerdConfig(
            source=source,
            namespace=text(value, "namespace", path) or defaults.namespace,
            trust_domain=text(value, "identityTrustDomain", path)
            or text(value, "clusterDomain", path)
            or defaults.trust_domain,
            default_inbound=inbound,
            cluster_networks=_cidrs(cluster.split(","), (*path, "clusterNetworks"))
            or defaults.cluster_networks,
            probe_networks=_cidrs(probes, (*path, "policyController", "probeNetworks"))
            or defaults.probe_networks,
            egress_namespace=text(egress, "globalEgressNetworkNamespace", (*path, "egress"))
            or defaults.egress_namespace,
            transport_header=mode == "transport-header",
        ),
        injected=Injected(
            _ports(init, "ignoreInboundPorts", init_path, injected.skip_inbound),
            _ports(init, "ignoreOutboundPorts", init_path, injected.skip_outbound),
            _ports(proxy, "opaquePorts", proxy_path, injected.opaque),
            _ports(proxy, "requireIdentityOnInboundPorts", proxy_path, injected.identity_ports),
        ),
    )


def _one_of(value: str, known: tuple[str, ...], path: Path) -> None:
    if value not in known:
        raise Malformed(f"`{value}` is none of {', '.join(known)}", path)


def _cidrs(written: list[str], path: Path) -> tuple[str, ...]:
    found = []
    for item in filter(None, map(str.strip, written)):
        canonical = canonical_cidr(item)
        if canonical is None:
            raise Malformed(f"`{item}` is no CIDR", path)
        found.append(canonical)
    return tuple(found)


PORT_LIST: Final = re.compile(r"[\d,\s-]*")


def _ports(parent: Mapping[str, Any], key: str, path: Path, default: str) -> str:
    """Return a list of ports as it is written; one alone may be a number."""
    value = parent.get(key)
    if value is None:
        return default
    written = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(written, str) or not PORT_LIST.fullmatch(written):
        raise Malformed(f"`{value}` is no list of ports", (*path, key))
    return written
