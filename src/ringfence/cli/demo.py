"""`ringfence demo`: the whole journey on a bundled example, from wide open to proven."""

import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ringfence.cli._page import Page
from ringfence.cli._verb import Verb
from ringfence.errors import UsageError

if TYPE_CHECKING:
    from ringfence.learn.dependency_map import DependencyMap
    from ringfence.learn.init import Draft
    from ringfence.model.connectivity import Connectivity
    from ringfence.model.snapshot import Snapshot
    from ringfence.prove.generated import Generation

EXAMPLES = """
  ringfence demo                      in a temporary folder
  ringfence demo shop/                in a folder of your choice
  ringfence demo --dialect cilium     with the policies of Cilium, or of Calico
  ringfence demo --mesh ambient       in Istio's mesh: who may call payment, by identity
"""
FROM, TO = "shop/web", "shop/db:5432"
"""The connection whose denial is shown: what an intruder in the shop window would try first."""
CALLER, CALLED = "shop/api", "shop/payment:8080"
REQUESTS = ("POST /v1/payment", "GET /v1/payment")
"""A call that is needed, and one on the same port by the same caller that is not."""
ABOVE_THE_PORT = "cilium"
"""The language in which the requests are shown where the one chosen cannot say them."""


def configure(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.epilog = f"examples:{EXAMPLES}"
    parser.add_argument(
        "folder", nargs="?", metavar="DIR", help="where to write the example (default: temporary)"
    )
    parser.add_argument(
        "--dialect",
        choices=("kubernetes", "calico", "cilium"),
        default="kubernetes",
        help="the language of the policies (default: kubernetes)",
    )
    parser.add_argument(
        "--mesh",
        choices=("sidecar", "ambient"),
        help="show the shop in a mesh of Istio instead, with a proxy in each pod or on each node",
    )


def run(args: Namespace) -> int:
    """Write the example out and walk through it; return 0 if its policies are proved."""
    from ringfence import assemble
    from ringfence.examples import MAP
    from ringfence.learn.init import draft
    from ringfence.questions.connectivity import connectivity

    folder = Path(args.folder or tempfile.mkdtemp(prefix="ringfence-demo-"))
    if args.mesh and args.dialect != "kubernetes":
        raise UsageError("--mesh shows policies of Istio's: it goes without --dialect")
    if args.mesh:
        from ringfence.cli._demo_mesh import walk

        written = write_example(folder, args.mesh)
        return walk(Page(), folder, args.mesh, written)
    written = write_example(folder)
    cluster = str(folder / "cluster")
    dialect = args.dialect
    page = Page()
    page.title("From wide open to proven: a small shop")
    page.text(
        f"The example is in {folder}: {written} manifests and a dependency map. No cluster is "
        "touched and nothing leaves this machine."
    )

    page.step("How open is it?", "connectivity", cluster)
    before = assemble.load([cluster])
    page.lines(openness(connectivity(before)))

    page.step("Who needs whom?", "map", "init", cluster)
    page.lines(drafted(draft(before)))
    page.text(f"The example brings the map finished by hand: {folder / MAP}")

    made = _generate(page, "Policies that allow just that, proved", folder, dialect)
    if made is None:
        return 1
    policies, after = made
    profile = _profile(dialect)

    page.step(
        "May the shop window reach the database?",
        *("check", cluster, policies, *profile, FROM, TO),
    )
    page.lines(denied(after, folder))

    page.step("How open is it now?", "connectivity", cluster, policies, *profile)
    page.lines(openness(connectivity(after)))

    question = "Who may call the payment service, with what?"
    if dialect == "kubernetes":
        page.step(question)
        page.text(
            "A NetworkPolicy opens the whole port. A policy of Cilium's (or Calico's, with "
            "`--dialect calico`) says which requests:"
        )
        made = _generate(page, "", folder, ABOVE_THE_PORT)
        if made is None:
            return 1
        requested, profile = made, _profile(ABOVE_THE_PORT)
    else:
        page.step(question)
        requested = made
    for request in REQUESTS:
        page.command("check", cluster, requested[0], *profile, CALLER, CALLED, "--http", request)
        page.lines(verdict_on(requested[1], request))

    page.title("Next")
    shown = (cluster, policies, *_profile(dialect))
    page.command("explain", *shown, FROM, TO)
    page.command("connectivity", *shown, "-o", "html", ">", "connectivity.html")
    page.text("The same shop with identities, in a mesh:")
    page.command("demo", "--mesh", "sidecar")
    page.text("And on your own cluster:")
    page.command("connectivity", "--live")
    page.command("map", "init", "--live", "-o", "map.yaml")
    return 0


def _profile(dialect: str) -> tuple[str, ...]:
    """Return the option by which policies are judged as the one CNI that knows them does."""
    return () if dialect == "kubernetes" else ("--profile", dialect)


def _generate(
    page: Page, question: str, folder: Path, dialect: str
) -> "tuple[str, Snapshot] | None":
    """Generate policies in a language, write them, and tell what was proved.

    Returns:
        Where they are, and the cluster with them; None where the proof does not hold.
    """
    from ringfence import assemble
    from ringfence.cli import _files
    from ringfence.examples import MAP
    from ringfence.learn.wishes import Wishes
    from ringfence.model.proposal import GENERATED
    from ringfence.prove.generated import generate

    cluster, path = str(folder / "cluster"), str(folder / MAP)
    language = () if dialect == "kubernetes" else ("--dialect", dialect)
    policies = str(folder / ("policies" if not language else f"policies-{dialect}"))
    command = ("generate", "--map", path, cluster, *language, "-o", policies)
    if question:
        page.step(question, *command)
    else:
        page.command(*command)
    dependency_map = _read_map(path)
    generation = generate(dependency_map, assemble.load([cluster]), Wishes(dialect=dialect))
    holds = generation.proof is not None and generation.proof.holds
    if holds:
        files = {file.path: file.text for file in generation.emission.files}
        _files.write_folder(policies, files, f"# {GENERATED}")
        page.lines([f"wrote {len(files)} files, one per workload and one per namespace"])
    page.lines(proved(generation))
    if not holds:
        return None
    return policies, assemble.load([cluster, policies], cni=None if not language else dialect)


def write_example(folder: Path, mesh: str = "") -> int:
    """Write the example into a folder and return how many manifests it has.

    Args:
        folder: where to.
        mesh: the data plane of the mesh that it is in; empty: it is in none.

    Raises:
        UsageError: a file is there already that differs, or the folder cannot be written.
    """
    from ringfence.cli._files import write_file
    from ringfence.examples import MAP, shop

    files = {
        folder / (name if name == MAP else f"cluster/{name}"): content
        for name, content in shop(mesh).items()
    }
    try:
        for path, content in files.items():
            if path.exists() and path.read_bytes() != content:
                raise UsageError(
                    f"`{path}` is there already and differs from the example: it stays"
                )
        (folder / "cluster").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write `{folder}`: {error.strerror or error}") from error
    for path, content in files.items():
        if not path.exists():
            write_file(str(path), content.decode())
    return len(files) - 1


def _read_map(path: str) -> "DependencyMap":
    from ringfence.learn.read_map import read_file

    reading = read_file(path)
    assert reading.map is not None  # noqa: S101 - it was written a moment ago
    return reading.map


# -- what each step shows --------------------------------------------------------------------


def openness(answer: "Connectivity") -> Iterator[str]:
    """Yield the figures of an answer: pairs of workloads, and the outside."""
    workloads = {peer.name for peer in answer.endpoints if peer.kind not in ("External", "Node")}
    outside = {peer.name for peer in answer.endpoints if peer.kind == "External"}
    open_pairs = [pair for pair in answer.connections if pair.allow]
    inside = [p for p in open_pairs if p.source in workloads and p.destination in workloads]
    total = len(workloads) * (len(workloads) - 1)
    reached = {p.destination for p in open_pairs if p.source in outside}
    reaching = {p.source for p in open_pairs if p.destination in outside}
    yield f"{len(inside)} of {total} pairs of workloads may connect"
    yield f"{len(reached)} of {len(workloads)} workloads can be reached from outside"
    yield f"{len(reaching)} of {len(workloads)} workloads can reach some of the outside"


def drafted(draft: "Draft") -> Iterator[str]:
    """Yield some of the guesses of a draft, each with its evidence."""
    guesses = draft.map.dependencies
    shown = [guess for guess in guesses if "env " in guess.evidence or guess.source == "outside"]
    yield f"{len(guesses)} guesses from the manifests, each with its evidence:"
    for guess in shown[:: max(1, len(shown) // 4)][:4]:
        evidence = guess.evidence.rpartition("/")
        place = f"{evidence[0].partition(',')[0]}, {evidence[2]}" if evidence[0] else evidence[2]
        yield f"  {guess.source} -> {guess.destination}  {guess.traffic}"
        yield f"      {place}"


def proved(generation: "Generation") -> Iterator[str]:
    """Yield what was proved, and what could not be said."""
    from ringfence.cli.generate import proof_text

    if generation.proof is not None:
        yield from proof_text(generation, generation.proof)
    for each in generation.emission.unsupported:
        if each.sort != "HTTP" or each.direction == "ingress":
            yield f"  {each.subject[0]}, {each.what}: {each.because}"
            yield f"      written: {each.instead}"


def denied(snapshot: "Snapshot", folder: Path) -> Iterator[str]:
    """Yield the verdict on the example's connection, with its evidence."""
    from ringfence.cli.check import parse_query
    from ringfence.questions.check import Checker

    judgement = Checker(snapshot).ask(parse_query(FROM, TO))
    yield f"{judgement.verdict.value.upper()}  {FROM} -> {TO}"
    for evidence in judgement.evidence:
        file = Path(evidence.file or "")
        inside = file.is_relative_to(folder)
        place = f"{file.relative_to(folder) if inside else file}:{evidence.line}"
        yield f"  {evidence.direction} {evidence.action}: {evidence.object} {evidence.rule}"
        yield f"      {place}"


def verdict_on(snapshot: "Snapshot", request: str) -> Iterator[str]:
    """Yield the verdict on a request to the payment service."""
    import msgspec

    from ringfence.cli.check import parse_query
    from ringfence.model.query import Http
    from ringfence.questions.check import Checker

    method, _, path = request.partition(" ")
    query = msgspec.structs.replace(parse_query(CALLER, CALLED), http=Http(method, path))
    judgement = Checker(snapshot).ask(query)
    yield f"{judgement.verdict.value.upper()}  {CALLER} -> {CALLED} {request}"


VERB = Verb("walk through the whole journey on a bundled example", configure, run)
