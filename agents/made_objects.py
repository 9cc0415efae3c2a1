"""Made-up objects for an agent that receives: of each kind the whole and the least of it, and several of each."""

from collections.abc import Iterator, Sequence
from typing import Final

from lxml import etree

import schemas
from broker.protocol.identifiers import new_ref_id
from mappings import OutwardMapping
from schemas.samples import sample

SOME_OF_EACH: Final = 12
ZONES_OWN: Final = frozenset({"LearnerTransfer"})
"""Objects that the zone takes for its own record of a move; it tells those whom the move concerns itself."""
_NEVER: Final = "none"
_LINKED: Final = frozenset({"ContactPersonal"})
"""Objects that go where another object says that they belong to a learner there: one alone goes nowhere."""


def object_types(mappings: Sequence[OutwardMapping]) -> tuple[str, ...]:
    """Return the objects that a target reads by events: those of its mappings; of one without mappings, all."""
    schema = schemas.load()
    found = sorted({name for mapping in mappings for name in mapping.object_types}) or schema.objects
    return tuple(name for name in found if name not in ZONES_OWN and schema.note(name).events != _NEVER)


def made_objects(types: Sequence[str], several: int = SOME_OF_EACH) -> Iterator[etree._Element]:
    """Yield objects: one of each kind that others refer to, then more of them with RefIds of their own."""
    schema = schemas.load()
    for name in types:
        yield sample(schema, name)
        alone = schema.keys(name) == ("@RefId",) and name not in _LINKED
        for number in range(several - 1 if alone else 0):
            element = sample(schema, name, minimal=number % 2 == 0)
            element.set("RefId", new_ref_id())
            yield element


__all__ = ["SOME_OF_EACH", "ZONES_OWN", "made_objects", "object_types"]
