"""The objects of all learners who are due, read once however many files they go into; no I/O of its own."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence

from lxml import etree

from agents.connectors.ctf_out.kept import KeptObject
from mappings import Objects
from schemas import SchemaSet


class Held:
    """What an agent keeps of some learners, and, read when asked for, what is about none."""

    def __init__(self, objects: Objects, learners: Collection[str], schema: SchemaSet) -> None:
        self.objects = objects
        self.types = {name: path for name in schema.objects if (path := schema.learner_ref(name)) is not None}
        self._about: dict[tuple[str, str], list[etree._Element]] = defaultdict(list)
        self._shared: dict[str, list[etree._Element]] = {}
        wanted = frozenset(learners)
        for name, path in self.types.items() if wanted else ():
            for element in objects.all(name):
                if (learner := KeptObject(element).see(path)) in wanted:
                    self._about[name, learner].append(element)

    def of(self, learners: Sequence[str]) -> Objects:
        """Return the objects without those about other learners."""
        return _OfSome(self, learners)

    def about(self, object_type: str, learner: str) -> Sequence[etree._Element]:
        """Return the objects of a type about one learner."""
        return self._about.get((object_type, learner), ())

    def shared(self, object_type: str) -> Sequence[etree._Element]:
        """Return the objects of a type that is about no learner."""
        if object_type not in self._shared:
            self._shared[object_type] = list(self.objects.all(object_type))
        return self._shared[object_type]


class _OfSome:
    def __init__(self, held: Held, learners: Sequence[str]) -> None:
        self._held, self._learners = held, learners

    def get(self, object_type: str, ref_id: str) -> etree._Element | None:
        """Return the object, or None when it is not here."""
        return self._held.objects.get(object_type, ref_id)

    def all(self, object_type: str) -> Iterator[etree._Element]:
        """Yield every object of the type, if it is about one of the learners or about none."""
        if object_type not in self._held.types:
            yield from self._held.shared(object_type)
            return
        for learner in self._learners:
            yield from self._held.about(object_type, learner)


__all__ = ["Held"]
