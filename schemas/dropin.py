"""A folder with the official SIF_Message.xsd, in use instead of our own files.

What the official files do not say of an object (labels, code lists, what it refers to, what its key is) is ours to add.
No file outside of the folder is opened, and no connection.
"""

from copy import deepcopy
from importlib.resources import files
from pathlib import Path
from typing import Final

import xmlschema
from lxml import etree

from schemas import source
from schemas.codelists import CodeLists
from schemas.editions import Edition
from schemas.explain import MAX_FINDINGS, Explainer
from schemas.family import OwnFamily
from schemas.model import BadSchema, Finding, Node, line_of
from schemas.source import XS, ObjectNote
from schemas.tree import enriched
from schemas.values import Values
from schemas.variant import Variant

_ENVELOPE: Final = "SIF_Message.xsd"
_XML: Final = "http://www.w3.org/XML/1998/namespace"
_MAX_FILES: Final = 500


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
        document = read(folder, ours.namespace)
        part = deepcopy(document)
        source.make_optional(part)
        only = frozenset(ours.newest.declarations)
        self.newest = Variant(document, self._enrich, only)
        self._partial = Variant(part, self._enrich, only)
        if not self.newest.declarations:
            raise BadSchema(
                f"{folder}: the schema declares no object that sifzone knows: give SIF UK's SIF_Message.xsd"
            )
        self.values = Values(document)
        self._explainer = Explainer(self.namespace, self.values, code_lists)
        self._second: dict[bool, xmlschema.XMLSchema10] = {}
        _ = self.newest.compiled, self._partial.compiled  # what is wrong with it is said now, not at the first message

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
        return self._explainer.explain(element, form.nodes(name)) or self._second_opinion(element, partial=partial)

    def _second_opinion(self, element: etree._Element, *, partial: bool) -> tuple[Finding, ...]:
        found: list[Finding] = []
        try:
            if partial not in self._second:
                document = (self._partial if partial else self.newest).document
                self._second[partial] = xmlschema.XMLSchema10(_without_imports(document), allow="none")
            for error in self._second[partial].iter_errors(element):
                found.append(_said(error, element))
                if len(found) == MAX_FINDINGS:
                    break
        except Exception:  # noqa: BLE001, S110  # it raises all kinds on hostile texts; that it is refused stands
            pass
        return tuple(found)

    def note(self, name: str) -> ObjectNote:
        """Return what is known of an object beside its structure."""
        return self._ours.note(name)

    def _enrich(self, name: str, tree: Node) -> Node:
        return enriched(tree, self._ours.newest.nodes(name))


def read(folder: Path, namespace: str) -> etree._Element:
    """Join SIF_Message.xsd and what it includes into one xs:schema element whose imports open no file.

    Raises:
        BadSchema: A file is missing, cannot be read, or is of another namespace.
    """
    documents = _included(folder)
    first = next(iter(documents.values()))
    if first.get("targetNamespace") != namespace:
        other = first.get("targetNamespace")
        raise BadSchema(f"{folder}: the schema is of the namespace {other}: give that of SIF UK 1.x, {namespace}")
    nsmap: dict[str | None, str] = {}
    imports: dict[str, etree._Element] = {}
    for path, root in documents.items():
        for prefix, uri in root.nsmap.items():
            if nsmap.setdefault(prefix, uri) != uri:
                raise BadSchema(f"{path}: the prefix {prefix} means another namespace than in the files before it")
        imports |= {each.get("namespace", ""): each for each in root.iterfind(XS + "import")}
    if imports.keys() - {_XML}:
        raise BadSchema(f"{folder}: the schema imports {sorted(imports.keys() - {_XML})}: only {_XML} can be supplied")
    settings = {str(name): str(value) for name, value in first.items()}
    joined = etree.Element(XS + "schema", {"blockDefault": "#all", **settings}, nsmap)  # type: ignore[arg-type]  # a key is None where there is no prefix
    if imports:
        etree.SubElement(joined, XS + "import", {"namespace": _XML, "schemaLocation": "xml.xsd"})
    for root in documents.values():
        joined.extend(child for child in root if child.tag not in (XS + "include", XS + "import", XS + "annotation"))
    _name_inner_types(joined)
    # parsed anew, since only a document's own parser is asked for what it imports
    return etree.fromstring(etree.tostring(joined), _parser(_OnlyXml()))


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


def _included(folder: Path) -> dict[Path, etree._Element]:
    """Return the root of each file of the schema by path, the envelope first."""
    top = folder.resolve()
    pending = [_first(top)]
    found: dict[Path, etree._Element] = {}
    while pending:
        path = pending.pop(0)
        if path in found:
            continue
        if not path.is_relative_to(top) or len(found) == _MAX_FILES:
            raise BadSchema(f"{path}: is included but not in the folder {folder}, or one too many: put all files there")
        found[path] = _parsed(path)
        if found[path].find(XS + "redefine") is not None:
            raise BadSchema(f"{path}: redefines another file, which cannot be used here: give the files without that")
        pending += [
            (path.parent / include.get("schemaLocation", "")).resolve()
            for include in found[path].iterfind(XS + "include")
        ]
    return found


def _first(folder: Path) -> Path:
    if (folder / _ENVELOPE).is_file():
        return folder / _ENVELOPE
    candidates = sorted(folder.glob("*.xsd"))
    if len(candidates) != 1:
        raise BadSchema(f"{folder}: has no {_ENVELOPE}, and not just one .xsd either: put SIF UK's {_ENVELOPE} there")
    return candidates[0]


def _parsed(path: Path) -> etree._Element:
    try:
        root = etree.fromstring(path.read_bytes(), _parser())
    except OSError as error:
        raise BadSchema(f"{path}: cannot be read ({error.strerror}): the schema includes it") from error
    except etree.XMLSyntaxError as error:
        raise BadSchema(f"{path}, line {error.lineno}: is not well-formed XML") from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise BadSchema(f"{path}: has a DOCTYPE: remove it")
    if root.tag != XS + "schema":
        raise BadSchema(f"{path}: is no XML Schema: its root is not xs:schema")
    return root


def _name_inner_types(schema: etree._Element) -> None:
    """Give simple types that stand inside an element or attribute a name, so that texts can be judged by them alone."""
    inner = [
        simple
        for simple in schema.iter(XS + "simpleType")
        if (parent := simple.getparent()) is not None and parent.tag in (XS + "element", XS + "attribute")
    ]
    for number, simple in enumerate(inner):
        name = f"inner.{number}"
        parent = simple.getparent()
        if parent is not None:
            parent.set("type", source.reference_to(name, schema))
        simple.set("name", name)
        simple.tail = None
        schema.append(simple)


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
