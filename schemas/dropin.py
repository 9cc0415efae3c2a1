"""A folder with the official SIF_Message.xsd, in use instead of our own files.

What the official files do not say of an object (labels, code lists, what it refers to, what its key is) is ours to add.
No file outside of the folder is opened, and no connection.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import Final

import xmlschema
from lxml import etree

from schemas import source
from schemas.codelists import CodeLists
from schemas.editions import Edition
from schemas.explain import MAX_FINDINGS, Explainer, with_bare_moments
from schemas.family import OwnFamily
from schemas.model import BadSchema, Finding, Node, line_of
from schemas.source import XS, ObjectNote
from schemas.tree import TreeReader, UnreadableSchema, enriched
from schemas.values import Values
from schemas.variant import Variant

_ENVELOPE: Final = "SIF_Message.xsd"
_XML: Final = "http://www.w3.org/XML/1998/namespace"
_XSI: Final = "{http://www.w3.org/2001/XMLSchema-instance}"
_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|//")
_MAX_FILES: Final = 500
_ALIKE: Final = ("targetNamespace", "elementFormDefault", "attributeFormDefault")
_GROUPS: Final = (XS + "sequence", XS + "choice", XS + "all")
_OPAQUE: Final = (XS + "any", XS + "group")
_REFERENCES: Final = ("type", "base", "ref", "memberTypes", "itemType")


class OfficialFamily:
    """Objects from a folder of official schema files; the same in every edition.

    Args:
        folder: Holds SIF_Message.xsd, alone or with the files that it includes; or one .xsd of any name.
        ours: What sifzone knows of the same objects.
        code_lists: The lists that texts are from.

    Raises:
        BadSchema: The files do not make one schema of the namespace of *ours*; the text says which and why.
    """

    def __init__(self, folder: Path, ours: OwnFamily, code_lists: CodeLists) -> None:
        self.namespace = ours.namespace
        self._ours = ours
        joined = read(folder, ours.namespace)
        objects = frozenset(ours.newest.declarations)
        self.newest = Variant(joined.schema, self._enrich, objects)
        if not self.newest.declarations:
            raise BadSchema(
                f"{folder}: the schema declares no object that sifzone knows: give SIF UK's SIF_Message.xsd"
            )
        part = _reachable(joined.schema, objects)
        keys = {name: ours.note(name).keys for name in self.newest.declarations}
        self._partial = Variant(_made_optional(part, keys), self._enrich, objects)
        # what is wrong with it is said now, not at the first message
        _compile(self.newest, joined, "is no valid schema")
        _compile(self._partial, joined, "is no valid schema where all elements are optional, as in a Change")
        self.values = Values(part)
        self._explainer = Explainer(self.namespace, self.values, code_lists)
        self._free = _read_trees(self.newest, joined)
        self._second: dict[bool, xmlschema.XMLSchema10 | None] = {}

    def tree(self, name: str, edition: Edition) -> Node | None:  # noqa: ARG002  # one for all editions
        """Return the structure of an object; None where the official files have none of it."""
        return self.newest.nodes(name)[""] if name in self.newest.declarations else None

    def engine(self, *, partial: bool, edition: Edition) -> etree.XMLSchema:  # noqa: ARG002  # one for all editions
        """Return the compiled form to check an object with."""
        return (self._partial if partial else self.newest).compiled

    def explain(self, element: etree._Element, name: str, *, partial: bool, edition: Edition) -> tuple[Finding, ...]:  # noqa: ARG002
        """Return what is wrong with an object that the engine refuses.

        The schema may say what our own walk does not know; then xmlschema says where it sees a fault.
        """
        form = self._partial if partial else self.newest
        free = self._free[name]
        walked = _without_free_attributes(element, form.nodes(name), free) if free else element
        found = self._explainer.explain(walked, form.nodes(name))
        # the second opinion costs seconds when it is first asked: not for blanks around a date
        if found or form.compiled(with_bare_moments(element, form.nodes(name))):
            return found
        return self._second_opinion(element, partial=partial)

    def _second_opinion(self, element: etree._Element, *, partial: bool) -> tuple[Finding, ...]:
        if partial not in self._second:
            self._second[partial] = _second_engine((self._partial if partial else self.newest).document)
        engine = self._second[partial]
        if engine is None:
            return ()
        try:
            return tuple(_said(error, element) for error in islice(engine.iter_errors(element), MAX_FINDINGS))
        except Exception:  # noqa: BLE001  # it raises all kinds on hostile texts; that the object is refused stands
            return ()

    def note(self, name: str) -> ObjectNote:
        """Return what is known of an object beside its structure."""
        return self._ours.note(name)

    def _enrich(self, name: str, tree: Node) -> Node:
        return enriched(tree, self._ours.newest.nodes(name))


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


def _compile(form: Variant, joined: Joined, wrong: str) -> None:
    """Compile a form.

    Raises:
        BadSchema: It cannot be; the text names the file and line.
    """
    try:
        _ = form.compiled
    except BadSchema as error:
        cause = error.__cause__
        entries = list(cause.error_log) if isinstance(cause, etree.XMLSchemaParseError) else []
        if not entries:
            raise
        said = entries[0].message.strip().replace(XS, "xs:")[:500]
        raise BadSchema(f"{joined.place(entries[0].line)}: {wrong}: {said}") from error


def _read_trees(form: Variant, joined: Joined) -> Mapping[str, Mapping[str, frozenset[str]]]:
    """Read the trees of all objects; return by object which attributes may stand where beside those of the tree.

    Raises:
        BadSchema: The schema has something that cannot be shown; the text names the file and line.
    """
    reader = TreeReader(form.document)
    try:
        for name in form.declarations:
            form.nodes(name)
        return {name: reader.free_attributes(name) for name in form.declarations}
    except UnreadableSchema as error:
        raise BadSchema(f"{joined.place(error.line)}: {error.what}") from error
    except RecursionError:
        raise BadSchema(f"{joined.place(0)}: types hold each other too deep: no object is so deep") from None


def _reachable(schema: etree._Element, objects: Collection[str]) -> etree._Element:
    """Return a copy of a schema with the objects and what they refer to alone: no messages."""
    copy = deepcopy(schema)
    named: dict[str, list[etree._Element]] = {}
    for part in copy:
        named.setdefault(part.get("name", ""), []).append(part)
    pending = [name for name in named if name in objects]
    kept: set[str] = set()
    while pending:
        name = pending.pop()
        if name in kept:
            continue
        kept.add(name)
        for part in named.get(name, ()):
            pending += _names_in(part)
    for name, parts in named.items():
        if name not in kept:
            for part in parts:
                if part.tag != XS + "import":
                    copy.remove(part)
    return copy


def _names_in(part: etree._Element) -> Iterator[str]:
    for each in part.iter():
        for attribute in _REFERENCES:
            for name in each.get(attribute, "").split():
                yield name.rpartition(":")[2]


def _made_optional(schema: etree._Element, keys: Mapping[str, Collection[str]]) -> etree._Element:
    """Return a copy in which every element is optional but the keys of objects, which stay as they are.

    Where an element has two places, as in a choice of two sequences that both end with it, nobody could tell then
    which one is meant, and XSD forbids that: there the elements may come in any order and number.
    """
    copy = deepcopy(schema)
    kept = [member for name in keys for member in _object_members(copy, name) if member.get("name") in keys[name]]
    source.make_optional(copy, {id(member) for member in kept})
    groups = [part for part in copy.iter() if part.tag in _GROUPS]
    for group in reversed(groups):  # the inner ones first
        members = list(_members(group))
        by_name = {each.get("name") or each.get("ref"): each for each in reversed(members)}
        if len(by_name) < len(members) and not any(part.tag in _OPAQUE for part in group.iter()):
            _loosen(group, list(by_name.values())[::-1])
    return copy


def _object_members(schema: etree._Element, name: str) -> Iterator[etree._Element]:
    """Yield the elements that an object is made of, but for those that its type has from another."""
    (declaration,) = (each for each in schema.iterfind(XS + "element") if each.get("name") == name)
    type_name = declaration.get("type", "").rpartition(":")[2]
    named = [each for each in schema.iterfind(XS + "complexType") if type_name and each.get("name") == type_name]
    for complex_type in (*named, *declaration.iterfind(XS + "complexType")):
        for child in complex_type:
            if child.tag in _GROUPS:
                yield from _members(child)


def _members(group: etree._Element) -> Iterator[etree._Element]:
    """Yield the elements of a group and of the groups in it, in order."""
    for child in group:
        if child.tag == XS + "element":
            yield child
        elif child.tag in _GROUPS:
            yield from _members(child)


def _loosen(group: etree._Element, members: list[etree._Element]) -> None:
    for member in members:
        member.attrib.pop("minOccurs", "")
        member.attrib.pop("maxOccurs", "")
    for child in list(group):
        group.remove(child)
    group.tag = XS + "sequence"
    group.attrib.clear()
    etree.SubElement(group, XS + "choice", {"minOccurs": "0", "maxOccurs": "unbounded"}).extend(members)


def _second_engine(document: etree._Element) -> xmlschema.XMLSchema10 | None:
    """Return a schema as xmlschema reads it, or None where it cannot."""
    try:
        return xmlschema.XMLSchema10(_without_imports(document), allow="none")
    except Exception:  # noqa: BLE001  # what it raises on a schema that libxml2 reads is not told
        return None


def _without_imports(document: etree._Element) -> str:
    """Return the schema as text for xmlschema, which knows XML's own attributes by itself."""
    copy = deepcopy(document)
    for each in copy.findall(XS + "import"):
        if "schemaLocation" in each.attrib:
            del each.attrib["schemaLocation"]
    return etree.tostring(copy).decode()


def _said(error: xmlschema.XMLSchemaValidationError, root: etree._Element) -> Finding:
    """Return the place of a fault that xmlschema sees; its words may hold what the object holds, and are left out."""
    element = error.elem if isinstance(error.elem, etree._Element) else root
    names: list[str] = []
    for step in (element, *element.iterancestors()):
        if step is root:
            break
        names.append(str(step.tag).rpartition("}")[2][:60])
    path = "/".join(reversed(names))
    name = "/".join(path.split("/")[-2:]) or str(root.tag).rpartition("}")[2]
    message = f"{name} is not as the official schema wants it: compare it with the schema, and correct the record."
    return Finding(path, line_of(element), "not-valid", "refuse", message, None, 3)


def _without_free_attributes(
    element: etree._Element, nodes: Mapping[str, Node], free: Mapping[str, frozenset[str]]
) -> etree._Element:
    """Return a copy of an object without the attributes that the schema lets in and its tree does not tell of."""
    copy = deepcopy(element)
    pending = [(copy, nodes[""])]
    while pending:
        part, node = pending.pop()
        below = {child.path: child for child in node.children}
        allowed = free.get(node.path, frozenset())
        for name in [str(name) for name in part.attrib]:
            own = not name.startswith("{") and f"{node.path}/@{name}".lstrip("/") in below
            if name in allowed or ("*" in allowed and not own and not name.startswith(_XSI)):
                del part.attrib[name]
        for child in part:
            path = f"{node.path}/{str(child.tag).rpartition('}')[2]}".lstrip("/")
            if isinstance(child.tag, str) and path in below:
                pending.append((child, below[path]))
    return copy
