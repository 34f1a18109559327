"""Writes files so that a killed program never leaves half of one behind."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from ringfence.errors import UsageError


class Changes(NamedTuple):
    """What writing a folder changes, as paths relative to it, sorted."""

    new: tuple[str, ...]
    changed: tuple[str, ...]
    same: tuple[str, ...]
    removed: tuple[str, ...]

    def told(self, folder: str, *, made: bool) -> Iterator[str]:
        """Yield the lines that tell of it.

        Args:
            folder: that it is of, as it was named.
            made: whether the folder was written, and not only looked at.
        """
        kinds = ("new", "changed", "unchanged", "removed")
        parts = [
            f"{len(listed)} {kind}" for kind, listed in zip(kinds, self, strict=True) if listed
        ]
        yield f"{'wrote' if made else 'would write'} {folder}: {', '.join(parts) or 'nothing'}"
        yield from (f"  removed {path}" for path in self.removed)


def put(files: Mapping[str, str], folder: str, mark: str, *, dry: bool) -> Changes | None:
    """Write files to a folder, or to standard output where that is `-`.

    Args:
        files: their texts by path.
        folder: where to write them.
        mark: what a file in the folder begins with that may be replaced or removed.
        dry: whether to look only.

    Returns:
        What it changed, or would; None for standard output.

    Raises:
        UsageError: a file that is in the way does not begin with the mark, or the folder cannot be
            read or written.
    """
    if folder == "-":
        if not dry:
            print("---\n".join(text for _, text in sorted(files.items())), end="")
        return None
    return (changes if dry else write_folder)(folder, files, mark)


def write_file(path: str, text: str) -> None:
    """Write a file under a temporary name beside it, then move it into place.

    Raises:
        UsageError: it cannot be written there.
    """
    target = Path(path)
    with _explained(path):
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(text)
            _make_readable(temporary)
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def changes(folder: str, files: Mapping[str, str], mark: str) -> Changes:
    """Return what `write_folder` would change.

    Raises:
        UsageError: a file that is in the way does not begin with the mark, or cannot be read.
    """
    root = Path(folder)
    new, changed, same = [], [], []
    with _explained(folder):
        if root.exists() and not root.is_dir():
            raise UsageError(f"`{folder}` is not a folder")
        for path, text in sorted(files.items()):
            target = root / path
            if not target.exists():
                new.append(path)
            elif target.read_bytes() == text.encode():
                same.append(path)
            elif _is_marked(target, mark):
                changed.append(path)
            else:
                raise UsageError(f"`{target}` was not written by this program: it stays")
        removed = sorted(
            found.relative_to(root).as_posix()
            for pattern in ("*/*.yaml", "*/*/*.yaml")
            for found in root.glob(pattern)
            if found.relative_to(root).as_posix() not in files and _is_marked(found, mark)
        )
    return Changes(tuple(new), tuple(changed), tuple(same), tuple(removed))


def write_folder(folder: str, files: Mapping[str, str], mark: str) -> Changes:
    """Write files of one folder, and remove those that an earlier run left there.

    All of them are written to a temporary folder beside it first, and then moved one by one.

    Args:
        folder: made if it does not exist.
        files: texts by path relative to the folder, one level of folders deep, or two.
        mark: how the first line of every file begins: only such files are replaced or removed.

    Raises:
        UsageError: a file that is in the way does not begin with the mark, or cannot be written.
    """
    found = changes(folder, files, mark)
    root = Path(folder)
    with _explained(folder):
        root.mkdir(parents=True, exist_ok=True)
        beside = root.resolve()
        temporary = Path(tempfile.mkdtemp(prefix=f".{beside.name}.", dir=beside.parent))
        try:
            for path in (*found.new, *found.changed):
                (temporary / path).parent.mkdir(parents=True, exist_ok=True)
                (temporary / path).write_bytes(files[path].encode())
            for path in (*found.new, *found.changed):
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (temporary / path).replace(root / path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        for path in found.removed:
            (root / path).unlink()
            with contextlib.suppress(OSError):  # not empty: somebody keeps files there
                for left in (root / path).parents[: path.count("/")]:
                    left.rmdir()
    return found


def _is_marked(path: Path, mark: str) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(mark.encode())) == mark.encode()


def _make_readable(path: Path) -> None:
    """Give a temporary file the mode that any new file would have."""
    mask = os.umask(0)
    os.umask(mask)
    path.chmod(0o666 & ~mask)


@contextlib.contextmanager
def _explained(path: str) -> Iterator[None]:
    """Turn what the operating system refuses into a usage error that names the path."""
    try:
        yield
    except OSError as error:
        where = error.filename or path
        raise UsageError(f"cannot write `{where}`: {error.strerror or error}") from error
