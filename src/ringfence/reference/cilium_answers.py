"""Whether a request meets a limit, where the question may have left open what decides it."""

from dataclasses import dataclass
from enum import StrEnum
from itertools import product
from typing import Any

Said = dict[str, Any]
"""A limit as answers tell it: `{"http": {"method": "GET"}}`."""


class Known(StrEnum):
    """What can be said."""

    NO = "no"
    YES = "yes"
    OPEN = "open"
    """The question did not say what decides it."""
    UNSURE = "unsure"
    """The manifests do not tell what decides it."""


@dataclass(frozen=True)
class Answer:
    """What can be said, and for an open answer the limits of which one must be met."""

    known: Known
    limits: tuple[Said, ...] = ()
    because: str = ""


def yes() -> Answer:
    """Return that it is met."""
    return Answer(Known.YES)


def no() -> Answer:
    """Return that it is not."""
    return Answer(Known.NO)


def open_(limit: Said) -> Answer:
    """Return that it is if the request is within a limit."""
    return Answer(Known.OPEN, (limit,))


def unsure(because: str) -> Answer:
    """Return that nobody can tell from what was read."""
    return Answer(Known.UNSURE, (), because)


def any_of(answers: list[Answer]) -> Answer:
    """Return whether at least one is met."""
    by = _first(answers, Known.YES, Known.UNSURE)
    if by is not None:
        return by
    limits = [limit for answer in answers for limit in answer.limits]
    return Answer(Known.OPEN, tuple(once(limits))) if limits else no()


def all_of(answers: list[Answer]) -> Answer:
    """Return whether all are met."""
    by = _first(answers, Known.NO, Known.UNSURE)
    if by is not None:
        return by
    parts = [answer.limits for answer in answers if answer.known is Known.OPEN]
    if not parts:
        return yes()
    return Answer(Known.OPEN, tuple(once([_joined(choice) for choice in product(*parts)])))


def _first(answers: list[Answer], *known: Known) -> Answer | None:
    """Return the first answer of the first of these sorts that there is."""
    for wanted in known:
        for answer in answers:
            if answer.known is wanted:
                return answer
    return None


def _joined(limits: tuple[Said, ...]) -> Said:
    joined: Said = {}
    for limit in limits:
        joined |= limit
    return joined


ANY_HTTP: Said = {"http": {}}
ANY_DNS: Said = {"dns": {"query": "*"}}


def once(limits: list[Said]) -> list[Said]:
    """Return limits of which one must be met, without those that others of them hold."""
    whole = [limit for limit in (ANY_HTTP, ANY_DNS) if limit in limits]
    distinct = [limit for index, limit in enumerate(limits) if limit not in limits[:index]]
    return [
        limit
        for limit in distinct
        if not any(wide.keys() <= limit.keys() and wide != limit for wide in whole)
    ]
