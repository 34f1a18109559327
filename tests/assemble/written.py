"""Manifests written in a test, as a source hands them over."""

import textwrap
from collections.abc import Sequence

import yaml

from ringfence import assemble
from ringfence.model import kinds
from ringfence.model.cluster import Workload
from ringfence.model.document import Document
from ringfence.model.location import Problem
from ringfence.model.reading import Reading
from ringfence.model.snapshot import Snapshot


def documents(text: str, file: str = "test.yaml") -> tuple[Document, ...]:
    """Return the documents of some YAML; lines are not known."""
    found = []
    for body in yaml.safe_load_all(textwrap.dedent(text)):
        if body is None:
            continue
        kind = kinds.find(body["apiVersion"], body["kind"])
        namespaced = kind is None or kind.namespaced
        metadata = body.get("metadata") or {}
        found.append(
            Document(
                body["apiVersion"],
                body["kind"],
                metadata.get("namespace", "default") if namespaced else "",
                metadata.get("name", ""),
                body,
                file,
            )
        )
    return tuple(found)


def snapshot(
    text: str,
    *,
    cni: str | None = None,
    pod_cidrs: Sequence[str] = (),
    problems: tuple[Problem, ...] = (),
) -> Snapshot:
    """Return the snapshot of some YAML."""
    reading = Reading(documents(text), problems, "test")
    return assemble.build(reading, cni=cni, pod_cidrs=pod_cidrs)


def only_workload(found: Snapshot) -> Workload:
    """Return the workload of a snapshot without problems, where there is one alone."""
    assert found.problems == ()
    (workload,) = found.workloads
    return workload


def pod(
    name: str,
    *,
    labels: str = "{app: web}",
    ips: str = "",
    owner: str = "",
    spec: str = "",
    status: str = "phase: Running",
    metadata: str = "",
    namespace: str = "shop",
) -> str:
    """Return a Pod as YAML.

    Args:
        name: its name.
        labels: in flow style.
        ips: separated by spaces.
        owner: kind and name of its controller, separated by a space.
        spec: further fields of the spec, in flow style without the braces.
        status: likewise of the status.
        metadata: likewise of the metadata.
        namespace: where it is.
    """
    kind, _, owner_name = owner.partition(" ")
    reference = f"[{{kind: {kind}, name: {owner_name}, controller: true}}]" if owner else "[]"
    addresses = ", ".join(f'{{ip: "{ip}"}}' for ip in ips.split())
    return f"""
---
apiVersion: v1
kind: Pod
metadata:
  {{name: {name}, namespace: {namespace}, labels: {labels}, ownerReferences: {reference},
   {metadata}}}
spec: {{containers: [{{name: app}}], {spec}}}
status: {{podIPs: [{addresses}], {status}}}
"""


def template(
    kind: str,
    name: str,
    *,
    labels: str = "{app: web}",
    spec: str = "",
    pod_spec: str = "containers: [{name: app}]",
    metadata: str = "",
    namespace: str = "shop",
) -> str:
    """Return a workload with a template as YAML; further fields in flow style without braces."""
    inner = f"template: {{metadata: {{labels: {labels}}}, spec: {{{pod_spec}}}}}"
    if kind == "CronJob":
        inner = f"jobTemplate: {{spec: {{{inner}}}}}"
    version = {"ReplicationController": "v1", "Job": "batch/v1", "CronJob": "batch/v1"}
    return f"""
---
apiVersion: {version.get(kind, "apps/v1")}
kind: {kind}
metadata: {{name: {name}, namespace: {namespace}, {metadata}}}
spec: {{{inner}, {spec}}}
"""


def deployment(
    name: str, *, labels: str = "", container: str = "{name: c}", namespace: str = "shop"
) -> str:
    """Return a Deployment of pods with one container as YAML.

    Args:
        name: its name.
        labels: of its pods, in flow style; `app` alone, with its name, if none are given.
        container: in flow style.
        namespace: where it is.
    """
    carried = labels or f"{{app: {name}}}"
    return template(
        "Deployment",
        name,
        labels=carried,
        spec=f"selector: {{matchLabels: {carried}}}",
        pod_spec=f"containers: [{container}]",
        namespace=namespace,
    )


def owned_by(kind: str, name: str) -> str:
    """Return the metadata field that names an object's controller."""
    return f"ownerReferences: [{{kind: {kind}, name: {name}, controller: true}}]"


def policy(name: str, spec: str, namespace: str = "shop") -> str:
    """Return a NetworkPolicy as YAML, its spec in flow style without the braces."""
    return f"""
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{{spec}}}
"""


def from_block(cidr: str, *excepts: str) -> str:
    """Return the spec of a NetworkPolicy for all pods that lets in a block."""
    block = f"{{cidr: {cidr}, except: [{', '.join(excepts)}]}}"
    return f"podSelector: {{}}, ingress: [{{from: [{{ipBlock: {block}}}]}}]"
