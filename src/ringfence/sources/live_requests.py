"""Requests to an API server that may be slow, busy, or going through a restart.

What passes by itself is tried again: 429 and the 5xx that a server or a proxy before it gives
while it is busy, connections that break off, answers that end too early. Both the tries of one
request and the time lost over the whole reading are bounded.

Authority: Kubernetes API conventions, "HTTP Status codes" and "Response Status Kind".
"""

import re
import ssl
from collections.abc import Mapping
from time import monotonic, sleep
from typing import Final, TypeVar

import httpx2
import msgspec
from lightkube.core.exceptions import ConfigError

from ringfence.errors import ClusterError
from ringfence.sources.live_access import CONNECT_S, READ_S, Access

T = TypeVar("T")

TRIES: Final = 5
FIRST_PAUSE_S: Final = 0.5
"""The pause after a first failure where the server names none; each further one is twice it."""
PATIENCE_S: Final = 180.0
"""What failures may cost altogether, in waiting for them and after them."""
ANSWER_S: Final = 300.0
"""How long one answer may take, however steadily it trickles in."""
PASSING: Final = frozenset({429, 500, 502, 503, 504})
NOISE: Final = re.compile(r"^\[Errno -?\d+\] | \(_ssl\.c:\d+\)$")
"""What Python adds to the words of the operating system and of OpenSSL."""
_SHOWN_LENGTH: Final = 300


class Refusal(msgspec.Struct, frozen=True):
    """An answer of the server other than 200."""

    status: int
    message: str
    """The server's own words, in one line."""
    continue_token: str = ""
    """With 410: where an expired list can go on, as the cluster is by then."""


class _Meta(msgspec.Struct, frozen=True):
    continue_: str | None = msgspec.field(name="continue", default=None)


class _Details(msgspec.Struct, frozen=True):
    retry_after_s: int = msgspec.field(name="retryAfterSeconds", default=0)


class _Status(msgspec.Struct, frozen=True):
    """The object of kind Status that the server sends where it refuses."""

    message: str = ""
    metadata: _Meta = _Meta()
    details: _Details | None = None


class Server:
    """An API server that is asked one thing at a time."""

    def __init__(self, access: Access) -> None:
        """Prepare for asking; nothing is sent yet."""
        self._access = access
        self._patience_s = PATIENCE_S
        self._reached = False

    def get(self, path: str, shape: type[T], **parameters: str) -> T | Refusal:
        """Return the answer to a GET as the shape that it must have, or the server's refusal.

        Raises:
            ClusterError: the server cannot be reached, refuses our credentials, or breaks off
                or garbles its answers time and again.
        """
        pause_s = FIRST_PAUSE_S
        for attempt in range(1, TRIES + 1):
            started = monotonic()
            outcome: Refusal | ClusterError
            try:
                status, headers, body = self._exchange(path, parameters)
                if status == httpx2.codes.OK:
                    return msgspec.json.decode(body, type=shape)
            except msgspec.ValidationError as error:
                raise self._failure(f"`{path}` is not as the API has it: {error}") from error
            except (httpx2.RequestError, msgspec.DecodeError, UnicodeDecodeError) as error:
                outcome = self._failure(_reason(error))
                outcome.__cause__ = error
                passing, asked_s = self._may_pass(error), 0.0
            else:
                refusal, asked_s = _refusal(status, headers, body)
                if status == httpx2.codes.UNAUTHORIZED:
                    raise self._failure(f"it refuses the credentials (401): {refusal.message}")
                outcome, passing = refusal, status in PASSING
            wait_s = max(asked_s, pause_s)
            self._patience_s -= monotonic() - started + wait_s
            if not passing or attempt == TRIES or self._patience_s < 0:
                break
            sleep(wait_s)
            pause_s *= 2
        if isinstance(outcome, ClusterError):
            raise outcome
        return outcome

    def _exchange(
        self, path: str, parameters: dict[str, str]
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Send one request and return status, headers and body."""
        deadline = monotonic() + ANSWER_S
        parts: list[bytes] = []
        try:
            with self._access.client.stream(
                "GET", path, params=parameters, extensions=self._access.extensions
            ) as response:
                self._reached = True
                for part in response.iter_bytes():
                    parts.append(part)
                    if monotonic() > deadline:
                        raise httpx2.ReadTimeout(f"no whole answer within {ANSWER_S:.0f} s")
                return response.status_code, response.headers, b"".join(parts)
        except (ConfigError, OSError) as error:
            # The file with the token of the pod's account went away.
            raise self._failure(str(error)) from error

    def _may_pass(self, error: Exception) -> bool:
        """Return whether what went wrong may be gone at the next try."""
        if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
            # A server that never answered is not there; one that did may be restarting.
            return self._reached and not _is_tls(error)
        return not isinstance(error, httpx2.UnsupportedProtocol) and not _is_tls(error)

    def _failure(self, reason: str) -> ClusterError:
        """Return the error that names the server."""
        return ClusterError(f"cannot read from `{self._access.server}`: {reason}")


def _reason(error: Exception) -> str:
    """Return in one line why no answer came."""
    if isinstance(error, httpx2.ConnectTimeout):
        return f"no connection within {CONNECT_S:.0f} s"
    if isinstance(error, msgspec.DecodeError | UnicodeDecodeError):
        return f"its answer is cut off or no JSON ({error})"
    text = NOISE.sub("", " ".join(str(error).split()))
    if isinstance(error, httpx2.ReadTimeout) and "within" not in text:
        return f"no answer within {READ_S:.0f} s"
    return text or type(error).__name__


def _is_tls(error: BaseException) -> bool:
    """Return whether TLS was refused by either side, which no further try changes."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            # These two are connections that ended, not refusals.
            return not isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError)
        cause = cause.__cause__ or cause.__context__
    return False


def _refusal(status: int, headers: Mapping[str, str], body: bytes) -> tuple[Refusal, float]:
    """Return a refusal, and the pause in seconds that the server asks for."""
    try:
        said = msgspec.json.decode(body, type=_Status)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # A proxy's page, or the word of an authorizer.
        said = _Status(body.decode("utf-8", "replace"))
    words = " ".join(said.message.split())
    if len(words) > _SHOWN_LENGTH:
        words = words[:_SHOWN_LENGTH] + "…"
    message = words or httpx2.codes.get_reason_phrase(status) or f"status {status}"
    asked = headers.get("retry-after", "")
    # The header may also hold a date, which no API server sends.
    pause_s = int(asked) if asked.isdecimal() else said.details.retry_after_s if said.details else 0
    return Refusal(status, message, said.metadata.continue_ or ""), float(pause_s)
