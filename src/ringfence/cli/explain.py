"""`ringfence explain`: the whole way a verdict was reached, and what would change it."""

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from ringfence.cli._inputs import (
    HELP,
    add_cluster_options,
    add_staged_option,
    load_cluster,
    unreadable,
)
from ringfence.cli._requests import add_request_options, with_request, words
from ringfence.cli._verb import Verb
from ringfence.cli.check import exit_code, only_words, parse_query, print_value
from ringfence.errors import UsageError

if TYPE_CHECKING:
    from ringfence.model.explanation import Explanation, PolicyStep, RuleStep, Side

ONLY_TIER = ("network-policy", "normal")
"""Tiers that need no name, as policies without tiers are in them."""
NO_RULES = {
    "network": "no rules: it allows nothing",
    "mesh": "no rules that its proxy reads",
}
EXAMPLES = """
  ringfence explain cluster/ shop/web shop/db:5432
  ringfence explain --live shop/web svc/shop/db:5432
  ringfence explain cluster/ shop/web shop/payment:8080 --http "GET /v1/payment"
"""


def configure(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.usage = "ringfence explain [INPUT...] FROM TO:PORT[/PROTOCOL] [options]"
    parser.epilog = f"examples:{EXAMPLES}"
    parser.add_argument(
        "words",
        nargs="*",
        metavar="INPUT... FROM TO",
        help=f"{HELP}; then who connects, and to what",
    )
    parser.add_argument("-o", "--output", choices=("text", "json", "yaml"), default="text")
    add_request_options(parser)
    add_staged_option(parser)
    add_cluster_options(parser)


def run(args: Namespace) -> int:
    """Explain, and return 0 if allowed, 1 if denied or unknown, 3 if not to be evaluated."""
    import msgspec

    from ringfence.questions.explain import explain

    if len(args.words) < 2:
        raise UsageError("explain needs FROM and TO:PORT[/PROTOCOL]")
    *inputs, source, target = args.words
    query = with_request(parse_query(source, target), args)
    snapshot = load_cluster(args, inputs)
    explanation = explain(snapshot, query, namespace=args.namespace)
    if args.output == "text":
        print(render(explanation, words(query)))
    else:
        from ringfence.outputs._layers import layers

        head = {"apiVersion": "ringfence.dev/v1", "kind": "Explanation"}
        told = {"layers": layers(explanation.judgement)} | msgspec.to_builtins(explanation)
        print_value(head | told, args.output)
    verdict = explanation.judgement.verdict.value
    return 3 if unreadable(snapshot) else exit_code(verdict, strict=args.strict)


def render(explanation: "Explanation", said: str = "") -> str:
    """Return an explanation as a person reads it at a terminal.

    Args:
        explanation: the explanation.
        said: what is sent, in words; empty where the question left it open.
    """
    from ringfence.outputs._layers import carried, denied_by

    judgement = explanation.judgement
    lines = [
        (
            f"{_pair(explanation)}{f' {said}' if said else ''}: {judgement.verdict.value.upper()}"
            f"   (profile {explanation.profile})"
        )
    ]
    lines += [f"  {only_words(limit)}" for limit in judgement.limited_to]
    if judgement.mesh:
        lines += [f"  {denial}"] if (denial := denied_by(judgement)) else []
        lines.append(f"  {carried(judgement.mesh)}")
    if explanation.lookup is not None:
        lines += ["", *_lookup(explanation.lookup)]
    for side in explanation.sides:
        lines += ["", *_side(side, layered=judgement.mesh is not None)]
    lines += [f"note: {note}" for note in judgement.notes]
    lines += [f"staged: {told}" for told in explanation.staged]
    for warning in explanation.warnings:
        lines += [
            f"warning: {warning.object}: {warning.message}  ({warning.location})",
            f"  shown by {warning.shown_by}",
        ]
    lines += _changes(explanation)
    if explanation.also:
        lines += ["", "The names stand for more than one pair; the others:"]
        lines += [f"  {other}" for other in explanation.also]
    return "\n".join(lines)


def _pair(explanation: "Explanation") -> str:
    port = "" if explanation.port is None else f":{explanation.port}"
    if explanation.protocol == "ICMP" and explanation.port is not None:
        port = f":type {explanation.port // 256}"
    return f"{explanation.source} -> {explanation.destination}{port}/{explanation.protocol}"


def _lookup(lookup: "Explanation") -> list[str]:
    """Return the lines of the DNS query that comes first."""
    lines = [f"First the name must be looked up: {_pair(lookup)}: {_verdict(lookup)}"]
    layered = lookup.judgement.mesh is not None
    for side in lookup.sides:
        lines += [f"  {line}" for line in _side(side, layered=layered)]
    return lines


def _verdict(explanation: "Explanation") -> str:
    return explanation.judgement.verdict.value.upper()


def _changes(explanation: "Explanation") -> list[str]:
    lines = [f"no change is proposed: {hint}" for hint in explanation.hints]
    if explanation.changes:
        proved = all(change.proved for change in explanation.changes)
        told = "judged anew with it: allowed" if proved else "judged anew with it: NOT yet allowed"
        lines += ["", f"What would allow it ({told})"]
        for change in explanation.changes:
            lines.append(f"  {change.summary}{_at(change.file, change.line)}")
            lines += [f"    {line}" for line in change.manifest.rstrip().splitlines()]
    return lines


def _side(side: "Side", *, layered: bool) -> list[str]:
    preposition = "from" if side.direction == "egress" else "to"
    title = f"{side.direction.capitalize()} {preposition} {side.subject}"
    if layered:
        title = f"{side.layer.capitalize()}, {side.direction} {preposition} {side.subject}"
    lines = [f"{title}: {side.verdict.value.upper()}"]
    lines += [f"  because {reason}" for reason in side.because]
    none = NO_RULES.get(side.layer, NO_RULES["network"])
    for policy in side.policies:
        lines += _policy(policy, none)
    return lines


def _policy(policy: "PolicyStep", none: str) -> list[str]:
    tier = "" if policy.tier in ONLY_TIER else f", tier {policy.tier}"
    if tier and policy.tier_order is not None and policy.order is not None:
        tier += f" ({policy.tier_order:.15g})"
    order = "" if policy.order is None or not tier else f", order {policy.order:.15g}"
    isolates = ", default deny" if policy.isolates else ""
    mark = "*" if policy.decides else " "
    lines = [f"  {mark} {policy.object}{tier}{order}{isolates}{_at(policy.file, policy.line)}"]
    lines += [_rule(rule) for rule in policy.rules]
    if not policy.rules:
        lines.append(f"      {none}")
    return lines


def _rule(rule: "RuleStep") -> str:
    mark = "*" if rule.decides else " "
    word = {"yes": "matches", "no": "no match", "perhaps": "perhaps"}[rule.matches]
    return f"    {mark} {rule.rule} {rule.action}: {word}: {rule.why}{_at(rule.file, rule.line)}"


def _at(file: str | None, line: int | None) -> str:
    if file is None:
        return ""
    return f"  ({file}:{line})" if line else f"  ({file})"


VERB = Verb("show the whole way to a verdict, and what would change it", configure, run)
