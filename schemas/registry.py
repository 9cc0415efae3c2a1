"""The schema registry: checks objects against their XSD, and answers what an object is made of."""

import re
from functools import cache, cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from lxml import etree

from schemas import source
from schemas.explain import explain
from schemas.model import Finding, Node, OtherLearners, UnknownObject, line_of, nearest_of
from schemas.openlists import OpenLists, open_lists
from schemas.values import Values
from schemas.variant import Variant

_PREDICATE: Final = re.compile(r"\[[^\]]*\]")
_LEARNER: Final = "LearnerPersonal"


@cache
def load() -> "SchemaSet":
    """Return the schemas of the SIF UK 1.x objects that the zone knows. Compiled when first used, then kept."""
    return SchemaSet(files("schemas") / "sif_uk_1", files("schemas") / "shared")


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

    def __init__(self, folder: Traversable, shared: Traversable | None = None) -> None:
        self._full = Variant(source.read(folder, shared))
        self._open_lists: dict[str, OpenLists] = {}
        self.namespace: str = self._full.document.get("targetNamespace", "")
        self.objects: tuple[str, ...] = tuple(self._full.declarations)
        self._names = {f"{{{self.namespace}}}{name}": name for name in self.objects}

    @cached_property
    def _partial(self) -> Variant:
        return Variant(source.partial(self._full.document))

    @cached_property
    def _values(self) -> Values:
        return Values(self._full.document)

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
        name = self._name(element)
        variant = self._partial if partial else self._full
        compiled = variant.compiled
        if compiled(element):
            return ()
        # the last resort, should the engine ever refuse what the walk finds nothing wrong with
        unexplained = Finding("", line_of(element), "not-valid", "refuse", f"{name} is not valid.", None, 3)
        return explain(element, variant.nodes(name), self.namespace, self._values) or (unexplained,)

    def warnings(self, element: etree._Element) -> tuple[Finding, ...]:
        """Return a warning for each code that its open list does not know, in document order and at most 100.

        Raises:
            UnknownObject: No schema describes such an object.
        """
        name = self._name(element)
        if name not in self._open_lists:
            self._open_lists[name] = open_lists(self._full.nodes(name), self.namespace)
        return self._open_lists[name].check(element)

    def tree(self, object_type: str) -> Node:
        """Return the structure of an object; its path is "".

        Raises:
            UnknownObject: No schema describes such an object.
        """
        self._known(object_type)
        return self._full.nodes(object_type)[""]

    def find(self, object_type: str, path: str) -> Node | None:
        """Return what is at a path as agreements write it, or None; predicates such as [@Type='C'] are ignored.

        Raises:
            UnknownObject: No schema describes such an object.
        """
        self._known(object_type)
        return self._full.nodes(object_type).get(_plain(path))

    def nearest(self, object_type: str, path: str) -> str | None:
        """Return the path of the object that is most like *path*, for a message to whoever wrote it, or None.

        Raises:
            UnknownObject: No schema describes such an object.
        """
        self._known(object_type)
        plain = _plain(path)
        paths = tuple(known for known in self._full.nodes(object_type) if known)
        last = _last(plain).casefold()
        same_name = tuple(known for known in paths if _last(known).casefold() == last)
        return nearest_of(plain, same_name, cutoff=0.0) or nearest_of(plain, paths)

    def nearest_object(self, name: str) -> str | None:
        """Return the object whose name is most like *name*, or None."""
        return nearest_of(name, self.objects)

    def keys(self, object_type: str) -> tuple[str, ...]:
        """Return the paths that tell one object of its kind from another, for example ("@RefId",).

        Raises:
            UnknownObject: No schema describes such an object.
        """
        self._known(object_type)
        return source.object_keys(self._full.declarations[object_type])

    def learner_ref(self, object_type: str) -> str | None:
        """Return the path of the RefId of the learner that the object is about, or None.

        Raises:
            UnknownObject: No schema describes such an object.
        """
        self._known(object_type)
        return source.object_learner(self._full.declarations[object_type])

    def other_learners(self, object_type: str) -> tuple[OtherLearners, ...]:
        """Return the lists in an object that name learners other than its own.

        A reference that may also be to an adult is not among them, as in a school's list of contacts.

        Raises:
            UnknownObject: No schema describes such an object.
        """
        own = self.learner_ref(object_type)
        nodes = self._full.nodes(object_type)
        found = []
        for node in nodes.values():
            if node.refs != (_LEARNER,) or node.path == own:
                continue
            member = node if node.repeatable else nodes[node.path.rpartition("/")[0]]
            if member.repeatable:
                ref = node.path[len(member.path) + 1 :] or "."
                found.append(OtherLearners(member.path.rpartition("/")[0], member.name, ref))
        return tuple(found)

    def elements_in_order(self, object_type: str, path: str) -> tuple[str, ...]:
        """Return the names of the elements under a path, in schema order; none when nothing is at the path.

        Raises:
            UnknownObject: No schema describes such an object.
        """
        node = self.find(object_type, path)
        return tuple(child.name for child in node.children if child.kind == "element") if node else ()

    def _name(self, element: etree._Element) -> str:
        name = self._names.get(str(element.tag))
        if name is None:
            raise self._unknown(str(element.tag))
        return name

    def _known(self, object_type: str) -> None:
        if object_type not in self._full.declarations:
            raise self._unknown(object_type)

    def _unknown(self, name: str) -> UnknownObject:
        return UnknownObject(name, self.nearest_object(name.rpartition("}")[2]))


def _plain(path: str) -> str:
    return _PREDICATE.sub("", path)


def _last(path: str) -> str:
    return path.rpartition("/")[2]
