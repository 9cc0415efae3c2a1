"""Inward mappings: from source records to SIF objects. Reading sources and sending objects are others' work."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import schemas
from mappings.builder import Fault, Made, Pick, Scope, Selection, Target, identity, write
from mappings.document import Where
from mappings.records import MappedObject, Record, RefIds, RowProblem, Translation
from mappings.spec import Reader, Table, ValueReader, path_steps
from mappings.targets import Layout, TargetValue
from mappings.values import Key, Test, Value

INWARD_FILE: Final[dict[str, tuple[type, ...]]] = {
    "title": (str,),
    "object": (str,),
    "keys": (str,),
    "key": (list,),
    "each": (str,),
    "where": (dict,),
    "order": (str,),
    "when": (dict,),
    "about": (dict,),
    "pick": (dict,),
    "fields": (dict,),
    "lists": (dict,),
}
_SELECTION: Final[dict[str, tuple[type, ...]]] = {"where": (dict,), "order": (str,), "skip": (int,)}
_PICK: Final[dict[str, tuple[type, ...]]] = {"from": (str,), "take": (str,), **_SELECTION}
_LIST: Final[dict[str, tuple[type, ...]]] = {
    "each": (str,),
    "unique": (str,),
    "when": (dict,),
    "fields": (dict,),
    **_SELECTION,
}


@dataclass(frozen=True, slots=True)
class InwardMapping:
    """One mapping file, ready to use.

    Attributes:
        name: As it was asked for.
        object_type: The objects that it makes.
        sources: The source fields that it reads, as they are spelt in the file.
    """

    name: str
    title: str
    object_type: str
    sources: frozenset[str]
    _each: Selection | None = field(repr=False)  # the members that become objects; None when the record itself does
    _tests: tuple[Test[Scope], ...] = field(repr=False)
    _picks: tuple[Pick, ...] = field(repr=False)
    _key: Key[Scope] = field(repr=False)
    _about: Key[Scope] | None = field(repr=False)
    _learner: str | None = field(repr=False)  # the attribute of the object that holds the learner's RefId
    _root: Target = field(repr=False)
    _has_ref_id: bool = field(repr=False)
    _namespace: str = field(repr=False)

    def translate(self, record: Record, ref_ids: RefIds) -> Translation:
        """Return the objects of one record; what is wrong with it is reported and never raised.

        An object without key or mandatory part is not made; an optional part that cannot be used is left out.
        """
        problems: list[RowProblem] = []
        objects: dict[str, MappedObject] = {}
        whole = Scope(record, record, ref_ids, self.object_type, problems)
        members = (record,) if self._each is None else self._each.members(whole)
        for index, member in enumerate(members, start=1):
            scope = Scope(member, record, ref_ids, self.object_type, problems)
            scope.index = index
            made = self._object(scope)
            if made is None:
                continue
            if made.ref_id in objects:
                scope.warn(
                    "key", self._key.sources, "duplicate", "the same again: only the first is used; remove the second"
                )
                continue
            objects[made.ref_id] = made
        return Translation(tuple(objects.values()), tuple(problems))

    def _object(self, scope: Scope) -> MappedObject | None:
        for pick in self._picks:
            scope.picks[pick.name] = pick.member(scope)
        if not all(test.holds(scope) for test in self._tests):
            return None
        key = identity(self._key, scope)
        if isinstance(key, Fault):
            _refuse(scope, [key])
            return None
        before = len(scope.notes)
        made = self._root.make(scope)
        if not isinstance(made, Made):
            del scope.notes[before:]  # of an object that is not made, only the reason matters
            _refuse(scope, made or [])
            return None
        ref_id = scope.ref_ids.ref_id(self.object_type, key)
        if self._learner == "RefId":
            learner: str | None = ref_id
        elif self._learner is not None:
            learner = made.attributes.get(self._learner)
        else:
            learner = self._about_learner(scope)
        if self._has_ref_id:  # the others are told apart by their references
            made.attributes["RefId"] = ref_id
        return MappedObject(self.object_type, write(made, self._namespace), ref_id, key, learner)

    def _about_learner(self, scope: Scope) -> str | None:
        key = identity(self._about, scope) if self._about is not None else None
        return scope.ref_ids.ref_id("LearnerPersonal", key) if isinstance(key, tuple) else None


def _refuse(scope: Scope, faults: list[Fault]) -> None:
    for fault in faults:
        message = f"not made: {fault.path} {fault.message}"
        position, kind = scope.record.position, scope.object_type
        scope.notes.append(
            RowProblem(position, kind, fault.source, fault.path, fault.rule, message, "refuse", fault.nearest)
        )


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
        self._keys: dict[str, tuple[Reader, Where, object]] = {}
        self._making: list[str] = []

    def mapping(self) -> InwardMapping:
        given = self._reader.table((), self._reader.document.values, INWARD_FILE, ["object", "fields"])
        object_type = self._object_type(given)
        self._own_keys(given)
        for alias, spec in given.get("pick", {}).items():
            self._pick(("pick", alias), alias, spec)
        tests = self._values.tests(("when",), given.get("when", {}))
        key = self._key(("key",), given["key"]) if "key" in given else self._named_key(("object",), object_type)
        about = self._about(given)
        fields = {path: self._values.value(("fields", path), spec) for path, spec in given.get("fields", {}).items()}
        targets = [TargetValue(("fields", path), path, value) for path, value in fields.items()]
        lists = [self._list(("lists", path), path, spec) for path, spec in given.get("lists", {}).items()]
        layout = Layout(self._schema, object_type, self._reader)
        root = layout.root(targets, [entry for entry in lists if entry is not None])
        each = self._each(given)
        self._reader.finish()
        learner = self._schema.learner_ref(object_type)
        return InwardMapping(
            self._name,
            given.get("title", ""),
            object_type,
            frozenset(self._sources),
            each,
            tests,
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
        if name and name not in self._schema.objects:
            self._reader.report(("object",), f"there is no object {name!r}", self._schema.nearest_object(name))
        if name not in self._schema.objects:
            self._reader.finish()
        return name

    def _own_keys(self, given: Table) -> None:
        if "keys" not in given:
            return
        document = self._reader.find(given["keys"])
        if document is None:
            self._reader.report(("keys",), f"there is no key file {given['keys']!r} in the library")
            return
        other = Reader(document, self._reader.find, self._reader.names)
        table = other.table((), document.values, {"title": (str,), "keys": (dict,)}, ["keys"])
        for object_type, spec in table.get("keys", {}).items():
            if object_type not in self._schema.objects:
                near = self._schema.nearest_object(object_type)
                other.report(("keys", object_type), f"there is no object {object_type!r}", near)
            self._keys[object_type] = (other, ("keys", object_type), spec)
        self._reader.problems.extend(other.problems)

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
        return (
            self._key(("about", "key"), about["key"])
            if "key" in about
            else self._named_key(("about",), "LearnerPersonal")
        )

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

    def _source(self, where: Where, name: str) -> Callable[[Scope], str | None]:
        """Return the reader of ``Field``, ``/Field`` of the whole record, ``pick:Field``, or ``#``, the number."""
        alias, colon, rest = name.partition(":")
        if colon and alias in self._picks:
            self._sources.add(self._label(name))

            def picked(scope: Scope) -> str | None:
                member = scope.picks.get(alias)
                return None if member is None else member.fields.get(rest)

            return picked
        if name == "#":
            return lambda scope: str(scope.index)
        if name.startswith("../"):
            self._values.reader.report(
                where, f"write /{name.lstrip('./')}: a leading slash reads from the whole record"
            )
        if not name.strip("/"):
            self._values.reader.report(where, "the name of a source field is empty")
        self._sources.add(name)
        if name.startswith("/"):
            top = name[1:]
            return lambda scope: scope.top.fields.get(top)
        return lambda scope: scope.record.fields.get(name)

    def _label(self, name: str) -> str:
        """Return what problems call a source field: where it stands in the source, not how the file abbreviates it."""
        alias, colon, rest = name.partition(":")
        if colon and alias in self._picks:
            return f"{self._picks[alias].selection.group}/{rest}"
        return name.removeprefix("/")

    def _each(self, given: Table) -> Selection | None:
        if "each" in given:
            return self._selection((), given, given["each"])
        for name in ("where", "order"):
            if name in given:
                self._reader.report((name,), f"{name!r} goes with 'each' only: remove it")
        return None

    def _pick(self, where: Where, alias: str, spec: object) -> None:
        given = self._reader.table(where, spec, _PICK, ["from"])
        take = given.get("take", "first")
        if take not in ("first", "last"):
            self._reader.report((*where, "take"), '\'take\' must be "first" or "last"')
        if "from" in given:
            self._picks[alias] = Pick(alias, self._selection(where, given, given["from"]), take == "last")

    def _selection(self, where: Where, given: Table, group: str) -> Selection:
        wanted = tuple(
            (member, self._source((*where, "where", member), name if isinstance(name, str) else ""))
            for member, name in given.get("where", {}).items()
        )
        skip: Any = given.get("skip", 0)
        return Selection(group.lstrip("/"), group.startswith("/"), wanted, given.get("order"), max(0, skip))

    def _list(self, where: Where, path: str, spec: object) -> TargetValue | None:
        given = self._reader.table(where, spec, _LIST, ["each", "fields"])
        if "each" not in given or not given.get("fields"):
            return None
        inner = tuple(
            TargetValue(
                (*where, "fields", part),
                path if part == "." else f"{path}/{part}",
                self._values.value((*where, "fields", part), value),
            )
            for part, value in given["fields"].items()
        )
        steps = path_steps(path)
        if steps is None or steps[-1].is_attribute:
            self._reader.report(where, f"{path!r} is not a path of an element such as SENTypeList/SENType")
            return None
        tests = self._values.tests((*where, "when"), given.get("when", {}))
        selection = self._selection(where, given, given["each"])
        unique = given.get("unique")
        return TargetValue(where, path, None, inner, selection, tests, None if unique is None else unique.lstrip("@"))
