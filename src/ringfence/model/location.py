"""Where something was written, and what could not be read there."""

import msgspec


class Location(msgspec.Struct, frozen=True, omit_defaults=True):
    """A place in the input: a file (or another name for where text came from) and a line."""

    file: str
    line: int | None = None
    """Counted from 1; None where the source has no lines (a live cluster)."""

    def __str__(self) -> str:
        """Return `file:line`, as editors and compilers print it."""
        return self.file if self.line is None else f"{self.file}:{self.line}"


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that could not be read, kept so that what depends on it becomes `unknown`.

    A problem names what it makes unknowable: `affects` holds kinds (`NetworkPolicy`, `Pod`),
    and is empty for text so broken that nothing can be said of what stood there.
    """

    message: str
    location: Location
    affects: tuple[str, ...] = ()
    object: str | None = None
    """The object concerned as `Kind/namespace/name`, where that much could be read."""
    severity: str = "error"
    """`error`: could not be read (exit 3). `warning`: read, and worth telling. `note`: as it
    should be, and told for completeness."""

    spared: str | None = None
    """The one namespace of which the kinds affected could be read all the same."""

    def __str__(self) -> str:
        """Return `file:line: message`."""
        return f"{self.location}: {self.message}"
