"""Compiles an inward mapping file, reporting all that is wrong with it; translating records is ``inward``'s work."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Final, Literal

import schemas
from mappings.document import Where
from mappings.inward import InwardMapping
from mappings.lineage import Kind, Line, Scopes, Spelt, plain_line
from mappings.origins import OriginReader
from mappings.problems import nearest
from mappings.scope import Scope
from mappings.selection import Inside, Pick, Selection, full_names
from mappings.spec import Reader, Table, ValueReader, path_steps
from mappings.targets import Layout, TargetValue
from mappings.values import Key, Test, Value

MAX_KEY_PARTS: Final = 2_000  # of all keys of a file, counted as often as others refer to them
INWARD_FILE: Final[dict[str, tuple[type, ...]]] = {
    "title": (str,),
    "base": (str,),
    "object": (str,),
    "keys": (str,),
    "key": (list,),
    "rows": (list,),
    "each": (str,),
    "split": (str,),
    "columns": (list,),
    "where": (dict,),
    "order": (str,),
    "when": (dict,),
    "gone": (dict,),
    "about": (dict,),
    "pick": (dict,),
    "fields": (dict,),
    "lists": (dict,),
}
_SELECTION: Final[dict[str, tuple[type, ...]]] = {
    "split": (str,),
    "columns": (list,),
    "where": (dict,),
    "order": (str,),
    "skip": (int,),
}
_PICK: Final[dict[str, tuple[type, ...]]] = {"from": (str,), "take": (str,), **_SELECTION}
_LIST: Final[dict[str, tuple[type, ...]]] = {
    "each": (str,),
    "unique": (str,),
    "when": (dict,),
    "fields": (dict,),
    **_SELECTION,
}


def compile_inward(name: str, reader: Reader) -> InwardMapping:
    """Return the mapping that the file describes.

    Raises:
        MappingError: With every problem of the file.
    """
    return _Compiler(name, reader).mapping()


class _Compiler:
    def __init__(self, name: str, reader: Reader) -> None:
        self._name, self._reader = name, reader
        self._schema = schemas.load()
        self._sources: set[str] = set()
        self._picks: dict[str, Pick] = {}
        self._values = ValueReader[Scope](reader, self._source, self._ref, self._label)
        self._origins = OriginReader(reader, self._source)
        self._keys: dict[str, tuple[Reader, Where, object]] = {}
        self._making: list[str] = []
        self._key_parts = 0
        self._each_inside: Inside | None = None  # where the fields of what becomes an object are read
        self._inside: Inside | None = None  # where fields are read at the moment
        self._lines: list[Callable[[], Iterable[Line]]] = []  # called when the file is known to be right

    def mapping(self) -> InwardMapping:
        given = self._reader.table((), self._reader.document.values, INWARD_FILE, ["object", "fields"])
        object_type = self._object_type(given)
        self._own_keys(given)
        rows = self._rows(given)
        each = self._each(given)
        for alias, spec in given.get("pick", {}).items():
            self._pick(("pick", alias), alias, spec)
        tests = self._tests(("when",), "when", "", given)
        gone = self._gone(given)
        key = self._own_key(given, object_type)
        about = self._about(given)
        targets = [self._field(("fields", path), path, spec) for path, spec in given.get("fields", {}).items()]
        lists = [self._list(("lists", path), path, spec) for path, spec in given.get("lists", {}).items()]
        layout = Layout(self._schema, object_type, self._reader)
        root = layout.root(targets, [entry for entry in lists if entry is not None])
        self._reader.finish()
        learner = self._schema.learner_ref(object_type)
        return InwardMapping(
            self._name,
            given.get("title", ""),
            object_type,
            frozenset(self._sources),
            rows,
            tuple(line for lines in self._lines for line in lines()),
            each,
            tests,
            gone,
            tuple(self._picks.values()),
            key,
            about,
            None if learner is None else learner.lstrip("@"),
            root,
            self._schema.find(object_type, "@RefId") is not None,
            self._schema.namespace_of(object_type),
        )

    def _object_type(self, given: Table) -> str:
        name: str = given.get("object", "")
        if "object" in given and name not in self._schema.objects:
            self._reader.report(("object",), f"there is no object {name!r}", self._schema.nearest_object(name))
        if name not in self._schema.objects:
            self._reader.finish()
        return name

    # what identifies objects

    def _own_keys(self, given: Table) -> None:
        if "keys" not in given:
            return
        document = self._reader.files.find(given["keys"])
        if document is None:
            near = nearest(given["keys"][:200], self._reader.files.names())
            self._reader.report(("keys",), f"there is no key file {given['keys']!r} in the library", near)
            return
        other = Reader(document, self._reader.files)
        table = other.table((), document.values, {"title": (str,), "base": (str,), "keys": (dict,)}, ["keys"])
        for object_type, spec in table.get("keys", {}).items():
            if object_type not in self._schema.objects:
                near = self._schema.nearest_object(object_type)
                other.report(("keys", object_type), f"there is no object {object_type!r}", near)
            self._keys[object_type] = (other, ("keys", object_type), spec)
        self._reader.problems.extend(other.problems)

    def _own_key(self, given: Table, object_type: str) -> Key[Scope]:
        if "key" in given:
            key = self._key(("key",), given["key"])
            self._note_key(self._reader, ("key",), given["key"], key)
            return key
        key = self._named_key(("object",), object_type)
        if object_type in self._keys:
            self._note_key(*self._keys[object_type], key)
        return key

    def _named_key(self, where: Where, object_type: str) -> Key[Scope]:
        """Return the key that the key file gives an object type; it reads fields in the record where it is used."""
        if object_type not in self._keys:
            self._reader.report(where, f"no key for {object_type}: add 'key', or name a file in 'keys' that has one")
            return Key(())
        if object_type in self._making:
            self._reader.report(where, f"the key of {object_type} is made of itself: {' > '.join(self._making)}")
            return Key(())
        other, place, spec = self._keys[object_type]
        self._making.append(object_type)
        values, self._values = self._values, ValueReader[Scope](other, self._source, self._ref, self._label)
        try:
            return self._key(place, spec)
        finally:
            self._reader.problems.extend(p for p in other.problems if p not in self._reader.problems)
            self._values = values
            self._making.pop()

    def _key(self, where: Where, spec: object) -> Key[Scope]:
        reader = self._values.reader
        if not isinstance(spec, list) or not spec:
            reader.report(where, "a key is a list of source fields, or a list of such lists")
            return Key(())
        if not all(isinstance(part, list) for part in spec):
            return Key((tuple(self._part((*where, i), part) for i, part in enumerate(spec)),))
        ways = []
        for index, parts in enumerate(spec):
            ways.append(tuple(self._part((*where, index, i), part) for i, part in enumerate(parts)))
            if not parts:
                reader.report((*where, index), "an empty key would make all the same: name source fields")
        return Key(tuple(ways))

    def _part(self, where: Where, spec: object) -> Value[Scope]:
        self._key_parts += 1
        if self._key_parts > MAX_KEY_PARTS:  # keys of keys of keys: each record would take for ever
            self._values.reader.report(where, "the keys refer to each other too often: make them of fewer parts")
            self._values.reader.finish()
        return self._values.value(where, spec)

    def _about(self, given: Table) -> Key[Scope] | None:
        about = self._reader.table(("about",), given.get("about", {}), {"ref": (str,), "key": (list,)})
        if not about:
            return None
        if about.get("ref") != "LearnerPersonal":
            self._reader.report(
                ("about", "ref"), 'an object can be about a learner only: write ref = "LearnerPersonal"'
            )
            return None
        self._note(("about",), "about", "about", lambda: self._ref_names(self._each_inside, about))
        if "key" in about:
            return self._key(("about", "key"), about["key"])
        return self._named_key(("about",), "LearnerPersonal")

    def _ref(self, where: Where, given: Table) -> tuple[Callable[[Scope], str | None], str]:
        object_type: str = given["ref"]
        if object_type not in self._schema.objects:
            near = self._schema.nearest_object(object_type)
            self._values.reader.report((*where, "ref"), f"there is no object {object_type!r}", near)
            return lambda _scope: None, ""
        if "key" in given:
            key = self._key((*where, "key"), given["key"])
        else:
            key = self._named_key((*where, "ref"), object_type)

        def ref(scope: Scope) -> str | None:
            found = key.read(scope)
            return None if found is None else scope.ref_ids.ref_id(object_type, found)

        return ref, key.sources

    # fields of the source

    def _source(self, where: Where, name: str) -> Callable[[Scope], str | None]:
        """Return the reader of ``Field``, ``/Field`` of the whole record, ``pick:Field``, or ``#``, the number."""
        alias, colon, rest = name.partition(":")
        if colon and alias in self._picks:
            return self._picked(where, alias, rest)
        if name == "#":
            return lambda scope: str(scope.index)
        if name.startswith("../"):
            self._values.reader.report(
                where, f"write /{name.lstrip('./')}: a leading slash reads from the whole record"
            )
        if not name.strip("/"):
            self._values.reader.report(where, "the name of a source field is empty")
        if name.startswith("/"):
            self._sources.add(name)
            top = name[1:]
            return lambda scope: scope.top.fields.get(top)
        self._count(where, self._inside, name, name)
        return lambda scope: scope.record.fields.get(name)

    def _picked(self, where: Where, alias: str, name: str) -> Callable[[Scope], str | None]:
        inside = self._inside_pick(alias)
        self._count(where, inside, name, f"{inside.origin.name}/{name}")

        def picked(scope: Scope) -> str | None:
            member = scope.picks.get(alias)
            return None if member is None else member.fields.get(name)

        return picked

    def _count(self, where: Where, inside: Inside | None, name: str, spelt: str) -> None:
        """Count a field among those that are read; report one that the members cannot have."""
        if inside is None or inside.fields is None:
            self._sources.add(spelt)
            return
        self._check_member(where, inside, name)
        self._sources.update(inside.full_names(name))

    def _check_member(self, where: Where, inside: Inside, name: str) -> None:
        known = inside.fields
        if known is None or name in known:
            return
        message = f"the members have no field {name!r}, only {', '.join(known)}: /{name} reads from the whole record"
        self._values.reader.report(where, message, nearest(name[:200], known))

    def _inside_pick(self, alias: str) -> Inside:
        return Inside(self._picks[alias].selection.origin, self._each_inside)

    def _label(self, name: str) -> str:
        """Return what problems call a source field: where it stands in the source, not how the file abbreviates it."""
        alias, colon, rest = name.partition(":")
        picked = bool(colon) and alias in self._picks
        inside, name = (self._inside_pick(alias), rest) if picked else (self._inside, name)
        if inside is not None and inside.fields is not None and not name.startswith("/"):
            return ", ".join(inside.full_names(name))
        return f"{inside.origin.name}/{name}" if inside is not None and picked else name.removeprefix("/")

    # members

    def _rows(self, given: Table) -> tuple[str, ...]:
        """Return the fields in which adjacent rows agree; they are read before there are members."""
        if "rows" not in given:
            return ()
        rows = [name for name in given["rows"] if isinstance(name, str) and name and not name.startswith("/")]
        for index, name in enumerate(given["rows"]):
            if name not in rows:
                self._reader.report(("rows", index), "must be a field of the rows in quotes")
        if not given["rows"]:
            self._reader.report(("rows",), "an empty list gathers nothing: name the fields in which rows agree")
        self._sources.update(rows)
        self._note(("rows",), "rows", "rows", lambda: rows)
        return tuple(rows)

    def _each(self, given: Table) -> Selection | None:
        if "each" in given or "columns" in given:
            each = self._selection((), given, "each", "each")
            self._inside = self._each_inside = None if each is None else Inside(each.origin)
            return each
        for name in ("split", "where", "order"):
            if name in given:
                self._reader.report((name,), f"{name!r} goes with 'each' only: remove it")
        return None

    def _pick(self, where: Where, alias: str, spec: object) -> None:
        given = self._reader.table(where, spec, _PICK)
        take = given.get("take", "first")
        if take not in ("first", "last"):
            self._reader.report((*where, "take"), '\'take\' must be "first" or "last"')
        selection = self._selection(where, given, "from", "pick")
        if selection is not None:
            self._picks[alias] = Pick(alias, selection, take == "last")

    def _selection(self, where: Where, given: Table, way: str, kind: Kind) -> Selection | None:
        """Return the members that a table chooses."""
        origin = self._origins.origin(where, given, way)
        if origin is None:
            return None
        inside = Inside(origin, self._inside)
        wanted = []
        for member, name in given.get("where", {}).items():
            place = (*where, "where", member)
            self._check_member(place, inside, member)
            if not isinstance(name, str):
                self._reader.report(place, "must be a field of the record in quotes")
            wanted.append((member, self._source(place, name if isinstance(name, str) else "?")))
        if "order" in given:
            self._check_member((*where, "order"), inside, given["order"])
        self._note_selection(where, given, kind, inside)
        skip: Any = given.get("skip", 0)
        return Selection(origin, tuple(wanted), given.get("order"), max(0, skip))

    # fields and lists of the object

    def _field(self, where: Where, path: str, spec: object) -> TargetValue:
        value = self._values.value(where, spec)
        self._note_value("field", path, self._spelt(self._reader, where, spec, value))
        return TargetValue(where, path, value)

    def _tests(self, where: Where, kind: Literal["when", "gone"], target: str, given: Table) -> tuple[Test[Scope], ...]:
        inside, spec = self._inside, given.get(kind, {})
        for name in spec:
            self._note((*where, name), kind, target, partial(self._names, inside, name))
        return self._values.tests(where, spec)

    def _gone(self, given: Table) -> tuple[Test[Scope], ...]:
        """Return the tests that a record passes whose object is gone, which 'when' has to let through first."""
        if given.get("gone") == {}:
            self._reader.report(("gone",), "an empty 'gone' says nothing: name the field that says it, or remove it")
        tests = self._tests(("gone",), "gone", "", given)
        wanted, gone = given.get("when", {}), given.get("gone", {})
        for name in gone:
            if name in wanted and _rule_each_other_out(wanted[name], gone[name]):
                message = f"no record is gone by {name!r}, since 'when' leaves all such out: add it there too"
                self._reader.report(("gone", name), message)
        return tests

    def _list(self, where: Where, path: str, spec: object) -> TargetValue | None:
        given = self._reader.table(where, spec, _LIST, ["fields"])
        tests = self._tests((*where, "when"), "when", path, given)
        selection = self._selection(where, given, "each", "list")
        if selection is None or not given.get("fields"):
            return None
        steps = path_steps(path)
        if steps is None or steps[-1].is_attribute:
            self._reader.report(where, f"{path!r} is not a path of an element such as SENTypeList/SENType")
            return None
        outer, self._inside = self._inside, Inside(selection.origin, self._inside)
        inner = tuple(
            self._member((*where, "fields", part), path, part, value, selection, tests)
            for part, value in given["fields"].items()
        )
        self._inside = outer
        unique = given.get("unique")
        return TargetValue(where, path, None, inner, selection, tests, None if unique is None else unique.lstrip("@"))

    def _member(
        self, where: Where, path: str, part: str, spec: object, selection: Selection, tests: tuple[Test[Scope], ...]
    ) -> TargetValue:
        def scopes(scope: Scope) -> Iterator[Scope]:
            if all(test.holds(scope) for test in tests):
                for index, member in enumerate(selection.members(scope), start=1):
                    yield scope.member(member, index)

        whole = path if part == "." else f"{path}/{part}"
        value = self._values.value(where, spec)
        self._note_value("field", whole, self._spelt(self._reader, where, spec, value), path, scopes)
        return TargetValue(where, whole, value)

    # what lines say of themselves

    def _note(self, where: Where, kind: Kind, target: str, names: Callable[[], Iterable[str]]) -> None:
        self._lines.append(lambda: [plain_line(self._reader.document, where, kind, target, names())])

    def _spelt(self, reader: Reader, where: Where, spec: object, value: Value[Scope]) -> Spelt:
        inside = self._inside
        return Spelt(
            reader.document,
            where,
            spec,
            value,
            lambda name: self._names(inside, name),
            lambda given: tuple(self._ref_names(inside, given)),
        )

    def _note_value(
        self, kind: Kind, target: str, spelt: Spelt, group: str = "", scopes: Scopes | None = None, way: int = 0
    ) -> None:
        self._lines.append(lambda: spelt.lines(kind, target, group, scopes, way))

    def _note_key(self, reader: Reader, where: Where, spec: object, key: Key[Scope]) -> None:
        ways = spec if isinstance(spec, list) else []
        listed = all(isinstance(parts, list) for parts in ways)
        for index, (parts, values) in enumerate(zip(ways if listed else [ways], key.alternatives, strict=False)):
            for i, (part, value) in enumerate(zip(parts, values, strict=True)):
                place = (*where, index, i) if listed else (*where, i)
                self._note_value("key", "key", self._spelt(reader, place, part, value), way=index + 1)

    def _note_selection(self, where: Where, given: Table, kind: Kind, inside: Inside) -> None:
        outer = inside.outer
        place = (*where, next(name for name in ("each", "from", "columns") if name in given))

        def names() -> Iterator[str]:
            if inside.fields is None:
                yield from (name for name in inside.full_names(".") if name != ".")
            for name in (
                *(inside.fields or ()),
                *given.get("where", ()),
                *([given["order"]] if "order" in given else ()),
            ):
                yield from inside.full_names(name)
            for name in given.get("where", {}).values():
                yield from self._names(outer, name)

        target = {"each": "each", "list": str(where[-1]) if where else "", "pick": str(where[-1]) if where else ""}[
            kind
        ]
        self._note(place, kind, target, names)

    def _names(self, inside: Inside | None, name: str) -> tuple[str, ...]:
        """Return what a source field is called in full."""
        alias, colon, rest = name.partition(":")
        if colon and alias in self._picks:
            return self._inside_pick(alias).full_names(rest)
        return () if name == "#" else full_names(inside, name)

    def _ref_names(self, inside: Inside | None, given: Table) -> Iterator[str]:
        """Yield the fields that a reference is made of, also by way of other references."""
        yield from self._spec_names(inside, given["key"] if "key" in given else self._keys[given["ref"]][2])

    def _spec_names(self, inside: Inside | None, spec: Any) -> Iterator[str]:
        if isinstance(spec, str):
            yield from self._names(inside, spec)
        elif isinstance(spec, list):
            for part in spec:
                yield from self._spec_names(inside, part)
        elif "ref" in spec:
            yield from self._ref_names(inside, spec)
        else:
            yield from self._spec_names(inside, spec.get("join", spec.get("from", [])))


def _rule_each_other_out(one: object, other: object) -> bool:
    """Tell whether no text of a field passes both of two tests; False where they are not spelt right."""
    texts = [_texts(each) for each in (one, other)]
    if None not in texts:
        return not (texts[0] or frozenset()) & (texts[1] or frozenset())
    filled = [bool(found) or spec is True for found, spec in zip(texts, (one, other), strict=True)]
    return (one is False and filled[1]) or (other is False and filled[0])


def _texts(spec: object) -> frozenset[str] | None:
    """Return the texts that a test wants, as they are compared; None where it is no text or list of texts."""
    listed = [spec] if isinstance(spec, str) else spec
    if not isinstance(listed, list) or not all(isinstance(text, str) for text in listed):
        return None
    return frozenset(text.strip().casefold() for text in listed)
