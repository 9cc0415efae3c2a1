"""Writes a mapping down for people: one HTML page with a line for each target, where it comes from and how.

The page is a single file that works offline, runs no script and loads nothing.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Final

import schemas
from agents.workbench.preview import place_of
from agents.workbench.tally import plain_path
from mappings import InwardMapping, OutwardMapping
from mappings.codes import CodeTable
from mappings.lineage import Line
from mappings.spec import path_steps

PLAIN_WORDS: Final[Mapping[str, str]] = {
    "collapse": "with single blanks",
    "decimal": "as a decimal number",
    "digits": "its digits alone",
    "email": "checked to be an e-mail address",
    "excel-date": "the day that Excel counts as this number",
    "iso-date": "as a date yyyy-mm-dd",
    "lower": "in small letters",
    "nc-year": "as a year group code: Year 9 is 9, Reception is R",
    "next-day": "the day after",
    "number": "as a whole number",
    "phone": "as the digits of a telephone number",
    "postcode": "written as a postcode",
    "school-year": "the year in which the school year ends: 2026/2027 is 2027",
    "sentence": "with one capital at the beginning",
    "strip": "without blanks around it",
    "title": "with capitals as in a name",
    "uln": "checked to be a ULN of ten digits",
    "upn": "in capitals, checked to have the form of a UPN",
    "upper": "in capitals",
    "year-before": "the year before",
    "year-end": "the year after: in which the school year ends",
    "yes-no": "as Yes or No",
}
"""What each converter without an argument does."""
WORDS_OF: Final[Mapping[str, Callable[[str], str]]] = {
    "between": lambda limits: f"a whole number from {limits.replace('-', ' to ')}",
    "date": lambda pattern: f"a date written {_dated(pattern)}",
    "decimal": lambda places: f"as a decimal number with {places} places",
    "lookup": lambda argument: f"looked up in {argument.partition(':')[0]}",
    "match": lambda pattern: f"the part that matches {pattern}",
    "prefix": lambda text: f"with {text!r} before it",
    "split": lambda argument: f"part {argument.rpartition(':')[2]} of what {argument.rpartition(':')[0]!r} separates",
    "suffix": lambda text: f"with {text!r} after it",
}
"""What each converter with an argument does."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the page: one way to fill one target."""

    path: str
    label: str
    part_of: str
    sources: tuple[str, ...]
    how: tuple[str, ...]
    table: str
    mandatory: str
    place: str


@dataclass(frozen=True, slots=True)
class CodesTable:
    """A code table of the page: source code in small letters, code in the object, what that means."""

    name: str
    unknown: str
    rows: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Page:
    """One mapping, written down. ``key`` and ``when`` are sentences."""

    name: str
    title: str
    makes: str
    about: str
    key: str
    conditions: tuple[str, ...]
    rows: tuple[Row, ...]
    tables: tuple[CodesTable, ...] = field(default=())

    def plain(self) -> dict[str, Any]:
        """Return it as JSON has it: name, title, makes, key, conditions, lines, code_tables (by name, code to code)."""
        return {
            "name": self.name,
            "title": self.title,
            "makes": self.makes,
            "key": self.key,
            "conditions": list(self.conditions),
            "lines": [
                {
                    "target": row.path,
                    "label": row.label,
                    "part_of": row.part_of,
                    "sources": list(row.sources),
                    "how": list(row.how),
                    "code_table": row.table,
                    "mandatory": row.mandatory,
                    "line": row.place,
                }
                for row in self.rows
            ],
            "code_tables": {table.name: {source: code for source, code, _ in table.rows} for table in self.tables},
        }


def describe(mapping: InwardMapping | OutwardMapping) -> Page:
    """Return a mapping in words."""
    if isinstance(mapping, OutwardMapping):
        return _outward(mapping)
    schema = schemas.load()
    lines = [line for line in mapping.lines if line.kind in ("field", "list")]
    tree = schema.tree(mapping.object_type)
    return Page(
        mapping.name,
        mapping.title,
        mapping.object_type,
        tree.label,
        _key(mapping.lines),
        tuple(_conditions(mapping.lines)),
        tuple(_row(mapping.object_type, line) for line in lines),
        tuple(_tables(mapping.object_type, lines)),
    )


def render(pages: Sequence[Page]) -> str:
    """Return the HTML document."""
    # Imported here: every command of sifzone imports this module, and few write a page.
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    folder = files("agents.workbench")
    template = environment.from_string((folder / "doc.html").read_text("utf-8"))
    # The style sheet is ours and has nothing of a mapping in it.
    style = Markup((folder / "doc.css").read_text("utf-8"))  # noqa: S704
    return template.render(pages=pages, style=style)


def in_words(spelt: str) -> str:
    """Return what a converter does, for people; of another package's its name."""
    name, _, argument = spelt.partition(":")
    if argument and name in WORDS_OF:
        return WORDS_OF[name](argument)
    return PLAIN_WORDS.get(spelt, f"by the converter {spelt!r}")


def _dated(pattern: str) -> str:
    for code, shown in (("%d", "dd"), ("%m", "mm"), ("%Y", "yyyy"), ("%y", "yy"), ("%b", "Mon"), ("%B", "Month")):
        pattern = pattern.replace(code, shown)
    return pattern


def _row(object_type: str, line: Line) -> Row:
    path = plain_path(line.target)
    node = schemas.load().find(object_type, path)
    above = path.rpartition("/")[0]
    parent = schemas.load().find(object_type, above) if above else None
    return Row(
        line.target,
        node.label if node is not None else "",
        _part_of(object_type, line.target) or (parent.label if parent is not None else ""),
        line.sources,
        tuple(_how(line)),
        _table_name(line),
        _mandatory(object_type, path, line),
        place_of(line),
    )


def _part_of(object_type: str, target: str) -> str:
    """Return what the elements above a target are, with what the attributes mean that tell them apart."""
    schema = schemas.load()
    words, path = [], ""
    for step in path_steps(target) or ():
        path = f"{path}/{step.name}" if path else step.name
        node = schema.find(object_type, path)
        if node is None or step.is_attribute or step.name == ".":
            break
        meanings = []
        for name, code in step.predicates:
            attribute = schema.find(object_type, f"{path}/@{name}")
            known = schemas.codes(attribute.codes) if attribute is not None and attribute.codes else None
            meanings.append(f"{known.labels.get(code, code)}" if known is not None else code)
        words.append(f"{node.label} ({', '.join(meanings)})" if meanings else node.label)
    return " \N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK} ".join(words[:-1] if len(words) > 1 else [])


def _how(line: Line) -> Iterator[str]:
    if line.kind == "list":
        yield "one for each of these"
    if line.const is not None:
        yield f"always {line.const!r}"
    if line.ref is not None:
        yield f"the RefId of the {line.ref} with this key"
    yield from (in_words(spelt) for spelt in line.convert)
    if line.default is not None:
        yield f"{line.default!r} where there is none"
    if line.when:
        yield f"only where {', '.join(line.when)} is as the line says"
    if line.number > 1:
        yield f"choice {line.number}: where the ones above give nothing"
    if line.warn is not None:
        yield f"reported: {line.warn}"


def _mandatory(object_type: str, path: str, line: Line) -> str:
    if line.required:
        return "Yes: without it the whole object is not made"
    schema = schemas.load()
    parts = path.split("/")
    nodes = [schema.find(object_type, "/".join(parts[: end + 1])) for end in range(len(parts))]
    if nodes[-1] is None or not nodes[-1].mandatory:
        return ""
    if all(node is not None and node.mandatory for node in nodes):
        return "Yes"
    return "Within its part"


def _key(lines: Sequence[Line]) -> str:
    ways: dict[int, list[str]] = {}
    for line in lines:
        if line.kind == "key":
            ways.setdefault(line.number, []).extend(line.sources)
    return "; or else ".join(", ".join(dict.fromkeys(names)) for names in ways.values() if names)


def _conditions(lines: Sequence[Line]) -> Iterator[str]:
    for line in lines:
        names = ", ".join(line.sources)
        if line.kind == "each":
            yield f"one object for each of: {names}"
        elif line.kind == "rows":
            yield f"adjacent rows with the same {names} are one object"
        elif line.kind == "when":
            of = f" for {line.target}" if line.target else ""
            yield f"a condition{of} on {names} ({place_of(line)})"
        elif line.kind == "gone":
            yield f"deleted where {names} says so ({place_of(line)})"


def _tables(object_type: str, lines: Sequence[Line]) -> Iterator[CodesTable]:
    told: set[str] = set()
    for line in lines:
        table, name = line.codes, _table_name(line)
        if table is None or name in told:
            continue
        told.add(name)
        node = schemas.load().find(object_type, plain_path(line.target))
        known = schemas.codes(node.codes).labels if node is not None and node.codes is not None else {}
        yield CodesTable(name, _unknown(table), tuple((a, b, known.get(b, "")) for a, b in table.codes.items()))


def _table_name(line: Line) -> str:
    """Return what a line's code table is called; one that is written in the line is called by its place."""
    if line.codes is None:
        return ""
    return place_of(line) if not line.codes.name else line.codes.name


def _unknown(table: CodeTable) -> str:
    if table.passes:
        return "Capitals and small letters are the same. Other codes are passed on as they are."
    if table.default is not None:
        return f"Capitals and small letters are the same. Any other code becomes {table.default!r}."
    return "Capitals and small letters are the same. Any other code is left out and reported."


def _outward(mapping: OutwardMapping) -> Page:
    lines = [line for line in mapping.lines if line.kind == "field"]
    rows = tuple(
        Row(
            line.target,
            "",
            line.group,
            line.sources,
            tuple(_how(line)),
            _table_name(line),
            "Yes" if line.required else "",
            place_of(line),
        )
        for line in lines
    )
    makes = f"rows of the table {mapping.table}"
    tables = tuple(_tables(min(mapping.object_types), lines))
    return Page(mapping.name, mapping.title, makes, "", mapping.key, tuple(_conditions(mapping.lines)), rows, tables)


__all__ = ["PLAIN_WORDS", "WORDS_OF", "CodesTable", "Page", "Row", "describe", "in_words", "render"]
