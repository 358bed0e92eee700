"""Links of built pages: which lead nowhere, and what would be fetched from elsewhere."""

from __future__ import annotations

import posixpath
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# What a browser fetches to show a page, as tag and attribute; a link is followed by a person alone.
FETCHED = {("script", "src"), ("link", "href"), ("img", "src"), ("iframe", "src"), ("source", "src")}
# Links that name where a page is or who made it, and fetch nothing.
NAMED = {"canonical", "next", "prev", "alternate", "author", "license"}


class Page(HTMLParser):
    """The anchors of a page and its addresses, each with whether a browser fetches it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.addresses: list[tuple[str, bool]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        for name in ("href", "src"):
            if name in values:
                fetched = (tag, name) in FETCHED and values.get("rel") not in NAMED
                self.addresses.append((values[name], fetched))


def read_pages(site: Path) -> dict[str, Page]:
    """Every page of a site by its path."""
    return {
        path.relative_to(site).as_posix(): Page(path.read_text("utf-8"))
        for path in sorted(site.rglob("*.html"))
    }


def broken(site: Path) -> list[str]:
    """Links within the site to a file or an anchor that is not there, a line each."""
    pages = read_pages(site)
    found = []
    for name, page in pages.items():
        for address, _ in page.addresses:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            path, anchor = unquote(parts.path), unquote(parts.fragment)
            # The page of a server's 404 links from its root.
            folder = "" if path.startswith("/") else posixpath.dirname(name)
            target = posixpath.normpath(posixpath.join(folder, path.lstrip("/"))) if path else name
            if target.startswith("..") or not (site / target).exists():
                found.append(f"{name}: {address} leads to no file")
            elif anchor and target in pages and anchor not in pages[target].anchors:
                found.append(f"{name}: {address} leads to no anchor")
    return found


def remote(site: Path) -> list[str]:
    """What a browser would fetch from another place to show a page, a line each."""
    return [
        f"{name}: {address} would be fetched from elsewhere"
        for name, page in read_pages(site).items()
        for address, fetched in page.addresses
        if fetched and (urlsplit(address).netloc or urlsplit(address).scheme not in ("", "data"))
    ]
