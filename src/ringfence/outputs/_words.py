"""The words in which every output for people says traffic, counts and names."""

from collections.abc import Iterable, Iterator

from ringfence.model.connectivity import ANY, Allowance

ALL_PORTS = "1-65535"


def inert(text: str) -> str:
    """Return text with control characters written as escapes.

    Names come from manifests: a terminal must not obey what stands in them.
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def allowance_text(allowance: Allowance) -> str:
    """Return one allowance as people say it: `TCP 80,443`, `UDP all ports`, `any`.

    What is limited above the port stands behind it: `TCP 8080 (POST /v1/payment)`.
    """
    words = "any" if allowance.protocol == ANY else allowance.protocol
    if allowance.ports:
        words += " all ports" if allowance.ports == ALL_PORTS else f" {allowance.ports}"
    if allowance.ip_family:
        words += f" (IPv{allowance.ip_family})"
    if allowance.l7 is None and not allowance.l7_except:
        return words
    from ringfence.layer7.words import limit_text  # noqa: PLC0415 - only where rules look so far

    return inert(f"{words} ({limit_text(allowance.l7, allowance.l7_except)})")


def traffic_text(allowances: Iterable[Allowance]) -> str:
    """Return several allowances as people say them: `TCP 80; UDP 53`; empty for none."""
    return "; ".join(map(allowance_text, allowances))


def pair_text(allow: Iterable[Allowance], unknown: Iterable[Allowance]) -> str:
    """Return what a pair may exchange: `TCP 80; unknown: UDP 53`."""
    allowed, doubtful = traffic_text(allow), traffic_text(unknown)
    if not doubtful:
        return allowed
    return f"{allowed}; unknown: {doubtful}" if allowed else f"unknown: {doubtful}"


def is_any(allow: Iterable[Allowance]) -> bool:
    """Return whether everything is allowed, without limits."""
    return any(part.protocol == ANY and part.ip_family is None for part in allow)


def count(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun: `1 pair`, `2,000 pairs`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def percent(part: int, whole: int) -> str:
    """Return a share: `54 %`; never `0 %` or `100 %` for what is not exactly that."""
    if not whole:
        return "-"
    if part in (0, whole):
        return "100 %" if part else "0 %"
    return f"{min(max(round(100 * part / whole), 1), 99)} %"


def encoded(lines: Iterable[str]) -> Iterator[bytes]:
    """Yield each line as UTF-8 with its newline.

    Manifests may hold lone surrogates through JSON escapes: they are written as `?`.
    """
    for line in lines:
        yield line.encode("utf-8", "replace") + b"\n"
