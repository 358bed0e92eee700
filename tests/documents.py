"""Documents of the repository: their examples, their links, and the files that they name."""

import dataclasses
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Made by `make docs` and not committed.
GENERATED = {ROOT / "docs/reference/cli.md", ROOT / "docs/reference/api.md"}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NOT_RUN = re.compile(r"<!-- not run\b:?\s*(.*?)\s*-->")
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.*?)\s*$", re.MULTILINE)
CODE = re.compile(r"`([^`\n]+)`")


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced block: its language, text and line; why it is not run, and the output that follows it."""

    language: str
    text: str
    line: int
    not_run: str | None = None
    output: str | None = None


def pages():
    """Every page of docs/ that is committed."""
    return sorted((ROOT / "docs").rglob("*.md"))


def documents():
    """Every document that a reader of the repository meets."""
    return [*sorted(ROOT.glob("*.md")), *pages(), *sorted(ROOT.glob("models/*/README.md"))]


def blocks(text):
    """The fenced blocks of a page, in order."""
    found = list(FENCE.finditer(text))
    made = []
    for at, match in enumerate(found):
        before = text[found[at - 1].end() if at else 0 : match.start()].rstrip()
        reason = NOT_RUN.search(before)
        follows = found[at + 1] if at + 1 < len(found) else None
        output = None
        if follows and follows[1] == "text" and not text[match.end() : follows.start()].strip():
            output = follows[2]
        line = text.count("\n", 0, match.start()) + 1
        not_run = reason[1] if reason and reason.end() == len(before) else None
        made.append(Block(match[1], match[2], line, not_run, output))
    return made


def is_command(block):
    """Whether a block is a shell example of lightmine: its first line that is no comment calls it."""
    lines = [line for line in block.text.splitlines() if line.strip() and not line.startswith("#")]
    return block.language == "sh" and bool(lines) and lines[0].startswith("lightmine ")


def matches(shown, real):
    """Whether output is what a page shows; a line of three dots stands for any lines, or for none.

    Examples
    --------
    >>> matches("a\\n...\\nd\\n", "a\\nb\\nc\\nd\\n"), matches("a\\n...\\n", "b\\n")
    (True, False)
    """
    parts = [re.escape(line.rstrip()) for line in shown.strip("\n").splitlines()]
    pattern = "".join(r"(?:.*\n)*?" if part == r"\.\.\." else f"{part}\n" for part in parts)
    lines = [line.rstrip() for line in real.strip("\n").splitlines()]
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in lines)) is not None


def anchors(text):
    """What a link to a part of a page can name, as code hosts and the site make it of headings."""
    found, times = set(), {}
    for heading in HEADING.findall(FENCE.sub("", text)):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[\s]+", "-", re.sub(r"[^\w\s-]", "", plain.lower()).strip())
        found.add(name if name not in times else f"{name}-{times[name]}")
        times[name] = times.get(name, 0) + 1
    return found


def files_named(text):
    """Paths in code marks or shell blocks whose first part is a folder of the repository."""
    folders = {path.name for path in ROOT.iterdir() if path.is_dir()} - {"build", "dist", "out"}
    words = [word for span in CODE.findall(FENCE.sub("", text)) for word in span.split()]
    words += [word for block in blocks(text) for word in block.text.split()]
    for word in words:
        path = word.strip("\"'(),;:").partition("::")[0].partition("#")[0]
        if re.fullmatch(r"[\w.*{}, -]+(/[\w.*-]+)+/?", path) and path.split("/")[0] in folders:
            yield path
