"""A schema document as trees of nodes, one for each object: what its parts are called, mean and may be."""

from dataclasses import dataclass
from typing import Final

from lxml import etree

from schemas.model import Kind, Node
from schemas.source import XS, BadSchema, Z

_ANY: Final = "xs:anyType"


@dataclass(frozen=True, slots=True)
class _Text:
    """What the text of an element or attribute may be."""

    type: str = ""
    simple_type: str = ""
    codes: str | None = None
    refs: tuple[str, ...] = ()


class TreeReader:
    """Reads objects' trees from one schema document.

    It knows the part of XML Schema that our files use: sequences, named groups, extensions, named types. What it does
    not know it refuses, rather than leave a part of an object out.
    """

    def __init__(self, schema: etree._Element) -> None:
        self._named = {(child.tag, child.get("name", "")): child for child in schema}

    def read(self, object_type: str) -> Node:
        """Return the tree of a global element.

        Raises:
            BadSchema: The schema uses something that this reader does not know.
        """
        return self._element(self._named[(XS + "element", object_type)], parent=None)

    def _element(self, declaration: etree._Element, parent: str | None) -> Node:
        name = declaration.get("name", "")
        path = "" if parent is None else _join(parent, name)
        text, children = self._content(declaration, path)
        repeatable = declaration.get("maxOccurs", "1") != "1"
        return Node(
            name=name,
            path=path,
            kind="element",
            type=text.type,
            simple_type=text.simple_type,
            mandatory=declaration.get("minOccurs", "1") != "0",
            repeatable=repeatable,
            nillable=declaration.get("nillable") == "true",
            codes=text.codes,
            refs=text.refs,
            unique_by=_unique_by(declaration),
            label=_label(declaration),
            children=children,
        )

    def _attribute(self, declaration: etree._Element, parent: str) -> Node:
        name = declaration.get("name", "")
        text = self._text(declaration.get("type", ""))
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
        )

    def _content(self, declaration: etree._Element, path: str) -> tuple[_Text, tuple[Node, ...]]:
        type_name = declaration.get("type", "")
        complex_type = declaration.find(XS + "complexType")
        if complex_type is None:
            complex_type = self._named.get((XS + "complexType", type_name))
        if complex_type is None:
            return self._text(type_name), ()
        text, children = self._complex(complex_type, path)
        return text, tuple(sorted(children, key=lambda node: node.kind))  # attributes first; the sort is stable

    def _complex(self, part: etree._Element, path: str) -> tuple[_Text, list[Node]]:
        """Read a complexType, or an extension in one."""
        text = _Text(_ANY) if part.get("mixed") == "true" else _Text()
        children: list[Node] = []
        for child in part:
            if child.tag == XS + "sequence":
                children += self._sequence(child, path)
            elif child.tag == XS + "attribute":
                children.append(self._attribute(child, path))
            elif child.tag in (XS + "simpleContent", XS + "complexContent"):
                text, children = self._extension(child[0], path)
            elif child.tag != XS + "annotation":
                raise _unknown(child)
        return text, children

    def _extension(self, extension: etree._Element, path: str) -> tuple[_Text, list[Node]]:
        if extension.tag != XS + "extension":
            raise _unknown(extension)
        base = extension.get("base", "")
        named = self._named.get((XS + "complexType", base))
        text, children = self._complex(named, path) if named is not None else (self._text(base), [])
        return text, children + self._complex(extension, path)[1]

    def _sequence(self, sequence: etree._Element, path: str) -> list[Node]:
        nodes: list[Node] = []
        for child in sequence:
            if child.tag == XS + "element":
                nodes.append(self._element(child, path))
            elif child.tag == XS + "group":
                group = self._named[(XS + "group", child.get("ref", ""))]
                nodes += self._sequence(group[0], path)
            elif child.tag != XS + "any":
                raise _unknown(child)
        return nodes

    def _text(self, type_name: str) -> _Text:
        """Follow a simple type to its built-in base, gathering the notes on the way."""
        if type_name.startswith("xs:"):
            return _Text(type_name, type_name)
        simple = self._named.get((XS + "simpleType", type_name))
        if simple is None:
            raise BadSchema(f"no type is named {type_name!r}: declare it, or correct the name")
        definition = simple[-1]
        # of a union the first member says what the text is; the others let it be empty
        base = definition.get("base") or definition.get("memberTypes", "").split()[0]
        below = self._text(base)
        refs = tuple(ref.get("to", "") for ref in simple.iter(Z + "ref")) or below.refs
        note = next(simple.iter(Z + "codes"), None)
        codes = below.codes if note is None else note.get("list")
        return _Text(f"codes:{codes}" if codes else below.type, type_name, codes, refs)


def _join(parent: str, name: str) -> str:
    return f"{parent}/{name}" if parent else name


def _label(declaration: etree._Element) -> str:
    return (declaration.findtext(f"{XS}annotation/{XS}documentation") or "").strip()


def _unique_by(declaration: etree._Element) -> str | None:
    field = declaration.find(f"{XS}unique/{XS}field")
    return None if field is None else field.get("xpath", "").removeprefix("@")


def _unknown(part: etree._Element) -> BadSchema:
    return BadSchema(f"line {part.sourceline}: the tree reader does not know {part.tag}: use a sequence of elements")
