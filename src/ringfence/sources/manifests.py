"""Reads manifests: files, directories, standard input.

What cannot be read is told and does not keep the rest from being read. Objects of no interest
are skipped quietly, Secrets always.
"""

import codecs
import os
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Final

from ringfence.errors import InputError
from ringfence.model import kinds
from ringfence.model.document import Document
from ringfence.model.location import Location, Problem
from ringfence.model.reading import Reading
from ringfence.sources import broken_text, manifest_objects, manifest_values
from ringfence.sources.manifest_values import Broken

STDIN: Final = "-"
SUFFIXES: Final = (".json", ".yaml", ".yml")
"""The files of a directory that are read, the same as kubectl's."""
MAX_BYTES: Final = 1 << 30
"""How large a file may be: it is read as a whole."""


def read(paths: Sequence[str], stdin: BinaryIO | None = None) -> Reading:
    """Return the objects of interest of all inputs, in the order in which they stand there.

    Of two objects of the same kind, namespace and name the later one counts, as when one is
    applied after the other. The files of a directory are read in the order of their names.

    Args:
        paths: files, directories, and `-` for standard input.
        stdin: in place of the process's own.

    Raises:
        InputError: a path does not exist, and there was nothing else to read.
    """
    collected = _Collected()
    missing: InputError | None = None
    for path in paths:
        if path == STDIN:
            collected.add_stream(stdin or sys.stdin.buffer)
            continue
        try:
            collected.add_path(path)
        except InputError as error:
            missing = missing or error
            collected.problems.append(Problem(error.message, Location(path)))
    if missing and not collected.opened:
        raise missing
    documents = tuple(collected.documents.values())
    return Reading(documents, tuple(collected.problems), ", ".join(paths))


class _Collected:
    """What was read so far."""

    def __init__(self) -> None:
        self.documents: dict[tuple[str, ...], Document] = {}
        """By group, kind, namespace and name; a nameless one by where it stands."""
        self.problems: list[Problem] = []
        self.opened = False
        """Whether anything at all could be opened."""
        self.seen: set[tuple[int, int]] = set()
        """Device and inode of the files and directories that were read."""

    def add_stream(self, stream: BinaryIO) -> None:
        """Read standard input."""
        try:
            data = stream.read(MAX_BYTES + 1)
        except OSError as error:
            self.tell(STDIN, error)
            return
        self.opened = True
        self.add_bytes(data, STDIN, named=True)

    def add_path(self, path: str) -> None:
        """Read a file or a directory that the user named.

        Raises:
            InputError: it does not exist.
        """
        try:
            # `Path("")` would be the current directory.
            found = os.stat(path)  # noqa: PTH116
        except (FileNotFoundError, NotADirectoryError) as error:
            raise InputError(f"`{path}` does not exist") from error
        except (OSError, ValueError) as error:
            self.tell(path, error)
            return
        if not stat.S_ISDIR(found.st_mode):
            self.add_file(path, named=True)
        elif not self.was_seen(found):
            files = self.files(Path(path))
            for file in files:
                self.add_file(str(file), named=False)
            if not files:
                names = ", ".join(f"`*{suffix}`" for suffix in SUFFIXES)
                message = f"no manifests in this directory ({names})"
                self.problems.append(Problem(message, Location(path), severity="warning"))

    def files(self, root: Path) -> list[Path]:
        """Return the manifests in a directory and below, in the order of their paths' parts."""
        found: list[Path] = []
        waiting = [root]
        while waiting:
            path = waiting.pop()
            try:
                status = path.stat()
                if not stat.S_ISDIR(status.st_mode):
                    found.append(path)
                elif path == root or not self.was_seen(status):
                    waiting += sorted(filter(_leads_on, path.iterdir()), reverse=True)
                    self.opened = True
            except OSError as error:
                self.tell(str(path), error)
        return found

    def add_file(self, path: str, *, named: bool) -> None:
        """Read a file, once."""
        try:
            status = Path(path).stat()
            if not stat.S_ISREG(status.st_mode):
                message = "neither a file nor a directory: give `-` and write into its input"
                self.problems.append(Problem(message, Location(path)))
                return
            if self.was_seen(status):
                return
            if status.st_size > MAX_BYTES:
                self.tell_size(path)
                return
            with Path(path).open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except OSError as error:
            self.tell(path, error)
            return
        self.opened = True
        self.add_bytes(data, path, named=named)

    def add_bytes(self, data: bytes, file: str, *, named: bool) -> None:
        """Read what stands in a file."""
        if len(data) > MAX_BYTES:
            self.tell_size(file)
            return
        try:
            text = _decode(data)
        except UnicodeDecodeError as error:
            self.problems.append(Problem(f"bad UTF-16: {error.reason}", Location(file)))
            return
        del data
        for part in manifest_values.read(text, file):
            if isinstance(part, Broken):
                self.add_broken(part, file)
                continue
            for found in manifest_objects.read(part, file, named=named):
                if isinstance(found, Problem):
                    self.problems.append(found)
                else:
                    self.add_document(found)

    def add_broken(self, broken: Broken, file: str) -> None:
        """Note what could not be read, and what it may have been."""
        kinds_told, ref = broken_text.guess(broken.text)
        error = broken.error
        place = error.location or Location(file)
        self.problems.append(Problem(error.message, place, kinds_told, ref))

    def add_document(self, document: Document) -> None:
        """Keep an object; of two that contradict each other, the later."""
        group = kinds.group_of(document.api_version)
        # Each nameless object is one of its own: the API server makes up a name for each.
        name = document.name or f"#{len(self.documents)}"
        key = (group, document.kind, document.namespace, name)
        before = self.documents.pop(key, None)
        self.documents[key] = document
        if before is not None and before.body != document.body:
            message = (
                f"{document.ref} is given again: this one counts, not the one in"
                f" {before.location_of()}"
            )
            self.problems.append(
                Problem(
                    message,
                    document.location_of(),
                    (document.kind,),
                    document.ref,
                    severity="warning",
                )
            )

    def was_seen(self, status: os.stat_result) -> bool:
        """Return whether a file or directory was read already; it is from now on."""
        key = (status.st_dev, status.st_ino)
        was_seen = key in self.seen
        self.seen.add(key)
        return was_seen

    def tell_size(self, path: str) -> None:
        """Note that a file is too large."""
        message = f"larger than {MAX_BYTES >> 20} MiB, which is not read"
        self.problems.append(Problem(message, Location(path)))

    def tell(self, path: str, error: OSError | ValueError) -> None:
        """Note that the system does not let us read something."""
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        self.problems.append(Problem(f"cannot be read: {reason.lower()}", Location(path)))


def _leads_on(path: Path) -> bool:
    """Return whether an entry of a directory is a manifest, or a directory to look into.

    Only hidden directories are passed over: kubectl reads hidden files.
    """
    if path.is_dir():
        return not path.name.startswith(".")
    return path.name.endswith(SUFFIXES)


def _decode(data: bytes) -> str:
    """Return the text of a file; bytes that are no UTF-8 become lone surrogates.

    A byte order mark decides, as for kubectl.
    Source: cli-runtime `pkg/resource/visitor.go` FileVisitor.

    Raises:
        UnicodeDecodeError: it says that it is UTF-16, and is not.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16")
    return data.removeprefix(codecs.BOM_UTF8).decode("utf-8", errors="surrogateescape")
