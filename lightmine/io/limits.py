"""Limits of reading, so that an untrusted file cannot use all memory or take very long."""

from __future__ import annotations

import dataclasses
import os

from lightmine.errors import ArgumentError, TextError

# Files that unpack to less than this are never refused.
ALWAYS_ALLOWED = 64 << 20
GIB = 1 << 30


@dataclasses.dataclass(frozen=True)
class ReadLimits:
    """Limits of reading; an environment variable sets each.

    Attributes
    ----------
    ratio : float
        ``LIGHTMINE_MAX_RATIO``: how many times its size a compressed file may unpack to. Text is usually
        compressed to a third or a tenth, very repetitive text to a hundredth.
    gib : float
        ``LIGHTMINE_MAX_GIB``: how many GiB it may unpack to.
    line : int
        ``LIGHTMINE_MAX_LINE``: characters of a line, a CSV record, a field or an element of a JSON array.
    """

    ratio: float = 200
    gib: float = 100
    line: int = 64 << 20

    @classmethod
    def from_environment(cls) -> ReadLimits:
        """The limits that environment variables set, and the defaults of the others.

        Raises
        ------
        ArgumentError
            A variable is not a number over 0.
        """
        values = {}
        for field in dataclasses.fields(cls):
            if variable := os.environ.get(variable_of(field.name)):
                try:
                    value = float(variable)
                except ValueError:
                    value = 0
                if not value > 0:
                    raise ArgumentError(f"{variable_of(field.name)} is a number over 0, not {variable!r}")
                values[field.name] = int(min(value, 1 << 62)) if field.name == "line" else value
        return cls(**values)  # type: ignore[arg-type]

    def check_unpacked(self, name: str, packed: int, unpacked: int) -> None:
        """Refuse a file that unpacks to too much, as a decompression bomb does."""
        if unpacked <= ALWAYS_ALLOWED:
            return
        if unpacked > self.ratio * packed:
            raise TextError(
                f"{name}: unpacks to over {self.ratio:g} times its size, as a decompression bomb would; if "
                f"you trust it, set {variable_of('ratio')} higher"
            )
        if unpacked > self.gib * GIB:
            raise TextError(
                f"{name}: unpacks to over {self.gib:g} GiB; if you trust it, set {variable_of('gib')} higher"
            )

    def check_line(self, name: str, line: int, length: int) -> None:
        """Refuse a line that is too long to be a sentence."""
        if length > self.line:
            raise TextError(
                f"{name}: line {line} is longer than {self.line:,} characters; is it text, a sentence a "
                f"line? If so, set {variable_of('line')} higher"
            )


def variable_of(limit: str) -> str:
    """The environment variable that sets a limit."""
    return f"LIGHTMINE_MAX_{limit.upper()}"
