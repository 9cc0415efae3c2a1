"""Reads SIF objects from XML files: of golden tests, and to be turned back into rows."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from lxml import etree

import schemas
from agents.connectors.contract import SourceError
from broker.protocol.documents import parse_document
from broker.protocol.errors import NotWellFormed

MAX_BYTES: Final = 8 * 1024 * 1024


def read_xml(path: Path) -> etree._Element:
    """Return the root of an XML file without document type.

    Raises:
        SourceError: It cannot be read, is too large, or is no such XML.
    """
    try:
        with path.open("rb") as file:
            body = file.read(MAX_BYTES + 1)
        root = parse_document(body, MAX_BYTES)
    except NotWellFormed as error:
        raise SourceError(
            f"{path}:{error.line or 1}: cannot be read as XML: mend it, or delete and make it anew"
        ) from error
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror}): check its rights") from error
    return root


class ObjectsOf:
    """The SIF objects of a document, at whatever depth, as an agent keeps them."""

    def __init__(self, root: etree._Element) -> None:
        self._known = frozenset(schemas.load().objects)
        self._all: dict[str, dict[str, etree._Element]] = {}
        self._take(root)

    def _take(self, element: etree._Element) -> None:
        name = etree.QName(element)
        if name.localname in self._known and name.namespace:
            same = self._all.setdefault(name.localname, {})
            same.setdefault(element.get("RefId", f"number {len(same)}"), element)
            return
        for child in element:
            self._take(child)

    def get(self, object_type: str, ref_id: str) -> etree._Element | None:
        """Return an object, or None when it is not in the document."""
        return self._all.get(object_type, {}).get(ref_id)

    def all(self, object_type: str) -> Iterator[etree._Element]:
        """Return the objects of a type, in the order of the document."""
        return iter(self._all.get(object_type, {}).values())


__all__ = ["MAX_BYTES", "ObjectsOf", "read_xml"]
