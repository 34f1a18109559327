"""The snapshot file: a cluster as it was read, in one compressed file, to be judged elsewhere.

A gzip stream of two JSON texts: one line that says what the file is (`Header`), then the
`Snapshot` itself. Left out is what is worked out anew from the rest on reading (`policies`,
`ignored`, `blind_spots`), so that a newer program judges an older file by its own lights.

The gzip header holds neither a time nor a name: equal snapshots give equal bytes.
"""

import contextlib
import gzip
import os
import secrets
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from ringfence.errors import InputError, SnapshotFormatError, UsageError
from ringfence.model.location import Location
from ringfence.model.snapshot import Snapshot
from ringfence.sources import collector

API_VERSION: Final = "ringfence.dev/v1"
KIND: Final = "Snapshot"
VERSION: Final = 3
"""Raised whenever a program that knows only the version before would judge wrongly."""

GZIP_MAGIC: Final = b"\x1f\x8b"
MAX_BYTES: Final = 4 << 30
"""Decompressed. A cluster of 100,000 pods takes about 50 MB; more than this is no snapshot."""

_HEADER_BYTES: Final = 4096
_CHUNK_BYTES: Final = 1 << 20
_LEVEL: Final = 5
_OPENING: Final = b'{"apiVersion":"ringfence.dev/'
_GZIP_WINDOW: Final = 31
"""zlib's word for a gzip wrapper with the largest window."""


class Header(msgspec.Struct, frozen=True, kw_only=True, rename={"api_version": "apiVersion"}):
    """The first line of a snapshot file."""

    api_version: str
    kind: str
    version: int


def looks_like_snapshot(head: bytes) -> bool:
    """Return whether a file that begins with these bytes is to be read as a snapshot.

    True also for a damaged one, so that `read` can say what is wrong with it; False for a gzip
    file that evidently holds something else.
    """
    if not head.startswith(GZIP_MAGIC):
        return False
    try:
        start = zlib.decompressobj(_GZIP_WINDOW).decompress(head, len(_OPENING))
    except zlib.error:
        return True
    return _OPENING.startswith(start)


def write(snapshot: Snapshot, path: str) -> None:
    """Write a snapshot in one step: the file is there whole, or as it was before.

    Raises:
        UsageError: the file cannot be written there.
        InputError: the snapshot holds what JSON cannot: half of a surrogate pair, endless nesting.
    """
    header = Header(api_version=API_VERSION, kind=KIND, version=VERSION)
    stripped = msgspec.structs.replace(
        snapshot,
        policies=(),
        ignored=(),
        blind_spots=(),
        network_sets=(),
        host_endpoints=(),
        client_tls=(),
        client_imports=(),
    )
    try:
        payload = msgspec.json.encode(stripped)
    except (UnicodeEncodeError, RecursionError) as error:
        reason = error.reason if isinstance(error, UnicodeEncodeError) else "nested too deeply"
        raise InputError(f"the snapshot cannot be written down: {reason}") from error
    try:
        with (
            _replacing(path) as raw,
            gzip.GzipFile("", "wb", compresslevel=_LEVEL, fileobj=raw, mtime=0) as out,
        ):
            out.write(msgspec.json.encode(header) + b"\n")
            # A block of its own: the first few bytes of the file tell what it is.
            out.flush(zlib.Z_FULL_FLUSH)
            out.write(payload)
    except OSError as error:
        raise UsageError(f"cannot write `{path}`: {error.strerror or error}") from error


@contextlib.contextmanager
def _replacing(path: str) -> Iterator[BinaryIO]:
    """Open a new file beside the one named, and put it in its place if all goes well."""
    # A link stays a link; what it leads to is replaced.
    target = Path(os.path.realpath(path))
    if target.exists() and not stat.S_ISREG(target.stat().st_mode):
        raise UsageError(f"cannot write `{path}`: not a regular file")
    temporary = target.with_name(f".{target.name[:200]}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:
            yield file
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read(path: str) -> Snapshot:
    """Return the snapshot of a file, without `policies`, `ignored` and `blind_spots`.

    Raises:
        SnapshotFormatError: the file is damaged, cut off, no snapshot, or of a newer version.
        InputError: the file cannot be opened.
    """
    location = Location(path)
    data = _decompressed(path, location)
    line, newline, _ = data[:_HEADER_BYTES].partition(b"\n")
    try:
        header = msgspec.json.decode(line if newline else b"", type=Header)
    except (msgspec.DecodeError, UnicodeDecodeError):
        header = Header(api_version="", kind="", version=0)
    if header.kind != KIND or not header.api_version.startswith("ringfence.dev/"):
        raise SnapshotFormatError("a gzip file, but no snapshot of ringfence", location)
    if header.version != VERSION or header.api_version != API_VERSION:
        raise SnapshotFormatError(
            f"a snapshot of format version {header.version} ({header.api_version}); "
            f"this program reads version {VERSION} ({API_VERSION})",
            location,
        )
    try:
        with collector.paused():
            return msgspec.json.decode(memoryview(data)[len(line) + 1 :], type=Snapshot)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise SnapshotFormatError(f"damaged snapshot: {reason}", location) from error


def _decompressed(path: str, location: Location) -> bytes:
    """Return the content of a gzip file, at most `MAX_BYTES` of it."""
    parts: list[bytes] = []
    size = 0
    try:
        with gzip.open(path) as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                size += len(chunk)
                if size > MAX_BYTES:
                    raise SnapshotFormatError(
                        f"unpacks to more than {MAX_BYTES:,} bytes: no snapshot", location
                    )
                parts.append(chunk)
    except EOFError as error:
        raise SnapshotFormatError("damaged snapshot: the file is cut off", location) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise SnapshotFormatError(f"damaged snapshot: {error}", location) from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", location) from error
    return b"".join(parts)
