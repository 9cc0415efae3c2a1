"""Outward mappings: from the objects that an agent keeps to rows of tables. Writing the tables is others' work."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from lxml import etree

import schemas
from mappings.document import Where
from mappings.lineage import Line, Spelt, plain_line
from mappings.problems import nearest
from mappings.records import Objects, RowProblem, Rows
from mappings.spec import Reader, Table, ValueReader, path_steps
from mappings.values import Test, UnusableError, Value

OUTWARD_FILE: Final[dict[str, tuple[type, ...]]] = {
    "title": (str,),
    "row": (str,),
    "columns": (list,),
    "key": (str,),
    "required": (list,),
    "from": (list,),
}
_BLOCK: Final[dict[str, tuple[type, ...]]] = {
    "object": (str,),
    "each": (str,),
    "when": (dict,),
    "lookup": (dict,),
    "fields": (dict,),
}
_LOOKUP: Final[dict[str, tuple[type, ...]]] = {"object": (str,), "ref": (str,), "optional": (bool,)}


class ObjectScope:
    """An object (or one element of it) while a row is made of it."""

    __slots__ = ("element", "found", "notes", "object_type", "position", "target", "top")

    def __init__(self, object_type: str, top: etree._Element, element: etree._Element, notes: list[RowProblem]) -> None:
        self.object_type, self.top, self.element, self.notes = object_type, top, element, notes
        self.found: dict[str, etree._Element] = {}
        self.target = ""
        self.position = f"{object_type} {top.get('RefId', '')}".strip()

    def note(self, source: str, message: str) -> None:
        """Report that an alternative with a ``warn`` was used."""
        self.notes.append(RowProblem(self.position, self.object_type, source, self.target, "note", message, "warn"))

    def refuse(self, source: str, target: str, rule: str, message: str) -> None:
        """Report why there is no row."""
        message = f"no row: {message}"
        self.notes.append(RowProblem(self.position, self.object_type, source, target, rule, message, "refuse"))


@dataclass(frozen=True, slots=True)
class Lookup:
    """Another object that the row needs, found by a reference."""

    name: str
    object_type: str
    ref: Callable[[ObjectScope], str | None]
    spelt: str
    optional: bool

    def find(self, scope: ObjectScope, objects: Objects) -> bool:
        """Put the object into the scope; False when the row cannot be made without it."""
        ref_id = self.ref(scope)
        found = None if ref_id is None else objects.get(self.object_type, ref_id)
        if found is not None:
            scope.found[self.name] = found
        return found is not None or self.optional


@dataclass(frozen=True, slots=True)
class Block:
    """One ``[[from]]``: the rows that one object type gives."""

    object_type: str
    each: str | None
    tests: tuple[Test[ObjectScope], ...]
    lookups: tuple[Lookup, ...]
    values: tuple[tuple[str, Value[ObjectScope]], ...]

    def scopes(self, objects: Objects, notes: list[RowProblem]) -> Iterator[ObjectScope]:
        """Yield what becomes a row, without what the tests rule out or a lookup does not find."""
        for top in objects.all(self.object_type):
            for element in [top] if self.each is None else top.iterfind(self.each):
                scope = ObjectScope(self.object_type, top, element, notes)
                missing = next((lookup for lookup in self.lookups if not lookup.find(scope, objects)), None)
                if not all(test.holds(scope) for test in self.tests):
                    continue
                if missing is None:
                    yield scope
                    continue
                message = (
                    f"the {missing.object_type} that it refers to is not here: it has not arrived yet, or is not shared"
                )
                scope.refuse(missing.spelt, missing.name, "reference", message)


@dataclass(frozen=True, slots=True)
class OutwardMapping:
    """One outward mapping file, ready to use.

    Attributes:
        name: As it was asked for.
        table: The table that it fills.
        columns: Its columns in order.
        key: The column that tells its rows apart.
        object_types: The objects that it reads.
        lines: What it reads and fills, line by line.
    """

    name: str
    title: str
    table: str
    columns: tuple[str, ...]
    key: str
    object_types: frozenset[str]
    lines: tuple[Line, ...] = field(repr=False)
    _required: frozenset[str] = field(repr=False)
    _blocks: tuple[Block, ...] = field(repr=False)

    def rows(self, objects: Objects) -> Rows:
        """Return the table's rows, sorted by key, one for each key; the order of the objects makes no difference.

        An object of which no whole row can be made is reported; the others go on.
        """
        rows: dict[str, Mapping[str, str]] = {}
        problems: list[RowProblem] = []
        for block in self._blocks:
            made = [row for scope in block.scopes(objects, problems) if (row := self._row(block, scope)) is not None]
            for row in sorted(made, key=lambda row: tuple(row.values())):
                rows.setdefault(row[self.key], row)
        return Rows(tuple(rows[key] for key in sorted(rows)), tuple(problems))

    def _row(self, block: Block, scope: ObjectScope) -> Mapping[str, str] | None:
        row = dict.fromkeys(self.columns, "")
        whole = True
        for column, value in block.values:
            scope.target = column
            try:
                found = value.read(scope)
            except UnusableError as error:
                source = error.source or value.sources
                if column in self._required:
                    scope.refuse(source, column, error.rule, f"{column} cannot be filled: {error.message}")
                    whole = False
                else:
                    kind, position = scope.object_type, scope.position
                    message = error.message
                    scope.notes.append(
                        RowProblem(position, kind, source, column, error.rule, message, "warn", error.nearest)
                    )
                continue
            if found is not None:
                row[column] = found[0]
            elif column in self._required or value.required:
                scope.refuse(
                    value.sources, column, "mandatory", f"{column} must be filled from {value.sources}, which is empty"
                )
                whole = False
        return row if whole else None


def compile_outward(name: str, reader: Reader) -> OutwardMapping:
    """Return the mapping that the file describes.

    Raises:
        MappingError: With every problem of the file.
    """
    given = reader.table((), reader.document.values, OUTWARD_FILE, ["row", "columns", "from"])
    columns = _texts(reader, ("columns",), given.get("columns", []))
    required = _texts(reader, ("required",), given.get("required", []))
    key = given.get("key", columns[0] if columns else "")
    for where, column in [(("key",), key), *((("required", i), name) for i, name in enumerate(required))]:
        if column not in columns:
            reader.report(where, f"{column!r} is not one of the columns", nearest(column, columns))
    compiler = _Compiler(reader, columns, [*required, key])
    blocks = [compiler.block(("from", index), spec) for index, spec in enumerate(given.get("from", []))]
    reader.finish()
    types = frozenset(compiler.object_types)
    whole = frozenset([*required, key])
    made = tuple(block for block in blocks if block is not None)
    lines = compiler.lines()
    return OutwardMapping(name, given.get("title", ""), given["row"], tuple(columns), key, types, lines, whole, made)


def _texts(reader: Reader, where: Where, values: list[object]) -> list[str]:
    texts = []
    for index, value in enumerate(values):
        if isinstance(value, str) and value and value not in texts:
            texts.append(value)
        else:
            reader.report((*where, index), "must be a column name in quotes, each only once")
    return texts


class _Compiler:
    def __init__(self, reader: Reader, columns: list[str], required: list[str]) -> None:
        self._reader, self._columns, self._required = reader, columns, required
        self._schema = schemas.load()
        self._values = ValueReader[ObjectScope](reader, self._source)
        self._object_type = ""
        self._each = ""
        self._lookups: dict[str, Lookup] = {}
        self.object_types: set[str] = set()
        self._lines: list[Callable[[], Iterable[Line]]] = []  # called when the file is known to be right

    def lines(self) -> tuple[Line, ...]:
        """Return what each line reads and fills."""
        return tuple(line for lines in self._lines for line in lines())

    def block(self, where: Where, spec: object) -> Block | None:
        given = self._reader.table(where, spec, _BLOCK, ["object", "fields"])
        object_type: str = given.get("object", "")
        if not self._known((*where, "object"), given.get("object")):
            return None
        self._object_type, self._each, self._lookups = object_type, given.get("each", ""), {}
        if self._each and self._schema.find(object_type, self._each) is None:
            near = self._schema.nearest(object_type, self._each)
            self._reader.report((*where, "each"), f"{object_type} has no {self._each!r}", near)
        for alias, lookup in given.get("lookup", {}).items():
            self._lookup((*where, "lookup", alias), alias, lookup)
        tests = self._values.tests((*where, "when"), given.get("when", {}))
        fields = given.get("fields", {})
        for column in fields:
            if column not in self._columns:
                near = nearest(column, self._columns)
                self._reader.report((*where, "fields", column), f"{column!r} is not one of the columns", near)
        for column in self._required:
            if column not in fields and fields:
                self._reader.report((*where, "fields"), f"no line fills the required column {column!r}: add one")
        values = tuple((name, self._values.value((*where, "fields", name), value)) for name, value in fields.items())
        self._note(where, given, dict(values))
        each = _clark(self._schema.namespace_of(object_type), self._each) if self._each else None
        return Block(object_type, each, tests, tuple(self._lookups.values()), values)

    def _note(self, where: Where, given: Table, values: Mapping[str, Value[ObjectScope]]) -> None:
        """Remember how to tell what the lines of a block do."""
        object_type, each, document = self._object_type, self._each, self._reader.document

        def names(spelt: str) -> tuple[str, ...]:
            if ":" in spelt or spelt.startswith("/") or not each:
                return (spelt.removeprefix("/"),)
            return (each if spelt == "." else f"{each}/{spelt}",)

        def lines() -> Iterator[Line]:
            if each:
                yield plain_line(document, (*where, "each"), "each", "each", [each], object_type)
            for alias, lookup in given.get("lookup", {}).items():
                place = (*where, "lookup", alias)
                yield plain_line(document, place, "lookup", alias, names(lookup["ref"]), object_type)
            for name in given.get("when", {}):
                yield plain_line(document, (*where, "when", name), "when", "", names(name), object_type)
            for column, spec in given["fields"].items():
                spelt = Spelt(document, (*where, "fields", column), spec, values[column], names)
                yield from spelt.lines("field", column, object_type)

        self._lines.append(lines)

    def _known(self, where: Where, object_type: str | None) -> bool:
        if object_type in self._schema.objects:
            self.object_types.add(object_type)
            return True
        if object_type is not None:  # that the setting is missing has been reported
            self._reader.report(where, f"there is no object {object_type!r}", self._schema.nearest_object(object_type))
        return False

    def _lookup(self, where: Where, alias: str, spec: object) -> None:
        given: Table = self._reader.table(where, spec, _LOOKUP, ["object", "ref"])
        if self._known((*where, "object"), given.get("object")) and "ref" in given:
            ref = self._source((*where, "ref"), given["ref"])
            self._lookups[alias] = Lookup(alias, given["object"], ref, given["ref"], given.get("optional", False))

    def _source(self, where: Where, spelt: str) -> Callable[[ObjectScope], str | None]:
        """Return the reader of ``Path`` of the object or part, ``/Path`` of the whole object, or ``lookup:Path``."""
        alias, colon, path = spelt.partition(":")
        if colon and alias not in self._lookups:
            self._reader.report(where, f"there is no lookup {alias!r} above this line", nearest(alias, self._lookups))
            return lambda _scope: None
        if colon:
            return self._of_lookup(alias, self._text_of(where, self._lookups[alias].object_type, "", path))
        if spelt.startswith("/"):
            whole = self._text_of(where, self._object_type, "", spelt[1:])
            return lambda scope: whole(scope.top)
        part = self._text_of(where, self._object_type, self._each, spelt)
        return lambda scope: part(scope.element)

    @staticmethod
    def _of_lookup(alias: str, text: Callable[[etree._Element], str | None]) -> Callable[[ObjectScope], str | None]:
        def looked_up(scope: ObjectScope) -> str | None:
            element = scope.found.get(alias)
            return None if element is None else text(element)

        return looked_up

    def _text_of(
        self, where: Where, object_type: str, prefix: str, path: str
    ) -> Callable[[etree._Element], str | None]:
        steps = path_steps(path)
        whole = path if not prefix else prefix if path == "." else f"{prefix}/{path}"
        if steps is None or self._schema.find(object_type, whole) is None:
            near = self._schema.nearest(object_type, whole)
            if near is not None and prefix:
                near = near.removeprefix(f"{prefix}/")
            self._reader.report(where, f"{object_type} has no {path!r}", near)
            return lambda _element: None
        attribute = steps[-1].name[1:] if steps[-1].is_attribute else None
        inner = path.rpartition("/")[0] if attribute is not None else "" if path == "." else path
        return _text(_clark(self._schema.namespace_of(object_type), inner), attribute)


def _clark(namespace: str, path: str) -> str:
    """Return a path for lxml's ``find``: each element name in its namespace; predicates stay."""
    steps = path_steps(path) or () if path else ()
    parts = []
    for step in steps:
        tests = "".join(f"[@{name}='{text}']" for name, text in step.predicates)
        tests += f"[{step.number}]" if step.number else ""
        parts.append(f"{{{namespace}}}{step.name}{tests}")
    return "/".join(parts)


def _text(clark: str, attribute: str | None) -> Callable[[etree._Element], str | None]:
    def text(element: etree._Element) -> str | None:
        found = element.find(clark) if clark else element
        if found is None:
            return None
        raw = found.text if attribute is None else found.get(attribute)
        return None if raw is None else raw.strip() or None

    return text
