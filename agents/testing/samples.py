"""Made-up objects for tests; what is valid the schemas say."""

from lxml import etree

import schemas
from schemas.samples import sample as sample_of


def sample(object_type: str, *, minimal: bool = False) -> etree._Element:
    """Return a made-up instance of an object, valid and the same each time, to be changed at will.

    Args:
        object_type: Name of the object, for example ``LearnerPersonal``.
        minimal: Only what must be there; otherwise every element and attribute, and of each list one member.

    Raises:
        schemas.UnknownObject: No schema describes such an object.
    """
    return sample_of(schemas.load(), object_type, minimal=minimal)


__all__ = ["sample"]
