"""The inputs that every verb takes which looks at a cluster, and how their problems are told."""

import sys
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from ringfence.cli._progress import reading_progress
from ringfence.errors import UsageError

if TYPE_CHECKING:
    from ringfence.model.snapshot import Snapshot


PROFILES = ("generic", "ovn-kubernetes", "antrea", "calico", "cilium", "none")
HELP = "a file, a directory, a snapshot, or `-` for standard input"


def add_cluster_options(parser: ArgumentParser) -> None:
    """Add the options that say which cluster is meant; the positional INPUTs are the verb's."""
    group = parser.add_argument_group("cluster")
    group.add_argument("--live", action="store_true", help="read a live cluster")
    group.add_argument("--context", metavar="NAME", help="kubeconfig context (implies --live)")
    group.add_argument("--kubeconfig", metavar="FILE", help="kubeconfig file (implies --live)")
    group.add_argument("-n", "--namespace", metavar="NS", help="only this namespace's workloads")
    group.add_argument(
        "-A", "--all-namespaces", action="store_true", help="all namespaces (the default)"
    )
    group.add_argument(
        "--profile", choices=PROFILES, help="which CNI enforces (default: detected, else generic)"
    )
    group.add_argument(
        "--cilium-version",
        metavar="VERSION",
        help="of Cilium's agent, as 1.18 (default: detected, else the newest); implies its profile",
    )
    group.add_argument(
        "--pod-cidr",
        action="append",
        default=[],
        metavar="CIDR",
        help="where pods without a known address live (repeatable)",
    )
    group.add_argument(
        "--mesh-config",
        metavar="FILE",
        help="Istio's mesh configuration, or Linkerd's values (default: as in the input)",
    )
    group.add_argument(
        "--strict", action="store_true", help="exit 3 if anything is unknown or unreadable"
    )


def add_staged_option(parser: ArgumentParser) -> None:
    """Add the option by which staged policies count; verbs that write some have another one."""
    parser.add_argument(
        "--staged",
        dest="heed_staged",
        action="store_true",
        help="answer as if Calico's staged policies were enforced",
    )


def load_cluster(args: Namespace, inputs: list[str]) -> "Snapshot":
    """Return the snapshot that the arguments name; tell its problems on standard error.

    Raises:
        UsageError: neither an input nor `--live` was given, or both.
        RingfenceError: nothing could be read at all, or the cluster failed.
    """
    from ringfence import assemble

    live = bool(args.live or args.context or args.kubeconfig)
    if args.cilium_version and args.profile not in {None, "cilium"}:
        raise UsageError(f"`--cilium-version` and profile `{args.profile}` contradict each other")
    staged = getattr(args, "heed_staged", False) or None
    cni = args.profile or ("cilium" if args.cilium_version else None)
    if live and inputs:
        raise UsageError("give either files or `--live`, not both")
    if not live and not inputs:
        raise UsageError("nothing to look at: give files, directories, `-`, or `--live`")
    if live:
        with reading_progress() as progress:
            snapshot = assemble.load_live(
                context=args.context,
                kubeconfig=args.kubeconfig,
                namespace=None if args.all_namespaces else args.namespace,
                cni=cni,
                version=args.cilium_version,
                pod_cidrs=args.pod_cidr,
                staged=staged,
                mesh_config=args.mesh_config,
                progress=progress,
            )
    else:
        snapshot = assemble.load(
            inputs,
            cni=cni,
            version=args.cilium_version,
            pod_cidrs=args.pod_cidr,
            staged=staged,
            mesh_config=args.mesh_config,
        )
    for problem in (*snapshot.problems, *snapshot.ignored):
        print(f"{problem.severity}: {problem}", file=sys.stderr)
    return snapshot


def unreadable(snapshot: "Snapshot") -> bool:
    """Return whether anything of the input could not be read, which makes the exit code 3."""
    return any(problem.severity == "error" for problem in snapshot.problems)
