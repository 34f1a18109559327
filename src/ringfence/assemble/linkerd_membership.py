"""How pods take part in Linkerd: those that have its proxy, or that its injector will give one.

Authority: linkerd2 `pkg/inject/report.go`, `pkg/inject/inject.go`, the injector's webhook in
`charts/linkerd-control-plane/values.yaml`.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from ringfence.assemble import mesh_ports
from ringfence.assemble.catalog import Catalog
from ringfence.assemble.mesh_pods import ISTIO_PROXY, LINKERD_PROXY, PodFacts
from ringfence.assemble.mesh_ports import Ranges
from ringfence.assemble.mesh_settings import INBOUND_POLICIES, Settings
from ringfence.model.kinds import MESH_TITLES
from ringfence.model.mesh import DataPlane, LinkerdConfig, Membership, Ports

INJECT, CONFIG = "linkerd.io/inject", "config.linkerd.io/"
CONTROL_PLANE, COMPONENT = "linkerd.io/control-plane-ns", "linkerd.io/control-plane-component"
CNI = "linkerd.io/cni-resource"
WEBHOOKS = "config.linkerd.io/admission-webhooks"
SELECTED: Final = frozenset({"enabled", "ingress"})
VALUES: Final = frozenset({"", "enabled", "ingress", "disabled"})
NEVER: Final = frozenset({"kube-system", "cert-manager"})
"""Namespaces whose pods the webhook does not see."""
CONTROL_PORT: Final = (4190, 4190)
"""Of the proxy itself, which guards it by other means."""
OWN_PROBES: Final = ((4191, "/live"), (4191, "/ready"))


class LinkerdRules:
    """The rules, with what of the cluster they depend on."""

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        annotations: Mapping[str, Mapping[str, str]],
    ) -> None:
        """Look for signs of Linkerd."""
        config = settings.linkerd or LinkerdConfig()
        self._domain, self._namespace = config.trust_domain, config.namespace
        self._injected = settings.injected
        titles = {document.title for document in catalog.policies}
        self._sure = (
            settings.linkerd is not None
            or any(MESH_TITLES.get(title) == "linkerd" for title in titles)
            or any(own.get(INJECT) in SELECTED for own in annotations.values())
        )
        self.there = self._sure
        """Whether anything of Linkerd is there, beside pods."""
        self.control_plane = self._namespace
        """Where its control plane is, as the pods that were asked for say."""

    def of(self, pod: PodFacts) -> Membership | None:
        """Return how a pod takes part; None where it does not."""
        if LINKERD_PROXY in pod.containers.proxies:
            return self._member(pod, seen=True)
        if pod.created:
            return None
        if _injected(pod):
            return self._member(pod, seen=False)
        if self._is_unclear(pod):
            return self._member(
                pod,
                seen=False,
                unclear=(
                    f"whether pods of namespace `{pod.space.name}` are in the mesh: no Namespace "
                    "object of the input has its annotations"
                ),
            )
        return None

    def _is_unclear(self, pod: PodFacts) -> bool:
        return (
            self._sure
            and pod.space.labels is None
            and pod.space.name not in NEVER
            and pod.annotations.get(INJECT, "") == ""
            and _injectable(pod)
        )

    def _member(self, pod: PodFacts, *, seen: bool, unclear: str = "") -> Membership:
        control_plane = pod.labels.get(CONTROL_PLANE)
        if control_plane:
            self.control_plane = control_plane
        else:
            control_plane = self._namespace
        reasons = [unclear] if unclear else []

        def skipped(name: str, default: str) -> Ranges:
            written = pod.told(f"{CONFIG}{name}")
            found = mesh_ports.parse(default if written is None else written)
            if found is None:
                reasons.append(f"`{CONFIG}{name}: {written}` is no list of ports")
            return found or ()

        inbound = skipped("skip-inbound-ports", self._injected.skip_inbound)
        outbound = skipped("skip-outbound-ports", self._injected.skip_outbound)
        policy = pod.told(f"{CONFIG}default-inbound-policy") or ""
        probes = pod.containers.probes
        if not seen:
            probes = tuple(sorted({*probes, *OWN_PROBES}))
        return Membership(
            DataPlane.LINKERD,
            principal(self._domain, control_plane, pod.space.name, pod.account),
            seen=seen,
            inbound=Ports(mesh_ports.joined((*inbound, CONTROL_PORT))),
            outbound=Ports(outbound),
            # The policy controller passes over what it does not know.
            default_inbound=policy if policy in INBOUND_POLICIES else "",
            identity_ports=self._identity_ports(pod),
            opaque=self._opaque(pod, seen=seen),
            probes=probes,
            uncertain="; ".join(reasons),
        )

    def _identity_ports(self, pod: PodFacts) -> Ranges:
        written = pod.told(f"{CONFIG}proxy-require-identity-inbound-ports")
        found = mesh_ports.parse(self._injected.identity_ports if written is None else written)
        # Source: linkerd2 `policy-controller/k8s/index/src/inbound/pod.rs` ports_annotation.
        return found or ()

    def _opaque(self, pod: PodFacts, *, seen: bool) -> Ranges:
        """Return the ports of which the proxy does not look into what is said.

        The injector writes the default down for the ports that the pod declares.
        Source: linkerd2 `controller/proxy-injector/webhook.go`, `pkg/inject` FilterPodOpaquePorts.
        """
        named: defaultdict[str, list[int]] = defaultdict(list)
        for name, number in pod.containers.ports:
            named[name].append(number)
        annotation = f"{CONFIG}opaque-ports"
        written = pod.annotations.get(annotation) if seen else pod.told(annotation)
        if written is not None:
            return mesh_ports.parse(written, named) or ()
        if seen:
            return ()
        default = Ports(mesh_ports.parse(self._injected.opaque) or (), all_but=False)
        declared = (number for _, number in pod.containers.ports if default.holds(number))
        return mesh_ports.joined((number, number) for number in declared)


def principal(trust_domain: str, control_plane: str, namespace: str, account: str) -> str:
    """Return the name that a service account has in Linkerd.

    Source: linkerd2 `pkg/identity`, `charts/partials/templates/_proxy.tpl`.
    """
    return f"{account}.{namespace}.serviceaccount.identity.{control_plane}.{trust_domain}"


def _injected(pod: PodFacts) -> bool:
    """Return whether the injector will put a proxy into a pod."""
    around, own = pod.space.annotations.get(INJECT, ""), pod.annotations.get(INJECT, "")
    if not {around, own} <= VALUES or not _injectable(pod):
        return False
    return own in SELECTED or (around in SELECTED and own != "disabled")


def _injectable(pod: PodFacts) -> bool:
    """Return whether nothing keeps the injector from a pod."""
    return (
        pod.space.name not in NEVER
        and (pod.space.labels or {}).get(WEBHOOKS) != "disabled"
        and COMPONENT not in pod.labels
        and CNI not in pod.labels
        and ISTIO_PROXY not in pod.containers.proxies
        and not pod.containers.no_token
    )
