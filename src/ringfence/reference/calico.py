"""The profile `calico`: tiers in order, in each the first match decides.

    kube-admin -> custom tiers -> default (NetworkPolicies at order 1000) -> kube-baseline
               -> profiles

Source: Calico `felix/rules/endpoints.go`, `felix/rules/static.go` (STATIC), `felix/calc/
policy_sorter.go`, `app-policy/checker/check.go`.
"""

from ringfence.model.rule import Direction
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Evidence
from ringfence.reference import (
    calico_chain,
    calico_ends,
    calico_hosts,
    calico_objects,
    calico_staged,
    exemptions,
)
from ringfence.reference.calico_chain import Trail
from ringfence.reference.ends import Approach, Host, OwnPod
from ringfence.reference.findings import Side, blind_spots, plain, unsettled

TO_HOST = "`defaultEndpointToHostAction` is taken to be Accept, as installations of Calico set it"


def judge_side(snapshot: Snapshot, here: Approach) -> Side:
    """Return what Calico says of the connection in one direction.

    Subjects are pods with a network of their own, and nodes that have a HostEndpoint.
    """
    match here.subject:
        case OwnPod():
            return _pod(snapshot, here, here.subject)
        case Host():
            return _host(snapshot, here, here.subject)
        case _:
            return plain(here.direction, "default")


def _pod(snapshot: Snapshot, here: Approach, pod: OwnPod) -> Side:
    """Return what is said of a pod's side: by tiers, then by the pod's profiles.

    A pod has the profile of its namespace, which allows everything, and that of its service
    account, which says nothing. Nothing can be said where policies may exist that could not be
    read, or where of a policy that selects the pod (or may) something was not understood that
    concerns all of it.

    Source: Calico `conversion.go` podToDefaultWorkloadEndpoint, NamespaceToProfile,
    ServiceAccountToProfile.
    """
    all_ = calico_ends.known(snapshot)
    documents = calico_staged.enforced(snapshot)
    chosen, unclear = calico_staged.selecting(documents, pod, here, all_)
    blind = [*blind_spots(snapshot, here), *unclear]
    # Untracked and pre-DNAT ones are for host endpoints: a workload has no raw or mangle chains.
    selected = [policy for policy in chosen if not (policy.untracked or policy.pre_dnat)]
    if blind:
        return unsettled(blind)
    trail = Trail()
    if calico_chain.through_tiers(selected, here, trail, ends=True):
        names = _profiles(snapshot, pod)
        denied = (Evidence("network", here.direction.value, "deny", None, "default"),)
        calico_hosts.through_profiles(names, here, trail, all_, denied, names[:1])
    return calico_hosts.forwarded(trail.side(), snapshot, here, all_, documents)


def _profiles(snapshot: Snapshot, pod: OwnPod) -> tuple[str, ...]:
    """Return the names of a pod's profiles; that of its account only where an object has it."""
    account = f"ksa.{pod.namespace}.{pod.service_account}"
    objects = {document.name for document in calico_objects.of_title(snapshot, "Profile")}
    return (f"kns.{pod.namespace}", *((account,) if account in objects else ()))


def _host(snapshot: Snapshot, here: Approach, host: Host) -> Side:
    """Return what is said of a node's own side: nothing, unless it has a host endpoint.

    Nor is anything said of what stays on the node: a host's traffic to its own pods is not
    policed at all, and a pod's to its own host has only the pod's egress policy before it. What
    then becomes of that is for Felix's `defaultEndpointToHostAction` to say: the manifests that
    Calico is installed with, and its operator, all set Accept.

    Source: STATIC filterOutputChain ("We don't currently police host -> endpoint"),
    filterWorkloadToHostChain; Calico `felix/fv/bpf_test.go` ("ACCEPT is what is set by our
    manifests and operator by default").
    """
    all_ = calico_ends.known(snapshot)
    choices = calico_hosts.of_node(host, here, all_)
    if not choices:
        return plain(here.direction, "default")
    local = _stays_on_node(snapshot, here)
    if local:
        if here.direction is Direction.INGRESS:
            here.notes.add(TO_HOST)
        return plain(here.direction, "own node")
    documents = calico_staged.enforced(snapshot)
    blind = blind_spots(snapshot, here)
    if blind:
        return unsettled(blind)
    sides = []
    for endpoint, _ in choices:
        if endpoint is None:
            sides.append(plain(here.direction, "default"))
            continue
        found = calico_hosts.policies_of(endpoint, here, all_, documents)
        if not isinstance(found, Side):
            found = calico_hosts.through_host(found, here, all_)
        sides.append(found)
    because = [why for _, why in choices]
    if local is None:
        sides.append(plain(here.direction, "own node"))
        because.append(calico_hosts.LOCAL)
    return calico_hosts.merge(sides, because)


def _stays_on_node(snapshot: Snapshot, here: Approach) -> bool | None:
    """Return whether both ends are on one node; None where they may be."""
    connection = here.connection
    if connection is None:
        return False
    ends = (connection.source, connection.destination)
    own, other = ends if here.direction is Direction.EGRESS else ends[::-1]
    return exemptions.share_node(snapshot, other, own)
