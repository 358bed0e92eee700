"""The documents as a site: build/docs is what it is made of, build/site is the site.

    python -m supply.site

Exit status 1, and a line each, where Zensical warns or a link of the built pages leads nowhere.

Pages link to files as the repository has them, so that they can be read there too. For the site, documents
that stand outside docs/ are copied into project/, and links to other files become their text.
"""

from __future__ import annotations

import os
import posixpath
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from supply.reference import api_page, cli_page
from supply.site_links import broken, remote

ROOT = Path(__file__).parents[1]
# Documents outside docs/ that the site has as well.
PROJECT = ("CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "models/*/README.md")
# The README's place on the site is the first page.
HOME = {"README.md": "index.md"}
GENERATED: dict[str, Callable[[], str]] = {"reference/cli.md": cli_page, "reference/api.md": api_page}
SHIM_URL = "https://unpkg.com/iframe-worker/shim"
SHIM = "assets/javascripts/iframe-worker.js"

LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
FENCE = re.compile(r"^(```.*?^```)", re.DOTALL | re.MULTILINE)


def main() -> None:
    staged, site = ROOT / "build/docs", ROOT / "build/site"
    stage(ROOT, staged)
    shutil.rmtree(site, ignore_errors=True)
    done = subprocess.run(
        ["zensical", "build", "--clean", "--strict"], cwd=ROOT, check=False, env=environment()
    )
    if done.returncode:
        sys.exit(done.returncode)
    make_local(site)
    found = broken(site) + remote(site)
    for line in found:
        print(line, file=sys.stderr)
    print(f"{len(list(site.rglob('*.html')))} pages in {site.relative_to(ROOT)}, {len(found)} broken links")
    sys.exit(bool(found))


def environment() -> dict[str, str]:
    """Commands of this environment first, and no colors."""
    folder = str(Path(sys.executable).parent)
    return os.environ | {"PATH": folder + os.pathsep + os.environ.get("PATH", ""), "NO_COLOR": "1"}


def stage(root: Path, target: Path) -> None:
    """Lay out the pages of the site: docs/, the project's documents, and the generated pages."""
    shutil.rmtree(target, ignore_errors=True)
    pages = places(root)
    for source, page in pages.items():
        path = target / page
        path.parent.mkdir(parents=True, exist_ok=True)
        if source.endswith(".md"):
            path.write_text(relinked((root / source).read_text("utf-8"), source, pages), "utf-8")
        else:
            shutil.copyfile(root / source, path)
    for page, make in GENERATED.items():
        path = target / page
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(make(), "utf-8")


def places(root: Path) -> dict[str, str]:
    """Where each file of the repository stands on the site."""
    inside = [path for path in sorted((root / "docs").rglob("*")) if path.is_file() and path.suffix != ".py"]
    found = {path.relative_to(root).as_posix(): path.relative_to(root / "docs").as_posix() for path in inside}
    for pattern in PROJECT:
        for path in sorted(root.glob(pattern)):
            name = path.relative_to(root).as_posix()
            found[name] = f"project/{name}"
    return found


def relinked(text: str, source: str, pages: dict[str, str]) -> str:
    """A page's text with its links as the site needs them.

    Examples
    --------
    >>> pages = {"docs/faq.md": "faq.md", "SECURITY.md": "project/SECURITY.md"}
    >>> relinked("See [how](../SECURITY.md#report), [code](../lightmine/errors.py).", "docs/faq.md", pages)
    'See [how](project/SECURITY.md#report), code.'
    """
    here = pages[source]
    known = pages | HOME | {f"docs/{page}": page for page in GENERATED}

    def link(match: re.Match[str]) -> str:
        image, words, address = match.groups()
        path, mark, anchor = address.partition("#")
        if ":" in path or not path:
            return match.group(0)
        file = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        if file in known:
            moved = posixpath.relpath(known[file], posixpath.dirname(here) or ".")
            return f"{image}[{words}]({moved}{mark}{anchor})"
        # What is not there stays a link, so that the build fails on it.
        return words if (ROOT / file).exists() else match.group(0)

    parts = FENCE.split(text)
    return "".join(part if part.startswith("```") else LINK.sub(link, part) for part in parts)


def make_local(site: Path) -> None:
    """The script that search needs in a folder comes with the site, and not from elsewhere."""
    shutil.copyfile(ROOT / "supply/assets/iframe-worker.js", site / SHIM)
    for page in site.rglob("*.html"):
        up = "../" * (len(page.relative_to(site).parts) - 1) or "./"
        text = page.read_text("utf-8")
        page.write_text(text.replace(SHIM_URL, up + SHIM), "utf-8")


if __name__ == "__main__":
    main()
