"""Where a record is while it is being mapped: what its values are read from, and the problems they leave."""

from mappings.records import Record, RefIds, RowProblem


class Scope:
    """A record (or a member of one of its groups) while it is being mapped."""

    __slots__ = ("index", "notes", "object_type", "picks", "record", "ref_ids", "target", "top")

    def __init__(self, record: Record, top: Record, ref_ids: RefIds, object_type: str, notes: list[RowProblem]) -> None:
        self.record, self.top, self.ref_ids = record, top, ref_ids
        self.object_type, self.notes = object_type, notes
        self.index = 1
        self.target = ""
        self.picks: dict[str, Record | None] = {}

    def member(self, record: Record, index: int) -> "Scope":
        """Return the scope of one member of a list."""
        scope = Scope(record, self.top, self.ref_ids, self.object_type, self.notes)
        scope.index, scope.picks = index, self.picks
        return scope

    def note(self, source: str, message: str) -> None:
        """Report that an alternative with a ``warn`` was used."""
        self.warn(self.target, source, "note", message)

    def warn(self, target: str, source: str, rule: str, message: str, nearest: str | None = None) -> None:
        """Report a part that is left out, or to be looked at."""
        problem = RowProblem(self.record.position, self.object_type, source, target, rule, message, "warn", nearest)
        self.notes.append(problem)
