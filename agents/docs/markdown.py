"""Turns a page's Markdown into HTML with the classes of GOV.UK Frontend; which pages there are is site.py's affair."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Any, Final

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

_CLASSES: Final = {
    "paragraph_open": "govuk-body",
    "link_open": "govuk-link",
    "bullet_list_open": "govuk-list govuk-list--bullet",
    "ordered_list_open": "govuk-list govuk-list--number",
    "table_open": "govuk-table app-table",
    "thead_open": "govuk-table__head",
    "tbody_open": "govuk-table__body",
    "tr_open": "govuk-table__row",
    "th_open": "govuk-table__header",
    "td_open": "govuk-table__cell",
    "blockquote_open": "govuk-inset-text",
}
_HEADING_SIZES: Final = {"h1": "l", "h2": "m"}
_TITLE: Final = re.compile(r'^(\S+)(?:\s+title="([^"]+)")?$')
_PAGE: Final = re.compile(r"^([A-Za-z0-9-]+)\.md(#.*)?$")
_PROMPT: Final = "$ "


@dataclass(frozen=True, slots=True)
class Fence:
    """A block of code.

    Attributes:
        language: ``toml``, ``console`` ...
        title: The file that it is; empty where it is none.
        line: Of the page, counted from 1.
    """

    language: str
    title: str
    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading, 1 being the page's own.

    Attributes:
        anchor: Its ``id`` on the page, the same that code hosts give it.
    """

    level: int
    text: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Document:
    """A page as HTML.

    Attributes:
        headings: In the page's order.
        links: What is linked to, as the HTML has it.
    """

    html: str
    headings: tuple[Heading, ...]
    links: tuple[str, ...]


def render(text: str) -> Document:
    """Return Markdown as HTML. Markup in it is shown, not obeyed; a link to ``page.md`` leads to ``page.html``."""
    parser = _parser()
    tokens = parser.parse(text)
    headings = tuple(_headings(tokens))
    links = tuple(_dress(tokens))
    return Document(str(parser.renderer.render(tokens, parser.options, {})), headings, links)


def fences(text: str) -> tuple[Fence, ...]:
    """Return the blocks of code in the page's order, also those in lists."""
    return tuple(_fence(token) for token in _parser().parse(text) if token.type == "fence")


def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}, renderer_cls=_Renderer).enable("table")


def _headings(tokens: Sequence[Token]) -> Iterator[Heading]:
    """Yield the headings, and give each its anchor and size."""
    seen: dict[str, int] = {}
    for token, inline in pairwise(tokens):
        if token.type != "heading_open":
            continue
        text = _text(inline)
        anchor = re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-")
        count = seen[anchor] = seen.get(anchor, -1) + 1
        anchor = f"{anchor}-{count}" if count else anchor
        token.attrSet("id", anchor)
        token.attrSet("class", f"govuk-heading-{_HEADING_SIZES.get(token.tag, 's')}")
        yield Heading(int(token.tag[1:]), text, anchor)


def _dress(tokens: Sequence[Token]) -> Iterator[str]:
    """Give elements their classes; yield where the links lead."""
    for token in tokens:
        if token.type in _CLASSES:
            token.attrJoin("class", _CLASSES[token.type])
        if token.type == "th_open":
            token.attrSet("scope", "col")
        if token.type == "link_open":
            href = _PAGE.sub(r"\1.html\2", str(token.attrGet("href")))
            token.attrSet("href", href)
            yield href
        yield from _dress(token.children or ())


def _fence(token: Token) -> Fence:
    found = _TITLE.match(token.info.strip())
    language, title = (found[1], found[2] or "") if found else (token.info.strip(), "")
    return Fence(language, title, token.content, token.map[0] + 1 if token.map else 0)


class _Renderer(RendererHTML):
    """Adds what is more than a class: tables that scroll by themselves, and code with the name of its file."""

    def fence(self, tokens: Sequence[Token], idx: int, _options: Any, _env: Any) -> str:
        """Return a block of code; what is typed stands out from what is printed."""
        fence = _fence(tokens[idx])
        lines = _typed(fence.text) if fence.language == "console" else map(escape, fence.text.splitlines())
        code = "\n".join(lines)
        title = f'<p class="app-code__title">{escape(fence.title)}</p>\n' if fence.title else ""
        return f'{title}<pre class="app-code" tabindex="0"><code>{code}</code></pre>\n'

    def table_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        """Return a table's beginning, in a part of the page that scrolls with the keyboard too."""
        label = next((_text(tokens[at + 1]) for at in range(idx, -1, -1) if tokens[at].type == "heading_open"), "Table")
        begin = f'<div class="app-scroll" role="group" tabindex="0" aria-label="Table: {escape(label)}">\n'
        return begin + self.renderToken(tokens, idx, options, env)

    def table_close(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        """Return a table's end."""
        return self.renderToken(tokens, idx, options, env) + "</div>\n"

    def th_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        """Return the beginning of a heading's cell; an empty one is no heading, and none is read out."""
        if not _text(tokens[idx + 1]):
            tokens[idx].tag = tokens[idx + 2].tag = "td"
            tokens[idx].attrs.pop("scope", None)
        return self.renderToken(tokens, idx, options, env)


def _typed(text: str) -> Iterator[str]:
    """Yield the lines of a terminal as HTML; what is typed, over several lines too, stands out from what is printed."""
    goes_on = False
    for line in text.splitlines():
        begins = line.startswith(_PROMPT)
        shown = escape(line.removeprefix(_PROMPT) if begins else line)
        prompt = '<span class="app-code__prompt">$</span> ' if begins else ""
        yield f"{prompt}<b>{shown}</b>" if begins or goes_on else shown
        goes_on = (begins or goes_on) and line.endswith("\\")


def _text(inline: Token) -> str:
    return "".join(child.content for child in inline.children or ())


__all__ = ["Document", "Fence", "Heading", "fences", "render"]
