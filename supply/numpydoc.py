"""Docstrings in numpydoc's form as Markdown."""

from __future__ import annotations

import inspect
import re
from typing import Any

SECTION = re.compile(r"^(\w[\w ]*)\n-{3,}$", re.MULTILINE)
# Sections whose entries are a name and a type, and an indented text below.
ENTRIES = {"Parameters", "Attributes", "Returns", "Yields", "Raises"}


class Docstring:
    """A docstring as its text and its sections."""

    def __init__(self, text: str) -> None:
        first, *rest = SECTION.split(inspect.cleandoc(text))
        self.text = first.strip()
        self.sections = dict(zip(rest[::2], (body.strip("\n") for body in rest[1::2]), strict=True))

    @classmethod
    def of(cls, thing: Any) -> Docstring:
        """The docstring of a function, class, method or property."""
        return cls(inspect.getdoc(thing) or "")

    def markdown(self) -> list[str]:
        """Blocks of Markdown, in the order of the docstring.

        Examples
        --------
        >>> Docstring('''One line.
        ...
        ... Parameters
        ... ----------
        ... x : (n, d) array
        ...     Unit rows.
        ... ''').markdown()
        ['One line.', '**Parameters**', '- **`x`** (n, d) array. Unit rows.']
        """
        parts = blocks(self.text) if self.text else []
        for name, body in self.sections.items():
            parts.append(f"**{name}**")
            if name in ENTRIES:
                parts += entries(body, typed=name not in ("Returns", "Yields", "Raises"))
            elif name == "Examples":
                parts.append(f"```python\n{body.strip()}\n```")
            else:
                parts += blocks(body)
        return parts


def blocks(text: str) -> list[str]:
    """Paragraphs, with literal blocks fenced and references to code in Markdown's form."""
    found = []
    for part in re.split(r"\n\s*\n", text.strip("\n")):
        if part.strip() == "::":
            continue
        if part.startswith("    "):
            found.append(f"```text\n{inspect.cleandoc(part)}\n```")
        elif part.rstrip().endswith("::"):
            found.append(inline(part.rstrip()[:-1]))
        else:
            found.append(inline(part))
    return found


def inline(text: str) -> str:
    """Code in Markdown's form; words that only look like marks stay words."""
    parts = re.split(r"(``.+?``|`[^`]+`)", " ".join(text.split()))
    return "".join(
        f"`{part.strip('`')}`" if part.startswith("`") else re.sub(r"([*_<])", r"\\\1", part)
        for part in parts
    )


def entries(body: str, *, typed: bool) -> list[str]:
    """A list of names with their types and texts.

    Text below the entries that belongs to none of them stands behind the list.
    """
    items: list[str] = []
    parts = re.split(r"\n(?=\S)", body.strip("\n"))
    for at, part in enumerate(parts):
        head, *lines = part.split("\n")
        text = inline(" ".join(lines))
        name, colon, kind = head.partition(" : ")
        if not colon and not text and (typed or items):
            return ["\n".join(items), *blocks("\n".join(parts[at:]))] if items else blocks(body)
        words = f"**`{name}`** {inline(kind)}." if colon else f"`{head}`" + "." * bool(text)
        items.append(f"- {words} {text}".rstrip())
    return ["\n".join(items)]
