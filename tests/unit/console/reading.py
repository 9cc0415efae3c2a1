"""Reads a page as a test wants it: texts, links, ids and tables."""

from collections.abc import Iterator
from pathlib import Path

from lxml import etree, html


class Page:
    """One page of HTML."""

    def __init__(self, text: str) -> None:
        self._root: etree._Element = html.document_fromstring(text)

    def strings(self, xpath: str) -> list[str]:
        """Return what an expression finds, elements as their text without surplus space."""
        found = self._root.xpath(xpath)
        assert isinstance(found, list)
        return [_text(one) if isinstance(one, etree._Element) else str(one) for one in found]

    def one(self, xpath: str) -> str:
        """Return the only thing that an expression finds."""
        (found,) = self.strings(xpath)
        return found

    @property
    def ids(self) -> list[str]:
        return self.strings("//@id")

    @property
    def links(self) -> list[str]:
        """Whatever the page asks for or leads to."""
        return self.strings("//@href | //@src")

    def rows(self, caption: str) -> list[list[str]]:
        """Return the body of the table with this caption: rows of texts."""
        rows = self._root.xpath("//table[caption=$caption]/tbody/tr", caption=caption)
        assert isinstance(rows, list)
        return [[_text(cell) for cell in row] for row in rows if isinstance(row, etree._Element)]

    def who_gets(self, path: str) -> list[str]:
        """Return the lines of the last column of an element's row, for example ["merlin, in part merlin-accounts"]."""
        cell = f"//tr[@id='{path}']/td[last()]"
        return self.strings(f"{cell}//li") or self.strings(cell)

    @property
    def is_harmless(self) -> bool:
        """Whether nothing runs or is shown but what the template has: one script, no pictures, no handlers."""
        foreign = "//img | //iframe | //object | //@style | //@*[starts-with(name(), 'on')]"
        return not self.strings(foreign) and len(self.strings("//script")) == 1


class Pages:
    """The pages of a dictionary by their place in its folder, each read when it is first asked for."""

    def __init__(self, folder: Path, written: list[Path]) -> None:
        self.folder, self.written = folder, written
        self.names = tuple(path.relative_to(folder).as_posix() for path in written if path.suffix == ".html")
        self._read: dict[str, Page] = {}

    def __getitem__(self, name: str) -> Page:
        if name not in self._read:
            self._read[name] = Page((self.folder / name).read_text(encoding="utf-8"))
        return self._read[name]

    def items(self) -> Iterator[tuple[str, Page]]:
        return ((name, self[name]) for name in self.names)


def _text(element: etree._Element) -> str:
    return " ".join("".join(str(text) for text in element.itertext()).split())
