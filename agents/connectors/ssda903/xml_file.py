"""Reads the XML form of a return, one child at a time; what is in it is others' work.

The whole file is checked to be well-formed before its first child is handed on.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final, cast

from lxml import etree

from agents.connectors.contract import SourceError, SourceProblem
from agents.connectors.ssda903.rows import LONGEST_ID, Child, Report, Row
from agents.connectors.ssda903.tables import ADOPTION, LEAVER, TABLES
from broker.protocol.documents import (
    MAX_PROLOG_BYTES,
    PARSING,
    Meter,
    check_around,
    check_elements,
    check_start,
    has_doctype,
    line_of,
    root_begins,
)
from broker.protocol.errors import NotWellFormed

_ROOT: Final = "EXPSSDA903"
_CHUNK: Final = 64 * 1024
_RENAMED: Final = {"CHILDID": "CHILD", "PL": "PLACE"}
_GROUPS: Final = {
    "AMISSING": "Missing",
    "AREVIEW": "Reviews",
    "PERMANENCE": "PrevPerm",
    "OC2": "OC2",
    "AD_PLACED": "PlacedAdoption",
}
"""Elements of HEADER that are files of their own in the CSV form."""
_SIDES: Final = {
    "AD1": frozenset({"DATE_INT", *(column.name for column in ADOPTION)}),
    "OC3": frozenset(column.name for column in LEAVER),
}
"""Leaves of HEADER that are files of their own in the CSV form."""


class XmlReturn:
    """The XML form of one return."""

    def __init__(self, path: Path, max_bytes: int, within: str = "") -> None:
        """Check a whole file.

        Args:
            path: The file.
            max_bytes: Most that it may have.
            within: What stands before its name, where it is not the one that is read.

        Raises:
            SourceError: It is too large, not whole and well-formed, has a DOCTYPE, or is no return.
        """
        self._path, self._name = path, within + path.name
        if path.stat().st_size > max_bytes:
            raise SourceError(f"larger than {max_bytes:,} bytes: set max_bytes if this is right")
        self._check_start()
        ids = Counter((child.findtext("HEADER/CHILDID") or "").strip().upper() for child in self._elements())
        self._twice = frozenset(child_id for child_id, count in ids.items() if count > 1)

    @property
    def newest(self) -> float:
        """When the file was written, as the file system has it."""
        return self._path.stat().st_mtime

    def children(self, report: Report) -> Iterator[Child]:
        """Yield each child with all its rows; rows without a child that can be told are reported.

        Raises:
            SourceError: The file was changed while it was read, or has more rows than one authority has.
        """
        unknown: set[str] = set()
        for number, element in enumerate(self._elements(), start=1):
            child = self._child(number, element, report, unknown)
            if self._identified(child, report):
                yield child

    def _identified(self, child: Child, report: Report) -> bool:
        if not child.id:
            fault = "missing", "CHILDID is empty, so that nobody can tell whose row it is: fill it"
        elif len(child.id) > LONGEST_ID:
            fault = "child-id", f"CHILDID has more than {LONGEST_ID} characters: correct it"
        elif child.id in self._twice:
            fault = "child-twice", "there is another CHILD with this CHILDID: make them one, or correct one of them"
        else:
            return True
        for rows in child.rows.values():
            for row in rows:
                report.refuse(row, *fault)
        return False

    def _child(self, number: int, element: etree._Element, report: Report, unknown: set[str]) -> Child:
        found: list[tuple[str, etree._Element]] = []
        for part in element:
            if part.tag not in ("HEADER", "EPISODE"):
                self._unknown(part, unknown, report)
                continue
            found.append(("Header" if part.tag == "HEADER" else "Episodes", part))
            found += [(_GROUPS[inner.tag], inner) for inner in part if inner.tag in _GROUPS]
        child = Child((element.findtext("HEADER/CHILDID") or "").strip().upper())
        counts: Counter[str] = Counter()
        for table, part in found:
            counts[table] += 1
            place = f"child {number}, {part.tag} {counts[table]}, line {line_of(part)}"
            cells = self._cells(part, table, unknown, report)
            for row in self._rows(table, place, cells, child.id):
                report.read(row)
                child.add(row)
            child.says_uasc |= table == "Header" and cells.get("UASC") in ("0", "1")
        return child

    def _rows(self, table: str, place: str, cells: dict[str, str], child_id: str) -> Iterator[Row]:
        """Yield the row of an element, and after a HEADER's the rows that the CSV form has in other files."""
        name = self._name
        if table != "Header":
            yield Row(TABLES[table], name, place, {**cells, "CHILD": child_id})
            return
        yield Row(TABLES[table], name, place, cells)
        if cells.get("UASC") == "1" or (cells.get("DUC") and "UASC" not in cells):
            yield Row(TABLES["UASC"], name, place, {n: v for n, v in cells.items() if n in TABLES["UASC"].names})
        for side, leaves in _SIDES.items():
            values = {leaf: value for leaf, value in cells.items() if leaf in leaves}
            if values:
                yield Row(TABLES[side], name, place, {**values, "CHILD": child_id})

    def _cells(self, element: etree._Element, table: str, unknown: set[str], report: Report) -> dict[str, str]:
        """Return the texts of an element's leaves by the name that their column has, the first of each."""
        known = set(TABLES[table].names)
        if table == "Header":
            known |= {"UASC", "DUC"}.union(*_SIDES.values())
        cells: dict[str, str] = {}
        for leaf in element:
            name = _RENAMED.get(leaf.tag, leaf.tag)
            if len(leaf) or name not in known:
                if leaf.tag not in _GROUPS:
                    self._unknown(leaf, unknown, report)
                continue
            text = " ".join((leaf.text or "").split()).upper()
            if text and name not in cells:
                cells[name] = text
        return cells

    def _unknown(self, element: etree._Element, unknown: set[str], report: Report) -> None:
        """Report an element that no return has, once for each name."""
        if len(unknown) < 100 and element.tag not in unknown:
            unknown.add(element.tag)
            where = f"{self._name} line {line_of(element)}"
            report.note(SourceProblem(where, "element", "an element that is none of an SSDA903 return is not read"))

    def _check_start(self) -> None:
        with self._path.open("rb") as file:
            head = file.read(MAX_PROLOG_BYTES)
        if not head.strip():
            raise SourceError("empty: the export has not been written, or failed")
        if has_doctype(head):
            raise SourceError("has a DOCTYPE, which no return needs and which is never read: export it without", 1)
        try:
            check_start(head)
        except NotWellFormed:
            raise SourceError("not UTF-8, or says so itself in its XML declaration: save it as UTF-8", 1) from None
        if not root_begins(head):
            raise SourceError("not XML: this is no SSDA903 return", 1)

    def _elements(self) -> Iterator[etree._Element]:
        """Yield each CHILD and free it after."""
        whole = False
        try:
            for event, element in self._parsed():
                if element.tag == _ROOT:
                    whole |= event == "end" and element.getparent() is None
                elif event == "end":
                    yield element
        except etree.XMLSyntaxError as error:
            raise SourceError(
                "not well-formed XML, or cut short: if the export is still running, it is read when it is whole; else "
                "export again",
                error.lineno or 0,
            ) from None  # libxml2's own text may quote the document
        except NotWellFormed as error:
            raise SourceError(error.reason, error.line) from None
        if not whole:
            raise SourceError(f"not an SSDA903 return: its root is not {_ROOT} (without namespace)", 1)

    def _parsed(self) -> Iterator[tuple[str, etree._Element]]:
        parser = etree.XMLPullParser(events=("start", "end"), tag=(_ROOT, "CHILD"), **PARSING)
        held = Meter("a child")
        with self._path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                held.count(chunk)
                parser.feed(chunk)
                for kind, part in parser.read_events():
                    element = cast("etree._Element", part)  # no other events are asked for
                    if kind == "start" and element.tag == "CHILD":
                        _check_place(element)
                    elif element.tag == "CHILD":
                        check_elements(element)
                    yield kind, element
                    if kind == "end" and element.tag == "CHILD":
                        _forget(element)
                        held.freed()
            parser.close()
        yield from cast("Iterator[tuple[str, etree._Element]]", parser.read_events())


def _check_place(child: etree._Element) -> None:
    """Refuse a CHILD that is not where the return has it, or has more around it than that."""
    parent = child.getparent()
    if parent is None or parent.tag != _ROOT or parent.getparent() is not None:
        raise SourceError(f"a CHILD that is not in {_ROOT} itself: this is no SSDA903 return", line_of(child))
    check_around(parent)


def _forget(child: etree._Element) -> None:
    """Free a child and all that stands before it, so that memory does not grow with the file."""
    child.clear()
    parent = child.getparent()
    if parent is not None:
        while parent[0] is not child:
            del parent[0]


__all__ = ["XmlReturn"]
