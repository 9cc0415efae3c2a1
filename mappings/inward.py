"""Inward mappings: from source records to SIF objects; compiling files, reading sources and sending are others'."""

from dataclasses import dataclass, field

from mappings.builder import Fault, Made, Target, identity, write
from mappings.lineage import Line
from mappings.records import GoneObject, MappedObject, Record, RefIds, RowProblem, Translation
from mappings.scope import Scope
from mappings.selection import MAX_ROWS, ROWS, Pick, Selection
from mappings.values import Key, Test


@dataclass(frozen=True, slots=True)
class InwardMapping:
    """One mapping file, ready to use.

    Attributes:
        name: As it was asked for.
        object_type: The objects that it makes.
        sources: The source fields that it reads, as they are spelt in the file.
        rows: The fields in which adjacent rows must agree to be translated as one record (``mappings.gather``); empty
            where each row is a record.
        lines: What it reads and fills, line by line.
    """

    name: str
    title: str
    object_type: str
    sources: frozenset[str]
    rows: tuple[str, ...]
    lines: tuple[Line, ...] = field(repr=False)
    _each: Selection | None = field(repr=False)  # the members that become objects; None when the record itself does
    _tests: tuple[Test[Scope], ...] = field(repr=False)
    _gone: tuple[Test[Scope], ...] = field(repr=False)  # of what passes the tests; without any, nothing is gone
    _picks: tuple[Pick, ...] = field(repr=False)
    _key: Key[Scope] = field(repr=False)
    _about: Key[Scope] | None = field(repr=False)
    _learner: str | None = field(repr=False)  # the attribute of the object that holds the learner's RefId
    _root: Target = field(repr=False)
    _has_ref_id: bool = field(repr=False)
    _namespace: str = field(repr=False)

    def translate(self, record: Record, ref_ids: RefIds) -> Translation:
        """Return the objects of one record; what is wrong with it is reported and never raised.

        An object without key or mandatory part is not made; an optional part that cannot be used is left out. Of what
        is gone the key alone is read; what some member makes all the same is not gone.
        """
        problems: list[RowProblem] = []
        objects: dict[str, MappedObject] = {}
        gone: dict[str, GoneObject] = {}
        whole = Scope(record, record, ref_ids, self.object_type, problems)
        if self.rows and len(record.groups.get(ROWS, ())) > MAX_ROWS:
            names = ", ".join(self.rows)
            message = f"are too many: more than {MAX_ROWS:,} have the same {names}; correct it, or change 'rows'"
            _refuse(whole, [Fault(ROWS, names, "too-many-rows", message)])
            return Translation((), tuple(problems))
        members = (record,) if self._each is None else self._each.members(whole)
        for index, member in enumerate(members, start=1):
            scope = Scope(member, record, ref_ids, self.object_type, problems)
            scope.index = index
            made = self._object(scope)
            if made is None:
                continue
            if isinstance(made, GoneObject):
                gone[made.ref_id] = made
                continue
            if made.ref_id in objects:
                scope.warn(
                    "key", self._key.sources, "duplicate", "the same again: only the first is used; remove the second"
                )
                continue
            objects[made.ref_id] = made
        lost = tuple(one for ref_id, one in gone.items() if ref_id not in objects)
        return Translation(tuple(objects.values()), tuple(problems), lost)

    def texts(self, line: Line, record: Record) -> tuple[str, ...]:
        """Return the texts that one of ``lines`` reads from a record, before they are converted: one for each member.

        Nothing of a record, member or alternative that a condition rules out, or that is gone; nothing of a line that
        makes no text.
        """
        if line.read is None:
            return ()
        whole = Scope(record, record, _NoRefIds(), self.object_type, [])
        found: list[str] = []
        for member in (record,) if self._each is None else self._each.members(whole):
            scope = Scope(member, record, whole.ref_ids, self.object_type, [])
            for pick in self._picks:
                scope.picks[pick.name] = pick.member(scope)
            if self._is_meant(scope) and not self._is_gone(scope):
                found += line.read(scope)
        return tuple(found)

    def _object(self, scope: Scope) -> MappedObject | GoneObject | None:
        for pick in self._picks:
            scope.picks[pick.name] = pick.member(scope)
        if not self._is_meant(scope):
            return None
        key = identity(self._key, scope)
        if self._is_gone(scope):
            return self._gone_object(scope, key)
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

    def _is_meant(self, scope: Scope) -> bool:
        return all(test.holds(scope) for test in self._tests)

    def _is_gone(self, scope: Scope) -> bool:
        return bool(self._gone) and all(test.holds(scope) for test in self._gone)

    def _gone_object(self, scope: Scope, key: tuple[str, ...] | Fault) -> GoneObject | None:
        if isinstance(key, Fault):
            scope.warn(key.path, key.source, key.rule, f"not deleted: {key.path} {key.message}", key.nearest)
            return None
        return GoneObject(self.object_type, scope.ref_ids.ref_id(self.object_type, key))

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


class _NoRefIds:
    """Stands where no RefId is wanted."""

    def ref_id(self, object_type: str, key: tuple[str, ...]) -> str:  # noqa: ARG002 - the protocol's
        return ""
