"""One form of the schema, full or partial: compiled for checking, and as trees for reading."""

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cached_property
from types import MappingProxyType

from lxml import etree

from schemas.model import BadSchema, Node
from schemas.source import XS
from schemas.tree import TreeReader


class Variant:
    """A schema document in use. What costs time is done when it is first asked for.

    Args:
        document: An xs:schema element without includes.
        enrich: Adds to the tree of an object, given its name, what the document does not know; None where it knows all.
        only: The global elements that are objects; None where all are.

    Attributes:
        document: The same, not to be changed.
        declarations: The declaration of each object by its name, in order of name.
    """

    def __init__(
        self,
        document: etree._Element,
        enrich: Callable[[str, Node], Node] | None = None,
        only: Collection[str] | None = None,
    ) -> None:
        self.document = document
        named = {element.get("name", ""): element for element in document.iterfind(f"{XS}element")}
        found = {name: element for name, element in named.items() if only is None or name in only}
        self.declarations: Mapping[str, etree._Element] = MappingProxyType(dict(sorted(found.items())))
        self._reader = TreeReader(document)
        self._enrich = enrich
        self._nodes: dict[str, Mapping[str, Node]] = {}

    @cached_property
    def compiled(self) -> etree.XMLSchema:
        """The compiled schema.

        Raises:
            BadSchema: It is no valid schema.
        """
        try:
            return etree.XMLSchema(self.document)
        except etree.XMLSchemaParseError as error:
            raise BadSchema(f"the schema files do not make a valid schema: {error}") from error

    def nodes(self, object_type: str) -> Mapping[str, Node]:
        """Return every node of an object by path, in document order; the object itself has the path ""."""
        if object_type not in self._nodes:
            root = self._reader.read(object_type)
            if self._enrich is not None:
                root = self._enrich(object_type, root)
            self._nodes[object_type] = MappingProxyType({node.path: node for node in _walk(root)})
        return self._nodes[object_type]


def _walk(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from _walk(child)
