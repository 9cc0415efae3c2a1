"""The schema registry: checks objects against their XSD, and answers what an object is made of."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final

from lxml import etree

from schemas.codelists import CodeLists, shipped
from schemas.editions import NEWEST, Edition
from schemas.explain import with_bare_moments
from schemas.family import Family, OwnFamily
from schemas.model import BadSchema, Finding, Node, OtherLearners, UnknownObject, line_of, nearest_of
from schemas.openlists import OpenLists, open_lists
from schemas.source import ObjectNote
from schemas.values import Values

_PREDICATE: Final = re.compile(r"\[[^\]]*\]")
_LEARNER: Final = "LearnerPersonal"


@cache
def load() -> "SchemaSet":
    """Return the schemas of all objects that come with sifzone. Compiled when first used, then kept."""
    return load_site()


def load_site(official: Path | None = None, site_codes: Path | None = None) -> "SchemaSet":
    """Return the schemas of a site that sets something of its own, read anew.

    Args:
        official: A folder with the official SIF_Message.xsd, to use for the SIF UK objects instead of our own files.
        site_codes: A folder with a site's own additions to the code lists.

    Raises:
        BadSchema: The official files cannot be used.
        BadCodeList: The site's files cannot be used.
    """
    code_lists = shipped() if site_codes is None else shipped().extended(site_codes)
    folder = files("schemas")
    sif = OwnFamily(folder / "sif_uk_1", folder / "common", code_lists, has_editions=True)
    looked_after = OwnFamily(folder / "looked_after_1", folder / "common", code_lists, has_editions=False)
    if official is None:
        return SchemaSet([sif, looked_after], code_lists)
    # Imported here: with xmlschema it takes a tenth of a second, and most sites have no official files.
    from schemas.dropin import OfficialFamily

    return SchemaSet([OfficialFamily(official, sif, code_lists), looked_after], code_lists)


class SchemaSet:
    """The objects of all families, by name. Nothing in it changes once it is loaded.

    Attributes:
        objects: Names of the objects, sorted.
        code_lists: The code lists that their texts are from, by name.

    Raises:
        BadSchema: Two families have an object of the same name.
    """

    def __init__(self, families: Sequence[Family], code_lists: CodeLists) -> None:
        self.code_lists = code_lists
        self._family: dict[str, Family] = {}
        for family in families:
            for name in family.newest.declarations:
                if name in self._family:
                    raise BadSchema(f"the object {name} is declared in two namespaces: rename one")
                self._family[name] = family
        self.objects: tuple[str, ...] = tuple(sorted(self._family))
        self._names = {f"{{{self._family[name].namespace}}}{name}": name for name in self.objects}
        self._open_lists: dict[str, OpenLists] = {}
        self._notes: dict[str, ObjectNote] = {}
        self._engines: dict[tuple[str, bool, Edition], etree.XMLSchema] = {}

    def check(self, element: etree._Element, *, partial: bool, edition: Edition = NEWEST) -> tuple[Finding, ...]:
        """Check an object against its schema.

        Args:
            element: The object, alone or inside a message.
            partial: Whether it may be a part of an object, as in a Change or Delete.
            edition: The edition of the data model that its message is written in.

        Returns:
            What is wrong, in document order and at most 100; empty when it is valid.

        Raises:
            UnknownObject: No schema describes such an object.
        """
        name = self._name(element)
        key = (name, partial, edition)
        engine = self._engines.get(key)
        if engine is None:
            engine = self._engines[key] = self._family[name].engine(partial=partial, edition=edition)
        if engine(element):
            return ()
        findings = self._family[name].explain(element, name, partial=partial, edition=edition)
        if findings or engine(with_bare_moments(element, self._nodes(name))):
            return findings
        # the last resort, should the engine ever refuse what the walk finds nothing wrong with
        return (Finding("", line_of(element), "not-valid", "refuse", f"{name} is not valid.", None, 3),)

    def warnings(self, element: etree._Element) -> tuple[Finding, ...]:
        """Return a warning for each code that its open list does not know, in document order and at most 100.

        Raises:
            UnknownObject: No schema describes such an object.
        """
        name = self._name(element)
        if name not in self._open_lists:
            self._open_lists[name] = open_lists(self._nodes(name), self._family[name].namespace, self.code_lists)
        return self._open_lists[name].check(element)

    def tree(self, object_type: str) -> Node:
        """Return the structure of an object; its path is "".

        Raises:
            UnknownObject: No schema describes such an object.
        """
        self._known(object_type)
        return self._nodes(object_type)[""]

    def trees_of(self, edition: Edition) -> dict[str, Node]:
        """Return the structure of each object that an edition has, by name."""
        found = {name: self._family[name].tree(name, edition) for name in self.objects}
        return {name: tree for name, tree in found.items() if tree is not None}

    def find(self, object_type: str, path: str) -> Node | None:
        """Return what is at a path as agreements write it, or None; predicates such as [@Type='C'] are ignored.

        Raises:
            UnknownObject: No schema describes such an object.
        """
        self._known(object_type)
        return self._nodes(object_type).get(_plain(path))

    def nearest(self, object_type: str, path: str) -> str | None:
        """Return the path of the object that is most like *path*, for a message to whoever wrote it, or None.

        Raises:
            UnknownObject: No schema describes such an object.
        """
        self._known(object_type)
        plain = _plain(path)
        paths = tuple(known for known in self._nodes(object_type) if known)
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
        return self.note(object_type).keys

    def learner_ref(self, object_type: str) -> str | None:
        """Return the path of the RefId of the learner that the object is about, or None.

        Raises:
            UnknownObject: No schema describes such an object.
        """
        return self.note(object_type).learner

    def note(self, object_type: str) -> ObjectNote:
        """Return what is known of an object beside its structure.

        Raises:
            UnknownObject: No schema describes such an object.
        """
        self._known(object_type)
        if object_type not in self._notes:
            self._notes[object_type] = self._family[object_type].note(object_type)
        return self._notes[object_type]

    def values(self, object_type: str) -> Values:
        """Return what judges single texts of an object.

        Raises:
            UnknownObject: No schema describes such an object.
        """
        self._known(object_type)
        return self._family[object_type].values

    def namespace_of(self, object_type: str) -> str:
        """Return the XML namespace of an object.

        Raises:
            UnknownObject: No schema describes such an object.
        """
        self._known(object_type)
        return self._family[object_type].namespace

    def other_learners(self, object_type: str) -> tuple[OtherLearners, ...]:
        """Return the lists in an object that name learners other than its own.

        A reference that may also be to an adult is not among them, as in a school's list of contacts.

        Raises:
            UnknownObject: No schema describes such an object.
        """
        own = self.learner_ref(object_type)
        nodes = self._nodes(object_type)
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

    def _nodes(self, object_type: str) -> Mapping[str, Node]:
        return self._family[object_type].newest.nodes(object_type)

    def _name(self, element: etree._Element) -> str:
        name = self._names.get(str(element.tag))
        if name is None:
            raise self._unknown(str(element.tag))
        return name

    def _known(self, object_type: str) -> None:
        if object_type not in self._family:
            raise self._unknown(object_type)

    def _unknown(self, name: str) -> UnknownObject:
        return UnknownObject(name, self.nearest_object(name.rpartition("}")[2]))


def _plain(path: str) -> str:
    return _PREDICATE.sub("", path)


def _last(path: str) -> str:
    return path.rpartition("/")[2]
