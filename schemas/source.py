"""The XSD files as one schema document, in each edition, full and partial; compiling and reading it is for others.

Every file of a folder belongs to the schema, so that an object is added by adding its file. The files include each
other for the sake of other tools; here they are joined, so that compiling opens no file and no connection.
"""

from collections.abc import Collection
from copy import deepcopy
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from typing import Final

from lxml import etree

from schemas.codelists import CodeLists
from schemas.editions import Edition
from schemas.model import BadSchema

XS: Final = "{http://www.w3.org/2001/XMLSchema}"
Z: Final = "{urn:sifzone:schema:1.0}"


def read(folder: Traversable, shared: Traversable | None = None) -> etree._Element:
    """Join the XSD files of a folder, and those it shares with others, into one xs:schema element without includes.

    Args:
        folder: Its files declare one target namespace, alike.
        shared: Its files declare none, and take that of whoever includes them.

    Raises:
        BadSchema: The folder has no XSD, or a file declares other namespaces than the first.
    """
    files = _documents(folder)
    if not files:
        raise BadSchema(f"there is no .xsd file in {folder}: give the folder that has the schema")
    joined = empty_like(next(iter(files.values())))
    for name, root in files.items():
        if root.nsmap != joined.nsmap or root.items() != joined.items():
            raise BadSchema(f"{name} declares other namespaces than the files before it: declare the same in each")
        joined.extend(child for child in root if child.tag != XS + "include")
    for name, root in _documents(shared).items() if shared else ():
        if root.get("targetNamespace"):
            raise BadSchema(f"{name} is shared but declares a target namespace: leave it out")
        joined.extend(child for child in root if child.tag != XS + "include")
    return joined


def _documents(folder: Traversable) -> dict[str, etree._Element]:
    """Return the root of each XSD file by its name, in order of name."""
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True, remove_pis=True
    )
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".xsd")), key=lambda f: f.name)
    return {file.name: etree.fromstring(file.read_bytes(), parser) for file in files}


def empty_like(schema: etree._Element) -> etree._Element:
    """Return an xs:schema element with the namespaces and settings of another, and nothing in it."""
    nsmap: dict[str, str] = schema.nsmap  # type: ignore[assignment]  # a key is None where there is no prefix
    settings: dict[str, str] = dict(schema.items())  # type: ignore[arg-type]  # parsed: never bytes
    return etree.Element(str(schema.tag), settings, nsmap)


def with_codes(schema: etree._Element, code_lists: CodeLists) -> etree._Element:
    """Return a copy in which closed lists also allow what *code_lists* has beyond the files, as a site may add."""
    schema = deepcopy(schema)
    for note in schema.iter(Z + "codes"):
        code_list = code_lists[note.get("list", "")]
        if code_list.open:
            continue
        restriction = _simple_type_of(note)[-1]
        known = {enumeration.get("value") for enumeration in restriction}
        for code in code_list.labels:
            if code not in known:
                etree.SubElement(restriction, XS + "enumeration", {"value": code})
    return schema


def reference_to(name: str, schema: etree._Element) -> str:
    """Return how a document refers to a type of its own: with the prefix of its target namespace, if that has one."""
    target = schema.get("targetNamespace")
    prefix = next((prefix for prefix, uri in schema.nsmap.items() if uri == target), None)
    return f"{prefix}:{name}" if prefix else name


def in_edition(schema: etree._Element, edition: Edition) -> etree._Element:
    """Return a copy without what came after *edition*, and with what it still demands.

    Source:
        Notes in the files: z:since (first edition), z:not (an edition without it), z:optionalSince (demanded before).
    """
    schema = deepcopy(schema)
    for part in [part for part in schema.iter(XS + "*") if part.attrib]:
        if part.get(Z + "since", "") > edition or part.get(Z + "not") == edition:
            parent = part.getparent()
            if parent is not None:
                parent.remove(part)
        elif part.get(Z + "optionalSince", "") > edition:
            part.set("minOccurs", "1")
            part.set("nillable", "false")
    return schema


def _simple_type_of(note: etree._Element) -> etree._Element:
    return next(note.iterancestors(XS + "simpleType"))


def partial(full: etree._Element) -> etree._Element:
    """Derive the schema for a part of an object, as a Change or Delete event holds.

    Every element is optional, and so is every attribute of the object itself, except its keys. Attributes further
    down stay as they are: in a list they tell which member is meant. Order and content rules stay.

    Source:
        SIF UK 1.2, where all elements are optional; that keys are demanded is our own rule.
    """
    schema = deepcopy(full)
    kept = [_make_object_partial(element) for element in schema.iterfind(f"{XS}element")]
    make_optional(schema, {id(key) for found in kept for key in found})
    return schema


def make_optional(schema: etree._Element, kept: Collection[int] = ()) -> None:
    """Make every element that is part of another optional, but for those whose id() is in *kept*."""
    for element in schema.iter(XS + "element"):
        if element.getparent() is not schema and id(element) not in kept:
            element.set("minOccurs", "0")


@dataclass(frozen=True, slots=True)
class ObjectNote:
    """What our files say of an object beside its structure.

    Attributes:
        keys: Paths that tell one object of its kind from another, for example ("@RefId",).
        learner: Path of the RefId of the learner it is about; None when it is about no learner, or several.
        person: Path of the RefId of the person it is about, where that may be a learner, a contact or staff.
        since: Edition in which it came; "" for the first.
        events: Edition from which events of it may be published, where that is later than it came; "none" for never.
    """

    keys: tuple[str, ...]
    learner: str | None
    person: str | None = None
    since: str = ""
    events: str = ""


def object_note(declaration: etree._Element) -> ObjectNote:
    """Return the note on the declaration of an object.

    Raises:
        BadSchema: It has none.
    """
    note = declaration.find(f"{XS}annotation/{XS}appinfo/{Z}object")
    if note is None:
        raise BadSchema(f"element {declaration.get('name')} is global but has no z:object note: say what its key is")
    keys = tuple(note.get("key", "").split())
    return ObjectNote(
        keys, note.get("learner"), note.get("person"), declaration.get(Z + "since", ""), note.get("events", "")
    )


def _make_object_partial(declaration: etree._Element) -> list[etree._Element]:
    """Make the object's own attributes optional except its keys; return the elements that are keys."""
    keys = object_note(declaration).keys
    for attribute in declaration.iterfind(f"{XS}complexType/{XS}attribute"):
        if f"@{attribute.get('name')}" not in keys:
            attribute.set("use", "optional")
    elements = declaration.iterfind(f"{XS}complexType/{XS}sequence/{XS}element")
    return [element for element in elements if element.get("name") in keys]
