"""The XSD files as one schema document, full and partial; compiling and reading it is for others.

Every file of a folder belongs to the schema, so that an object is added by adding its file. The files include each
other for the sake of other tools; here they are joined, so that compiling opens no file and no connection.
"""

from copy import deepcopy
from importlib.resources.abc import Traversable
from typing import Final

from lxml import etree

XS: Final = "{http://www.w3.org/2001/XMLSchema}"
Z: Final = "{urn:sifzone:schema:1.0}"


class BadSchema(ValueError):
    """The XSD files do not make one schema."""


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


def partial(full: etree._Element) -> etree._Element:
    """Derive the schema for a part of an object, as a Change or Delete event holds.

    Every element is optional, and so is every attribute of the object itself, except its keys. Attributes further
    down stay as they are: in a list they tell which member is meant. Order and content rules stay.

    Source:
        SIF UK 1.2, where all elements are optional; that keys are demanded is our own rule.
    """
    schema = deepcopy(full)
    kept = [_make_object_partial(element) for element in schema.iterfind(f"{XS}element")]
    keys = {id(key): key for found in kept for key in found}
    for element in schema.iter(XS + "element"):
        if element.getparent() is not schema and id(element) not in keys:
            element.set("minOccurs", "0")
    return schema


def object_keys(declaration: etree._Element) -> tuple[str, ...]:
    """Return the paths of an object's keys, from the note on its declaration."""
    return tuple(_note(declaration).get("key", "").split())


def object_learner(declaration: etree._Element) -> str | None:
    """Return the path of the learner that an object is about, from the note on its declaration, or None."""
    return _note(declaration).get("learner")


def _note(declaration: etree._Element) -> etree._Element:
    note = declaration.find(f"{XS}annotation/{XS}appinfo/{Z}object")
    if note is None:
        raise BadSchema(f"element {declaration.get('name')} is global but has no z:object note: say what its key is")
    return note


def _make_object_partial(declaration: etree._Element) -> list[etree._Element]:
    """Make the object's own attributes optional except its keys; return the elements that are keys."""
    keys = object_keys(declaration)
    for attribute in declaration.iterfind(f"{XS}complexType/{XS}attribute"):
        if f"@{attribute.get('name')}" not in keys:
            attribute.set("use", "optional")
    elements = declaration.iterfind(f"{XS}complexType/{XS}sequence/{XS}element")
    return [element for element in elements if element.get("name") in keys]
