"""A folder with the official SIF_Message.xsd, in use instead of our own files.

What the official files do not say of an object (labels, code lists, what it refers to, what its key is) is ours to add.
No file outside of the folder is opened, and no connection.
"""

from collections.abc import Mapping
from copy import deepcopy
from itertools import islice
from pathlib import Path
from typing import Final

import xmlschema
from lxml import etree

from schemas.codelists import CodeLists
from schemas.editions import Edition
from schemas.explain import MAX_FINDINGS, Explainer, with_bare_moments
from schemas.family import OwnFamily
from schemas.model import BadSchema, Finding, Node, line_of
from schemas.official_files import Joined, read
from schemas.official_parts import made_optional, reachable
from schemas.source import XS, ObjectNote
from schemas.tree import TreeReader, UnreadableSchema, enriched
from schemas.values import Values
from schemas.variant import Variant

_XSI: Final = "{http://www.w3.org/2001/XMLSchema-instance}"


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
        part = reachable(joined.schema, objects)
        keys = {name: ours.note(name).keys for name in self.newest.declarations}
        self._partial = Variant(made_optional(part, keys), self._enrich, objects)
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
