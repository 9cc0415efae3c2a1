"""A schema document as trees of nodes, one for each object: what its parts are called, mean and may be."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from lxml import etree

from schemas.model import BadSchema, Kind, Node, line_of
from schemas.source import XS, Z

_ANY: Final = "xs:anyType"
_XS_NAMESPACE: Final = XS.strip("{}")
_XML: Final = "http://www.w3.org/XML/1998/namespace"
_SAY_NOTHING: Final = frozenset(
    XS + name for name in ("annotation", "any", "anyAttribute", "unique", "key", "keyref", "simpleType")
)
_XML_ATTRIBUTES: Final = ("base", "id", "lang", "space")
_GROUPS: Final = frozenset(XS + name for name in ("sequence", "choice", "all"))
_ATTRIBUTES: Final = frozenset(XS + name for name in ("attribute", "attributeGroup", "anyAttribute"))


class UnreadableSchema(BadSchema):
    """The tree reader does not know a part of a schema.

    Attributes:
        line: Line of the part, from 1.
        what: What is wrong with it.
    """

    def __init__(self, line: int, what: str) -> None:
        self.line, self.what = line, what
        super().__init__(f"line {line}: {what}")


@dataclass(frozen=True, slots=True)
class _Text:
    """What the text of an element or attribute may be."""

    type: str = ""
    simple_type: str = ""
    codes: str | None = None
    refs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Content:
    """What an element may hold."""

    text: _Text = _Text()
    attributes: tuple[Node, ...] = ()
    elements: tuple[Node, ...] = ()
    ordered: bool = True


class TreeReader:
    """Reads objects' trees from one schema document.

    Where the schema leaves a choice, no alternative is mandatory and no order is told. What stands in itself, or lets
    anything in beside what it names, is shown once and as xs:anyType. What it does not know it refuses, rather than
    leave a part of an object out.
    """

    def __init__(self, schema: etree._Element) -> None:
        self._named = {(str(child.tag), child.get("name", "")): child for child in schema}
        self._namespace = schema.get("targetNamespace", "")
        self._qualified = schema.get("attributeFormDefault") == "qualified"
        self._within: list[etree._Element] = []
        self._free: dict[str, frozenset[str]] = {}

    def read(self, object_type: str) -> Node:
        """Return the tree of a global element.

        Raises:
            UnreadableSchema: The schema uses something that this reader does not know.
            BadSchema: It has no such element.
        """
        return self._element(self._global("element", object_type), parent=None)

    def free_attributes(self, object_type: str) -> Mapping[str, frozenset[str]]:
        """Return the attributes that an object's elements may carry beside those in its tree, by path.

        They are those of another namespace, as lxml names them; "*" for any.
        """
        self._free = {}
        self.read(object_type)
        return MappingProxyType(self._free)

    def _global(self, kind: str, name: str) -> etree._Element:
        try:
            return self._named[(XS + kind, name)]
        except KeyError:
            raise BadSchema(f"no {kind} is named {name!r}: declare it, or correct the name") from None

    def _element(self, declaration: etree._Element, parent: str | None) -> Node:
        occurs = declaration
        if declaration.get("ref"):
            declaration = self._global("element", _name(declaration, "ref"))
        name = declaration.get("name", "")
        path = "" if parent is None else _join(parent, name)
        content = self._content(declaration, path)
        return Node(
            name=name,
            path=path,
            kind="element",
            type=content.text.type,
            simple_type=content.text.simple_type,
            mandatory=occurs.get("minOccurs", "1") != "0",
            repeatable=occurs.get("maxOccurs", "1") != "1",
            nillable=declaration.get("nillable") in ("true", "1"),
            codes=content.text.codes,
            refs=content.text.refs,
            unique_by=_unique_by(declaration, content.elements),
            label=_label(declaration),
            children=content.attributes + content.elements,
            ordered=content.ordered,
            since=declaration.get(Z + "since", ""),
        )

    def _attribute(self, declaration: etree._Element, parent: str) -> Node:
        name = declaration.get("name", "")
        text = self._text(_name(declaration, "type") or "xs:anySimpleType")
        kind: Kind = "attribute"
        return Node(
            name=name,
            path=_join(parent, f"@{name}"),
            kind=kind,
            type=text.type,
            simple_type=text.simple_type,
            mandatory=declaration.get("use") == "required",
            repeatable=False,
            nillable=False,
            codes=text.codes,
            refs=text.refs,
            unique_by=None,
            label=_label(declaration),
            children=(),
            since=declaration.get(Z + "since", ""),
        )

    def _content(self, declaration: etree._Element, path: str) -> _Content:
        complex_type = declaration.find(XS + "complexType")
        if complex_type is not None:
            return self._complex(complex_type, path)
        type_name = _name(declaration, "type")
        named = self._named.get((XS + "complexType", type_name))
        if named is not None:
            return self._complex(named, path)
        return _Content(self._text(type_name) if type_name else _Text(_ANY))

    def _complex(self, part: etree._Element, path: str) -> _Content:
        """Read a complexType, or an extension or restriction in one."""
        if any(part is each for each in self._within):
            return _Content(_Text(_ANY))
        self._within.append(part)
        try:
            return self._parts(part, path)
        finally:
            self._within.pop()

    def _parts(self, part: etree._Element, path: str) -> _Content:
        content = _Content(_Text(_ANY)) if part.get("mixed") in ("true", "1") else _Content()
        attributes: list[Node] = []
        for child in part:
            if child.tag in _GROUPS or child.tag == XS + "group":
                content = self._holding(content, self._group(child, path), ordered=self._is_ordered(child))
                if self._is_open(child):
                    content = replace(content, text=_Text(_ANY))
            elif child.tag in (XS + "simpleContent", XS + "complexContent"):
                content = self._derived(child, path)
            elif child.tag in _ATTRIBUTES:
                attributes += self._attributes(child, path)
            elif child.tag not in _SAY_NOTHING and not _is_facet(child):
                raise _unknown(child)
        return replace(content, attributes=content.attributes + tuple(attributes))

    def _derived(self, derivation: etree._Element, path: str) -> _Content:
        """Read simpleContent or complexContent: what is extended, then what is added, or what is left of it."""
        step = next((child for child in derivation if child.tag in (XS + "extension", XS + "restriction")), None)
        if step is None:
            raise _unknown(derivation)
        base = _name(step, "base")
        named = self._named.get((XS + "complexType", base))
        if named is not None:
            below = self._complex(named, path)
        else:
            below = _Content(self._text(base)) if base != _ANY else _Content()
        own = self._complex(step, path)
        kept = {node.name: node for node in (*below.attributes, *own.attributes)}
        restricts = step.tag == XS + "restriction" and derivation.tag == XS + "complexContent"
        mixed = own.text.type == _ANY or derivation.get("mixed") in ("true", "1")
        return self._holding(
            _Content(_Text(_ANY) if mixed else below.text, tuple(kept.values())),
            own.elements if restricts else below.elements + own.elements,
            ordered=own.ordered if restricts else below.ordered and own.ordered,
        )

    @staticmethod
    def _holding(content: _Content, elements: Iterable[Node], *, ordered: bool) -> _Content:
        """Return a content with these elements; one that has several places is told once, and leaves no order."""
        merged: dict[str, Node] = {}
        for node in elements:
            known = merged.get(node.name)
            if known is not None:
                ordered = False
                node = replace(known, mandatory=known.mandatory or node.mandatory, repeatable=True)
            merged[node.name] = node
        return replace(content, elements=tuple(merged.values()), ordered=ordered)

    def _attributes(self, part: etree._Element, path: str) -> Iterator[Node]:
        """Yield an attribute, or those of a group; one of a namespace, as xml:lang, is not ours to tell of."""
        if part.tag == XS + "attributeGroup" and self._qualified_ref(part).startswith(f"{{{_XML}}}"):
            for name in _XML_ATTRIBUTES:
                self._set_free(path, f"{{{_XML}}}{name}")
        elif part.tag == XS + "attributeGroup":
            for child in self._global("attributeGroup", _name(part, "ref")):
                if child.tag in _ATTRIBUTES:
                    yield from self._attributes(child, path)
        elif part.tag == XS + "anyAttribute":
            self._set_free(path, "*")
        elif part.get("use") == "prohibited":
            return
        elif part.get("ref"):
            self._set_free(path, self._qualified_ref(part))
        elif part.get("form", "qualified" if self._qualified else "") == "qualified":
            self._set_free(path, f"{{{self._namespace}}}{part.get('name')}")
        else:
            yield self._attribute(part, path)

    def _set_free(self, path: str, name: str) -> None:
        self._free[path] = self._free.get(path, frozenset()) | {name}

    def _qualified_ref(self, part: etree._Element) -> str:
        prefix, _, local = part.get("ref", "").rpartition(":")
        return f"{{{_XML if prefix == 'xml' else part.nsmap.get(prefix or None, '')}}}{local}"

    def _group(self, group: etree._Element, path: str) -> Iterator[Node]:
        """Yield the elements of a sequence, choice, all or named group, in order."""
        if group.tag == XS + "group":
            nodes: Iterator[Node] = self._group(self._model_of(group), path)
        else:
            nodes = self._members(group, path)
        optional = group.tag == XS + "choice" or group.get("minOccurs") == "0"
        repeatable = group.get("maxOccurs", "1") != "1"
        for node in nodes:
            yield (
                replace(node, mandatory=node.mandatory and not optional, repeatable=node.repeatable or repeatable)
                if optional or repeatable
                else node
            )

    def _members(self, group: etree._Element, path: str) -> Iterator[Node]:
        for child in group:
            if child.tag == XS + "element":
                yield self._element(child, path)
            elif child.tag in _GROUPS or child.tag == XS + "group":
                yield from self._group(child, path)
            elif child.tag not in _SAY_NOTHING:
                raise _unknown(child)

    def _model_of(self, group: etree._Element) -> etree._Element:
        named = self._global("group", _name(group, "ref"))
        return next(child for child in named if child.tag in _GROUPS)

    def _is_ordered(self, group: etree._Element) -> bool:
        """Tell whether every element of a group has one place."""
        if group.tag == XS + "group":
            return group.get("maxOccurs", "1") == "1" and self._is_ordered(self._model_of(group))
        if group.tag != XS + "sequence" or group.get("maxOccurs", "1") != "1":
            return False
        return all(self._is_ordered(child) for child in group if child.tag in _GROUPS or child.tag == XS + "group")

    def _is_open(self, group: etree._Element) -> bool:
        """Tell whether a group lets in elements that it does not name."""
        if group.tag == XS + "group":
            return self._is_open(self._model_of(group))
        inner = [child for child in group if child.tag in _GROUPS or child.tag == XS + "group"]
        return group.find(XS + "any") is not None or any(self._is_open(child) for child in inner)

    def _text(self, type_name: str) -> _Text:
        """Follow a simple type to its built-in base, gathering the notes on the way."""
        if type_name.startswith("xs:"):
            return _Text(type_name, type_name)
        simple = self._global("simpleType", type_name)
        below = self._below(simple)
        refs = tuple(ref.get("to", "") for ref in simple.iter(Z + "ref")) or below.refs
        note = next(simple.iter(Z + "codes"), None)
        codes = below.codes if note is None else note.get("list")
        return _Text(f"codes:{codes}" if codes else below.type, type_name, codes, refs)

    def _below(self, simple: etree._Element) -> _Text:
        """Return what a simple type is made from; of a union the first member says what the text is."""
        definition = next(child for child in simple if child.tag != XS + "annotation")
        if definition.tag == XS + "list":
            return _Text("xs:string")
        base = _name(definition, "base") or next(iter(_names(definition, "memberTypes")), "")
        if base:
            return self._text(base)
        inner = definition.find(XS + "simpleType")
        if inner is None:
            raise _unknown(definition)
        return self._below(inner)


def enriched(node: Node, ours: Mapping[str, Node]) -> Node:
    """Return a tree with what another tree of the same object knows beyond it, by path: labels, codes, references."""
    known = ours.get(node.path)
    children = tuple(enriched(child, ours) for child in node.children)
    if known is None:
        return replace(node, children=children)
    codes = node.codes or (known.codes if node.simple_type else None)
    return replace(
        node,
        children=children,
        label=node.label or known.label,
        type=f"codes:{codes}" if codes else node.type,
        codes=codes,
        refs=node.refs or (known.refs if node.simple_type else ()),
    )


def _name(part: etree._Element, attribute: str) -> str:
    """Return a name that a part refers to: ``xs:date`` for a built-in type, the local name for one of the schema."""
    return next(iter(_names(part, attribute)), "")


def _names(part: etree._Element, attribute: str) -> Iterator[str]:
    for name in part.get(attribute, "").split():
        prefix, _, local = name.rpartition(":")
        yield f"xs:{local}" if part.nsmap.get(prefix or None) == _XS_NAMESPACE else local


def _join(parent: str, name: str) -> str:
    return f"{parent}/{name}" if parent else name


def _label(declaration: etree._Element) -> str:
    return (declaration.findtext(f"{XS}annotation/{XS}documentation") or "").strip()


def _unique_by(declaration: etree._Element, members: tuple[Node, ...]) -> str | None:
    """Return the attribute in which all members of a list must differ; None where the rule is another or about some."""
    for unique in declaration.iterfind(XS + "unique"):
        selector = unique.find(XS + "selector")
        over = "" if selector is None else selector.get("xpath", "").strip().removeprefix("./").removeprefix("child::")
        fields = [field.get("xpath", "").strip() for field in unique.iterfind(XS + "field")]
        about_all = over == "*" or [over.rpartition(":")[2]] == [member.name for member in members]
        if about_all and len(fields) == 1 and fields[0].startswith("@"):
            return fields[0].removeprefix("@")
    return None


def _is_facet(part: etree._Element) -> bool:
    return part.get("value") is not None


def _unknown(part: etree._Element) -> UnreadableSchema:
    tag = str(part.tag).replace(XS, "xs:")
    return UnreadableSchema(line_of(part), f"the tree reader does not know {tag}: use a sequence of elements")
