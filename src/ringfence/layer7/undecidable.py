"""The one thing that goes wrong here: a question that has no exact answer in bounded time."""


class Undecidable(Exception):  # noqa: N818 - it is an answer, not a mistake
    """What was asked cannot be told exactly, or not within the budget; the message says why.

    Whoever asks turns this into an `unknown` with the message as its reason.
    """

    def __init__(self, reason: str) -> None:
        """Keep the reason: lower case, no final period."""
        super().__init__(reason)
        self.reason = reason
