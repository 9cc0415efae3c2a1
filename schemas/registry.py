"""The schema registry: checks objects against their XSD, and answers what an object is made of."""

import re
from functools import cache, cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from lxml import etree

from schemas import source
from schemas.codelists import codes
from schemas.model import CodeList, Finding, Node, OtherLearners, UnknownObject, nearest_of
from schemas.tree import TreeReader

MAX_FINDINGS: Final = 100
_PREDICATE: Final = re.compile(r"\[[^\]]*\]")
_LEARNER: Final = "LearnerPersonal"


@cache
def load() -> "SchemaSet":
    """Return the schemas of the SIF UK 1.x objects that the zone knows. Compiled when first used, then kept."""
    return SchemaSet(files("schemas") / "sif_uk_1")


class SchemaSet:
    """The objects of one namespace. Nothing in it changes once it is loaded.

    Args:
        folder: The folder with the XSD files.

    Attributes:
        namespace: The XML namespace of the objects.
        objects: Names of the objects, sorted.

    Raises:
        schemas.source.BadSchema: The files do not make one schema.
    """

    def __init__(self, folder: Traversable) -> None:
        self._schema = source.read(folder)
        self._declarations = {e.get("name", ""): e for e in self._schema.iterfind(f"{source.XS}element")}
        self._reader = TreeReader(self._schema)
        self._trees: dict[str, dict[str, Node]] = {}
        self._open_codes: dict[str, dict[str, dict[str, CodeList]]] = {}
        self.namespace: str = self._schema.get("targetNamespace", "")
        self.objects: tuple[str, ...] = tuple(sorted(self._declarations))
        self._names = {f"{{{self.namespace}}}{name}": name for name in self.objects}

    @cached_property
    def _full(self) -> etree.XMLSchema:
        return etree.XMLSchema(self._schema)

    @cached_property
    def _partial(self) -> etree.XMLSchema:
        return etree.XMLSchema(source.partial(self._schema))

    def check(self, element: etree._Element, *, partial: bool) -> tuple[Finding, ...]:
        """Check an object against its schema.

        Args:
            element: The object, alone or inside a message.
            partial: Whether it may be a part of an object, as in a Change or Delete.

        Returns:
            What is wrong, in document order and at most 100; empty when it is valid.

        Raises:
            UnknownObject: No schema describes such an object.
        """
        tag = element.tag
        if tag not in self._names:
            raise self._unknown(str(tag))
        schema = self._partial if partial else self._full
        if schema(element):
            return ()
        return self._explain(element, schema, partial=partial)

    def tree(self, object_type: str) -> Node:
        """Return the structure of an object; its path is "".

        Raises:
            UnknownObject: No schema describes such an object.
        """
        return self._paths(object_type)[""]

    def find(self, object_type: str, path: str) -> Node | None:
        """Return what is at a path as agreements write it, or None; predicates such as [@Type='C'] are ignored.

        Raises:
            UnknownObject: No schema describes such an object.
        """
        return self._paths(object_type).get(_plain(path))

    def nearest(self, object_type: str, path: str) -> str | None:
        """Return the path of the object that is most like *path*, for a message to whoever wrote it, or None.

        Raises:
            UnknownObject: No schema describes such an object.
        """
        paths = tuple(path for path in self._paths(object_type) if path)
        plain = _plain(path)
        last = plain.rpartition("/")[2]
        same_name = tuple(p for p in paths if p.rpartition("/")[2].casefold() == last.casefold())
        return nearest_of(plain, same_name, cutoff=0.0) or nearest_of(plain, paths)

    def nearest_object(self, name: str) -> str | None:
        """Return the object whose name is most like *name*, or None."""
        return nearest_of(name, self.objects)

    def keys(self, object_type: str) -> tuple[str, ...]:
        """Return the paths that tell one object of its kind from another, for example ("@RefId",).

        Raises:
            UnknownObject: No schema describes such an object.
        """
        return source.object_keys(self._declaration(object_type))

    def learner_ref(self, object_type: str) -> str | None:
        """Return the path of the RefId of the learner that the object is about, or None.

        Raises:
            UnknownObject: No schema describes such an object.
        """
        return source.object_learner(self._declaration(object_type))

    def other_learners(self, object_type: str) -> tuple[OtherLearners, ...]:
        """Return the lists in an object that name learners other than its own.

        A reference that may be to an adult as well is not among them: the school's contact list, for example.

        Raises:
            UnknownObject: No schema describes such an object.
        """
        paths = self._paths(object_type)
        found = []
        for node in paths.values():
            if node.refs != (_LEARNER,) or node.path == self.learner_ref(object_type):
                continue
            member = node if node.repeatable else paths[node.path.rpartition("/")[0]]
            if member.repeatable:
                ref = node.path.removeprefix(member.path).removeprefix("/") or "."
                found.append(OtherLearners(member.path.rpartition("/")[0], member.name, ref))
        return tuple(found)

    def elements_in_order(self, object_type: str, path: str) -> tuple[str, ...]:
        """Return the names of the elements under a path, in schema order; none when nothing is at the path.

        Raises:
            UnknownObject: No schema describes such an object.
        """
        node = self.find(object_type, path)
        return tuple(child.name for child in node.children if child.kind == "element") if node else ()

    def _paths(self, object_type: str) -> dict[str, Node]:
        """Return every node of an object by path, in document order."""
        if object_type not in self._trees:
            self._declaration(object_type)
            self._trees[object_type] = {node.path: node for node in _walk(self._reader.read(object_type))}
        return self._trees[object_type]

    def _declaration(self, object_type: str) -> etree._Element:
        if object_type not in self._declarations:
            raise self._unknown(object_type)
        return self._declarations[object_type]

    def _unknown(self, name: str) -> UnknownObject:
        return UnknownObject(name, self.nearest_object(name.rpartition("}")[2]))

    def _explain(self, element: etree._Element, schema: etree.XMLSchema, *, partial: bool) -> tuple[Finding, ...]:
        lines = sorted({entry.line for entry in schema.error_log})
        return tuple(Finding("", line, "not-valid", "refuse", "The object is not valid.", None, 3) for line in lines)

    def warnings(self, element: etree._Element) -> tuple[Finding, ...]:
        """Return codes that an open list does not know."""
        return ()


def _plain(path: str) -> str:
    return _PREDICATE.sub("", path)


def _walk(node: Node):
    yield node
    for child in node.children:
        yield from _walk(child)
