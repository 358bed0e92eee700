"""How much a file may make of itself: what keeps a hostile one from filling the memory or the days."""

from __future__ import annotations

import dataclasses
import os

from lightmine.errors import ArgumentError, TextError

# Below this, nothing that unpacks is worth a refusal.
HARMLESS = 64 << 20
GIB = 1 << 30


@dataclasses.dataclass(frozen=True)
class ReadLimits:
    """Limits of reading, each set by an environment variable of its own.

    Attributes
    ----------
    ratio : float
        ``LIGHTMINE_MAX_RATIO``: what a compressed file may unpack to, in times of its size. Text packs
        to a third or a tenth, and a very repetitive one to a hundredth.
    gib : float
        ``LIGHTMINE_MAX_GIB``: what it may unpack to in GiB.
    line : int
        ``LIGHTMINE_MAX_LINE``: characters of one line, CSV record, field or element of a JSON array.
    """

    ratio: float = 200
    gib: float = 100
    line: int = 64 << 20

    @classmethod
    def of_environment(cls) -> ReadLimits:
        """The limits that the environment sets, and the defaults of the others.

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
        """Refuse what unpacks to too much, as a decompression bomb does."""
        if unpacked <= HARMLESS:
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
        """Refuse a line that is no sentence by any measure."""
        if length > self.line:
            raise TextError(
                f"{name}: line {line} is longer than {self.line:,} characters; is it text, a sentence a "
                f"line? If so, set {variable_of('line')} higher"
            )


def variable_of(limit: str) -> str:
    """The environment variable that sets a limit."""
    return f"LIGHTMINE_MAX_{limit.upper()}"
