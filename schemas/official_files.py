"""The files of an official schema, read from a folder and joined into one document.

No file outside of the folder is opened, and no connection.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Final

from lxml import etree

from schemas import source
from schemas.model import BadSchema, line_of
from schemas.source import XS

_ENVELOPE: Final = "SIF_Message.xsd"
_XML: Final = "http://www.w3.org/XML/1998/namespace"
_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|//")
_MAX_FILES: Final = 500
_ALIKE: Final = ("targetNamespace", "elementFormDefault", "attributeFormDefault")


@dataclass(frozen=True, slots=True)
class Joined:
    """Several schema files as one document.

    Attributes:
        schema: The xs:schema element; its imports open no file.
        places: The file and line that a line of it is from, for whoever is to mend the file.
    """

    schema: etree._Element
    places: Mapping[int, tuple[Path, int]] = field(repr=False)

    def place(self, line: int) -> str:
        """Return where a line of the schema is from, in words."""
        if line not in self.places:
            return str(next(iter(self.places.values()))[0])
        path, number = self.places[line]
        return f"{path}, line {number}"


def read(folder: Path, namespace: str) -> Joined:
    """Join SIF_Message.xsd and what it includes into one schema.

    Notes are left out: they are not written as ends of our sentences.

    Raises:
        BadSchema: A file is missing, cannot be read, or is of another namespace.
    """
    documents = _included(folder, namespace)
    first = next(iter(documents.values()))
    nsmap = _namespaces(documents)
    settings = {str(name): str(value) for name, value in first.items()}
    joined = etree.Element(XS + "schema", {"blockDefault": "#all", **settings}, nsmap)  # type: ignore[arg-type]  # a key is None where there is no prefix
    paths: list[Path] = []
    if any(root.find(XS + "import") is not None for root in documents.values()):
        etree.SubElement(joined, XS + "import", {"namespace": _XML, "schemaLocation": "xml.xsd"}).tail = "\n"
        paths.append(next(iter(documents)))
    for path, root in documents.items():
        parts = [child for child in root if child.tag not in (XS + "include", XS + "import")]
        parts += _named_inner_types(root, joined, start=len(paths))
        joined.extend(parts)
        if parts:
            parts[-1].tail = "\n"
        paths += [path] * len(parts)
    # parsed anew, since only a document's own parser is asked for what it imports
    schema = etree.fromstring(etree.tostring(joined), _parser(_OnlyXml()))
    places: dict[int, tuple[Path, int]] = {}
    for before, after, path in zip(joined, schema, paths, strict=True):
        for was, now in zip(before.iter(), after.iter(), strict=True):
            places.setdefault(line_of(now), (path, line_of(was)))
    return Joined(schema, places)


def _namespaces(documents: Mapping[Path, etree._Element]) -> dict[str | None, str]:
    """Return the namespaces of all files by prefix.

    Raises:
        BadSchema: Two files do not agree on one, or on what is qualified: joined, they would mean something else.
    """
    first = next(iter(documents))
    nsmap: dict[str | None, str] = {}
    for path, root in documents.items():
        for prefix, uri in root.nsmap.items():
            if nsmap.setdefault(prefix, uri) != uri:
                raise BadSchema(
                    f"{path}: the prefix {prefix or '(none)'} means another namespace than in the files before it: "
                    "use the same prefixes in each"
                )
        for name in _ALIKE:
            if root.get(name) != documents[first].get(name):
                raise BadSchema(f"{path}: its {name} is not that of {first}: set the same in each file")
    return nsmap


class _OnlyXml(etree.Resolver):
    """Gives the schema of XML's own attributes for every import: nothing is opened."""

    def resolve(self, system_url: str, public_id: str, context: object) -> object:  # type: ignore[override]  # noqa: ARG002  # the stubs lack the context
        return self.resolve_string((files("schemas") / "xml.xsd").read_bytes(), context)  # type: ignore[call-arg]  # likewise


def _parser(resolver: etree.Resolver | None = None) -> etree.XMLParser:
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True, remove_pis=True
    )
    if resolver is not None:
        parser.resolvers.add(resolver)
    return parser


def _included(folder: Path, namespace: str) -> dict[Path, etree._Element]:
    """Return the root of each file of the schema by path, the envelope first."""
    top = folder.resolve()
    pending = [(_first(top), f"in {folder}")]
    found: dict[Path, etree._Element] = {}
    while pending:
        path, why = pending.pop(0)
        try:
            path = path.resolve()
        except (OSError, RuntimeError) as error:  # of links that lead to each other
            raise BadSchema(f"{path}: cannot be followed, and is {why}: put the file itself there") from error
        if path in found:
            continue
        if not path.is_relative_to(top):
            raise BadSchema(f"{path}: is {why} but outside of the folder {folder}: put all files there")
        if len(found) == _MAX_FILES:
            raise BadSchema(f"{folder}: the schema has more than {_MAX_FILES} files: join some of them")
        root = found[path] = _parsed(path, why)
        _check_root(path, root, namespace)
        for include in root.iterfind(XS + "include"):
            location = include.get("schemaLocation", "")
            where = f"included by {path}, line {include.sourceline},"
            if _URL.match(location):
                raise BadSchema(f"{location[:200]}: is {where} but not in the folder {folder}: put the file there")
            pending.append((path.parent / location, where))
    return found


def _first(folder: Path) -> Path:
    if not folder.is_dir():
        raise BadSchema(f"{folder}: there is no such folder: make it, and put SIF UK's {_ENVELOPE} there")
    if (folder / _ENVELOPE).exists():
        return folder / _ENVELOPE
    candidates = sorted(folder.glob("*.xsd"))
    if not candidates:
        raise BadSchema(f"{folder}: has no .xsd file: put SIF UK's {_ENVELOPE} there")
    if len(candidates) > 1:
        names = ", ".join(path.name for path in candidates[:5])
        raise BadSchema(f"{folder}: has several .xsd files ({names}) but no {_ENVELOPE}: name the one to start from so")
    return candidates[0]


def _parsed(path: Path, why: str) -> etree._Element:
    try:
        if not path.is_file():  # a pipe would be waited for
            raise BadSchema(f"{path}: there is no such file, and it is {why}: put it there")
        root = etree.fromstring(path.read_bytes(), _parser())
    except OSError as error:
        raise BadSchema(
            f"{str(path)[:500]}: cannot be read ({error.strerror}), and is {why}: let the zone read it"
        ) from error
    except etree.XMLSyntaxError as error:
        said = error.msg.partition(", line")[0] if error.msg else "it is empty"
        raise BadSchema(f"{path}, line {error.lineno}: is not well-formed XML ({said}): get the file anew") from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise BadSchema(f"{path}: has a DOCTYPE: remove it")
    etree.strip_elements(root, XS + "annotation", with_tail=False)
    return root


def _check_root(path: Path, root: etree._Element, namespace: str) -> None:
    """Return when a file is a schema of the namespace that asks for no other."""
    if root.tag != XS + "schema":
        raise BadSchema(f"{path}: is no XML Schema: its root is not xs:schema")
    if root.get("targetNamespace") != namespace:
        other = root.get("targetNamespace", "(none)")
        raise BadSchema(f"{path}: the schema is of the namespace {other}: give that of SIF UK 1.x, {namespace}")
    for kind in ("redefine", "override"):
        if root.find(XS + kind) is not None:
            raise BadSchema(f"{path}: has an xs:{kind}, which cannot be used here: give the files without that")
    for each in root.iterfind(XS + "import"):
        if each.get("namespace") != _XML:
            other = each.get("namespace", "(none)")
            where = f"{path}, line {each.sourceline}"
            raise BadSchema(f"{where}: imports the namespace {other}: only {_XML} can be supplied")


def _named_inner_types(root: etree._Element, joined: etree._Element, *, start: int) -> list[etree._Element]:
    """Take simple types out of elements and attributes, and name them, so that texts can be judged by them alone."""
    inner = [
        (simple, parent)
        for simple in root.iter(XS + "simpleType")
        if (parent := simple.getparent()) is not None and parent.tag in (XS + "element", XS + "attribute")
    ]
    for number, (simple, parent) in enumerate(inner, start):
        name = f"inner.{number}"
        parent.set("type", source.reference_to(name, joined))
        parent.remove(simple)
        simple.set("name", name)
        simple.tail = "\n"
    return [simple for simple, _ in inner]
