"""Builds the integrators' pages as a folder of HTML that needs no server, no script and no network.

What the pages say stands in pages/, in mappings/README.md and, of options and commands, in the program itself.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from agents.docs.asyncapi import asyncapi
from agents.docs.markdown import Document, Heading, render
from agents.docs.reference import commands_reference, connectors_reference, packs_reference
from broker.protocol.errors import ConfigurationError

PAGES: Final = (
    "index",
    "language",
    "connectors",
    "commands",
    "packs",
    "overrides",
    "python",
    "certificate",
    "problems",
    "asyncapi",
)
"""The pages in the order of the menu; each is a file of pages/, or is made."""
GENERATOR: Final = "sifzone docs"
"""What the pages say made them; only pages that say so are ever removed."""
ASYNCAPI_FILE: Final = "asyncapi.json"
_STYLE_FILE: Final = "style.css"
_CONSOLE_STYLES: Final = ("govuk-frontend-", "console.css")
_MANY_HEADINGS: Final = 4
"""From so many parts on a page begins with a list of them."""
_OUTSIDE: Final = re.compile(r"https://[a-z0-9.-]+(/.*)?", re.IGNORECASE)
_FIRST_HEADING_ENDS: Final = "</h1>\n"

_MADE: Final[Mapping[str, Callable[[], str]]] = {
    "language": lambda: (files("mappings") / "README.md").read_text("utf-8"),
    "connectors": connectors_reference,
    "commands": commands_reference,
    "packs": packs_reference,
}
"""What follows the text of pages/, where the page has one."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the site.

    Attributes:
        name: Its file without the ending, also that of its text in pages/.
    """

    name: str
    document: Document

    @property
    def href(self) -> str:
        """Its file."""
        return f"{self.name}.html"

    @property
    def title(self) -> str:
        """Its first heading."""
        return next((one.text for one in self.document.headings if one.level == 1), "")

    @property
    def contents(self) -> tuple[Heading, ...]:
        """Its other headings, where there are many."""
        inner = tuple(one for one in self.document.headings if one.level in (2, 3))
        return inner if len(inner) >= _MANY_HEADINGS else ()

    @property
    def head(self) -> str:
        """Its first heading as HTML."""
        return self.document.html[: self._head_ends]

    @property
    def body(self) -> str:
        """What comes after its first heading, as HTML."""
        return self.document.html[self._head_ends :]

    @property
    def _head_ends(self) -> int:
        return self.document.html.find(_FIRST_HEADING_ENDS) + len(_FIRST_HEADING_ENDS)


def page_text(name: str) -> str:
    """Return a page's Markdown as it stands in pages/; empty where all of it is made."""
    source = files("agents.docs") / "pages" / f"{name}.md"
    return source.read_text("utf-8") if source.is_file() else ""


def pages() -> tuple[Page, ...]:
    """Return the pages in the order of the menu."""
    made = {name: _MADE[name]() if name in _MADE else "" for name in PAGES}
    return tuple(Page(name, render(f"{page_text(name)}\n{made[name]}")) for name in PAGES)


def faults(found: tuple[Page, ...], others: frozenset[str] = frozenset()) -> Iterator[str]:
    """Yield what is wrong with pages: links that lead nowhere or are not safe, and headings that are not one title.

    Args:
        others: Files of the site that are no pages.
    """
    anchors = {page.href: {one.anchor for one in page.document.headings} for page in found}
    for page in found:
        titles = sum(one.level == 1 for one in page.document.headings)
        if titles != 1:
            yield f"{page.name}: has {titles} headings of the first level: give it one"
        for link in page.document.links:
            file, _, anchor = link.partition("#")
            if _OUTSIDE.fullmatch(link) or link in others:
                continue
            known = anchors.get(file or page.href)
            if known is None:
                yield f"{page.name}: the link {link!r} leads to no page: name one of {', '.join(PAGES)}, or https://..."
            elif anchor and anchor not in known:
                yield f"{page.name}: the link {link!r} leads to no heading: use one of that page"


def build() -> Mapping[str, str]:
    """Return the site's files by name.

    Raises:
        ConfigurationError: A link leads nowhere, or a page has no heading; all faults are told.
    """
    made = pages()
    wrong = tuple(faults(made, frozenset({ASYNCAPI_FILE})))
    if wrong:
        raise ConfigurationError("\n".join(wrong))
    environment = Environment(
        loader=PackageLoader("agents.docs"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    template = environment.get_template("page.html")
    common = {"pages": made, "generator": GENERATOR, "version": version("sifzone")}
    site = {page.href: template.render(page=page, **common) for page in made}
    document = json.dumps(asyncapi(None), indent=2, ensure_ascii=False)
    return {_STYLE_FILE: _styles(), **site, ASYNCAPI_FILE: f"{document}\n"}


def write_site(folder: Path) -> tuple[Path, ...]:
    """Write the site into a folder, which is made if need be, and return its files, the first page first.

    Pages that an earlier run left there and that are no more are removed; other files are left alone.

    Raises:
        ConfigurationError: A page is wrong, and nothing is written; or the folder cannot be written, or is another's.
    """
    site = build()
    try:
        if folder.is_dir() and any(folder.iterdir()) and not _is_ours(folder / "index.html"):
            raise ConfigurationError(f"{folder}: holds other files: name a new or an empty folder")
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in site.items():
            (folder / name).write_text(text, encoding="utf-8", newline="\n")
        for old in sorted(folder.glob("*.html")):
            if old.name not in site and _is_ours(old):
                old.unlink()
    except OSError as error:
        raise ConfigurationError(
            f"{folder}: cannot be written ({error.strerror}): check the folder's rights"
        ) from error
    return tuple(sorted((folder / name for name in site), key=lambda path: path.name != "index.html"))


def _is_ours(page: Path) -> bool:
    mark = f'<meta name="generator" content="{GENERATOR}">'
    return page.is_file() and mark in page.read_text("utf-8", "replace")[:2000]


def _styles() -> str:
    """Return GOV.UK Frontend's styles and the console's, whose files are data to us, then our own."""
    static = files("broker") / "console" / "static"
    names = sorted(one.name for one in static.iterdir() if one.name.endswith(".css"))
    parts = [static / name for start in _CONSOLE_STYLES for name in names if name.startswith(start)]
    ours = files("agents.docs") / "templates" / "docs.css"
    return "".join(part.read_text("utf-8") for part in (*parts, ours))


__all__ = ["ASYNCAPI_FILE", "GENERATOR", "PAGES", "Page", "build", "faults", "page_text", "pages", "write_site"]
