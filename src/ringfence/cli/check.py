"""`ringfence check`: may this connect to that?"""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

from ringfence.cli._inputs import (
    HELP,
    add_cluster_options,
    add_staged_option,
    load_cluster,
    unreadable,
)
from ringfence.cli._requests import add_request_options, with_request, words
from ringfence.cli._verb import Verb
from ringfence.errors import InputError, UsageError

if TYPE_CHECKING:
    from ringfence.model.profile import Profile
    from ringfence.model.query import Query
    from ringfence.model.verdict import Evidence, Judgement
    from ringfence.questions.check import Checker

CODES = """\
exit codes: 0 if (all) allowed; 1 if anything is denied, or unknown; 3 if a question cannot be
understood, if some of the input cannot be read, or, with --strict, if anything is unknown"""
EXAMPLES = """
  ringfence check cluster/ shop/web shop/db:5432
  ringfence check cluster/ 203.0.113.9 svc/shop/web:80
  ringfence check cluster/ shop/payment api.stripe.com:443
  ringfence check cluster/ shop/web shop/payment:8080 --http "POST /v1/payment"
  ringfence check cluster/ shop/web svc/kube-system/kube-dns:53 --dns api.stripe.com
  ringfence check cluster/ --queries questions.jsonl
"""


def configure(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.usage = "ringfence check [INPUT...] FROM TO[:PORT[/PROTOCOL]] [options]"
    parser.epilog = f"{CODES}\n\nexamples:{EXAMPLES}"
    parser.add_argument(
        "words",
        nargs="*",
        metavar="INPUT... FROM TO",
        help=f"{HELP}; then who connects, and to what",
    )
    parser.add_argument(
        "--queries", metavar="FILE", help="answer many questions, JSON Lines in and out"
    )
    parser.add_argument(
        "--judge",
        choices=("engine", "reference"),
        default="engine",
        help="the reference judge is slow and literal: a second opinion",
    )
    parser.add_argument("-o", "--output", choices=("text", "json", "yaml"), default="text")
    add_request_options(parser)
    add_staged_option(parser)
    add_cluster_options(parser)


def run(args: Namespace) -> int:
    """Answer, and return 0 if allowed, 1 if denied or unknown, 3 if not to be evaluated."""
    from ringfence.questions.check import Checker

    if args.queries:
        inputs, pair = args.words, None
    else:
        if len(args.words) < 2:
            raise UsageError("check needs FROM and TO[:PORT[/PROTOCOL]]")
        *inputs, source, target = args.words
        pair = (source, target)
    snapshot = load_cluster(args, inputs)
    checker = Checker(snapshot, judge=args.judge, namespace=args.namespace)
    if pair is None:
        code = _answer_all(checker, args.queries, strict=args.strict)
        return 3 if unreadable(snapshot) else code
    query = with_request(parse_query(*pair), args)
    judgement = checker.ask(query)
    _print(args.output, query, judgement, snapshot.profile)
    return 3 if unreadable(snapshot) else exit_code(judgement.verdict.value, strict=args.strict)


def parse_query(source: str, target: str) -> "Query":
    """Return the query that FROM and TO[:PORT[/PROTOCOL]] mean.

    Raises:
        UsageError: the port or protocol cannot be understood.
    """
    from ringfence.model.query import Query

    name, port, protocol = target, "", ""
    if target.startswith("["):
        name, _, rest = target[1:].partition("]")
        port, _, protocol = rest.removeprefix(":").partition("/")
    elif target.count(":") == 1:
        name, _, rest = target.partition(":")
        port, _, protocol = rest.partition("/")
    if not name or (target != name and not port and not protocol):
        raise UsageError(f"`{target}` is not TO[:PORT[/PROTOCOL]]")
    return Query(
        source=source,
        destination=name,
        port=int(port) if port.isdigit() else port or None,
        protocol=protocol.upper() or None,
    )


# -- many ------------------------------------------------------------------------------------


def _answer_all(checker: "Checker", path: str, *, strict: bool) -> int:
    import msgspec

    encode = msgspec.json.Encoder().encode
    codes = {0}
    buffer: list[bytes] = []
    try:
        with _open(path) as lines:
            for answer in answers(checker, lines):
                verdict = answer.get("verdict")
                codes.add(exit_code(verdict, strict=strict) if verdict else 3)
                buffer.append(encode(answer))
                if len(buffer) >= 256:
                    sys.stdout.buffer.write(b"\n".join(buffer) + b"\n")
                    buffer.clear()
    except OSError as error:
        raise InputError(f"cannot read `{path}`: {error.strerror}") from error
    if buffer:
        sys.stdout.buffer.write(b"\n".join(buffer) + b"\n")
    return max(codes)


def exit_code(verdict: str, *, strict: bool) -> int:
    """Return the exit code of a verdict: what is not known to be allowed is no success."""
    if verdict == "unknown" and strict:
        return 3
    return 0 if verdict == "allow" else 1


def _open(path: str) -> BinaryIO:
    # Standard input is duplicated so that closing the file does not close it.
    return open(sys.stdin.fileno() if path == "-" else path, "rb", closefd=path != "-")


def answers(checker: "Checker", lines: BinaryIO) -> Iterator[dict[str, Any]]:
    """Yield one answer per line; a query that cannot be understood gets an error in its place."""
    import msgspec

    from ringfence.errors import RingfenceError
    from ringfence.model.query import Query

    decode = msgspec.json.Decoder(Query).decode
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        query: Query | None = None
        try:
            query = decode(line)
            yield answer_json(query, checker.ask(query), checker.snapshot.profile)
        except (msgspec.MsgspecError, UnicodeDecodeError, RingfenceError) as error:
            given = query.id if query else _id_of(line)
            yield {"id": given, "error": f"line {number}: {error}"}


def _id_of(line: bytes) -> Any:  # noqa: ANN401
    """Return the id of a line of which only so much can be understood."""
    import msgspec

    try:
        decoded = msgspec.json.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return decoded.get("id") if isinstance(decoded, dict) else None


def answer_json(query: "Query", judgement: "Judgement", profile: "Profile") -> dict[str, Any]:
    """Return an answer in the shape of the design's contract."""
    from ringfence.outputs._layers import layers

    answer: dict[str, Any] = {
        "id": query.id,
        "verdict": judgement.verdict.value,
        "profile": profile.cni.value,
        "layers": layers(judgement),
        "evidence": [
            {
                "layer": e.layer,
                "direction": e.direction,
                "action": e.action,
                "object": e.object,
                "rule": e.rule,
                "file": e.file,
                "line": e.line,
            }
            for e in judgement.evidence
        ],
        "unknown_because": list(judgement.unknown_because),
    }
    if judgement.limited_to:
        answer["limited_to"] = list(judgement.limited_to)
    if judgement.notes:
        answer["notes"] = list(judgement.notes)
    return answer


# -- one -------------------------------------------------------------------------------------


def _print(output: str, query: "Query", judgement: "Judgement", profile: "Profile") -> None:
    if output == "text":
        print(_text(query, judgement, profile))
        return
    import msgspec

    answer = answer_json(query, judgement, profile)
    shaped = {"apiVersion": "ringfence.dev/v1", "kind": "Check", **answer}
    shaped |= {"from": query.source, "to": query.destination}
    shaped |= {"port": query.port, "protocol": query.protocol or _protocol(query)}
    shaped |= {
        key: msgspec.to_builtins(value)
        for key in ("http", "grpc", "dns", "sni", "mtls", "icmp")
        if (value := getattr(query, key)) is not None
    }
    del shaped["id"]
    print_value(shaped, output)


def _protocol(query: "Query") -> str:
    """Return the protocol of a query that names none, as it is judged."""
    from ringfence.questions.requests import asked

    return asked(query).protocols[0].value


def print_value(value: dict[str, Any], output: str) -> None:
    """Print plain values as indented JSON or as YAML."""
    if output == "yaml":
        import yaml

        print(yaml.safe_dump(value, sort_keys=False, allow_unicode=True), end="")
        return
    import msgspec

    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def _text(query: "Query", judgement: "Judgement", profile: "Profile") -> str:
    from ringfence.outputs._layers import carried, denied_by

    port = "" if query.port is None else f":{query.port}"
    protocol = f"/{query.protocol}" if query.protocol else ""
    said = f" {sent}" if (sent := words(query)) else ""
    lines = [
        (
            f"{judgement.verdict.value.upper():8}{query.source} -> "
            f"{query.destination}{port}{protocol}{said}   (profile {profile.cni.value})"
        )
    ]
    lines += [f"  {only_words(limit)}" for limit in judgement.limited_to]
    if judgement.mesh:
        lines += [f"  {denial}"] if (denial := denied_by(judgement)) else []
        lines.append(f"  {carried(judgement.mesh)}")
    for e in judgement.evidence:
        where = f"   {e.file}:{e.line}" if e.file and e.line else f"   {e.file}" if e.file else ""
        layer = f"{e.layer:8}" if judgement.mesh else ""
        lines.append(f"  {layer}{e.direction:8}{e.action:8}{_what(e)}{where}")
    lines += [f"  unknown because {reason}" for reason in judgement.unknown_because]
    lines += [f"  note: {note}" for note in judgement.notes]
    return "\n".join(lines)


def _what(evidence: "Evidence") -> str:
    if evidence.object:
        return f"{evidence.object} {evidence.rule}"
    if evidence.layer == "mesh" and evidence.rule in OF_MESH:
        return OF_MESH[evidence.rule]
    return DEFAULTS.get(evidence.rule, evidence.rule)


def only_words(limit: dict[str, Any]) -> str:
    """Return one entry of `limited_to` in words: `only POST /v1/payment`."""
    from ringfence.outputs._limits import limit_words

    told = limit_words(limit)
    return told if told.startswith("not ") else f"only {told}"


DEFAULTS = {
    "default": "no policy decides: Kubernetes allows by default",
    "outside": "outside the cluster: no policy of this cluster applies",
    "host network": "on the host network: no policy applies",
    "own node": "a pod always admits its own node",
    "always enforced": "Cilium enforces policies on every pod, and none allows this",
    "never enforced": "Cilium is told to enforce no policies",
    "self": "a pod always reaches itself",
}
OF_MESH = {
    "default": "no policy of the mesh decides: it allows by default",
    "no mesh": "takes part in no mesh: no policy of one applies",
    "not taken": "the mesh's proxy does not take this: no policy of the mesh applies",
    "self": "what a pod sends to its own address passes no proxy",
}

VERB = Verb("say whether one connection is allowed, and by which rule", configure, run)
