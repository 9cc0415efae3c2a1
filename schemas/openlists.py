"""Codes that an open list does not know: a warning, since lists change faster than standards do."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from lxml import etree

from schemas.model import BadSchema, CodeList, Finding, Node, line_of, own_text, without_blanks

MAX_FINDINGS: Final = 100


@dataclass(frozen=True, slots=True)
class OpenLists:
    """The open code lists of one kind of object, in a shape that makes looking quick: every object is looked at.

    Attributes:
        tags: Tags of the elements to look at.
        texts: Tag to the list of the element's text, where elements of that tag have one list wherever they are.
        texts_by_parent: For the other tags: tag, then tag of the parent, to the list of the element's text.
        attributes: Tag to the attributes that have a list.
        nodes: Every node of the object by path.
        prefix: Namespace of the object in braces, as tags have it.
    """

    tags: tuple[str, ...]
    texts: Mapping[str, CodeList]
    texts_by_parent: Mapping[str, Mapping[str, CodeList]]
    attributes: Mapping[str, Mapping[str, CodeList]]
    nodes: Mapping[str, Node]
    prefix: str

    def check(self, element: etree._Element) -> tuple[Finding, ...]:
        """Return a warning for each unknown code, in document order, at most 100."""
        found: list[Finding] = []
        for leaf in element.iter(*self.tags):
            tag = leaf.tag
            code_list = self.texts.get(tag) or self._by_parent(leaf, tag)
            text = own_text(leaf) if len(leaf) else leaf.text
            if code_list is not None and text is not None and text not in code_list.labels:
                found += self._judge(leaf, element, text, code_list)
            if tag in self.attributes:
                for name, attribute_list in self.attributes[tag].items():
                    found += self._judge(leaf, element, leaf.get(name, ""), attribute_list, f"/@{name}")
            if len(found) >= MAX_FINDINGS:
                break
        return tuple(found[:MAX_FINDINGS])

    def _by_parent(self, leaf: etree._Element, tag: str) -> CodeList | None:
        parent = leaf.getparent()
        return None if parent is None else self.texts_by_parent.get(tag, {}).get(str(parent.tag))

    def _judge(
        self, leaf: etree._Element, root: etree._Element, text: str, code_list: CodeList, attribute: str = ""
    ) -> tuple[Finding, ...]:
        """Look closer at a code that did not pass at once: blanks do not count, and extended elements are free."""
        code = without_blanks(text)
        if not code or code in code_list:
            return ()
        path = self._path(leaf, root) + attribute
        node = self.nodes.get(path)
        if node is None or node.codes != code_list.name:
            return ()
        message = (
            f'{"/".join(path.split("/")[-2:])} has a code that the list "{code_list.title}" ({code_list.source}) '
            "does not have: check it; it is passed on as it is."
        )
        return (Finding(path, line_of(leaf), "unknown-code", "warn", message, code_list.nearest(code), 4),)

    def _path(self, leaf: etree._Element, root: etree._Element) -> str:
        names = [str(leaf.tag)]
        for ancestor in leaf.iterancestors():
            if ancestor is root:
                break
            names.append(str(ancestor.tag))
        return "/".join(name.removeprefix(self.prefix) for name in reversed(names))


def open_lists(nodes: Mapping[str, Node], namespace: str, code_lists: Mapping[str, CodeList]) -> OpenLists:
    """Gather the open code lists of an object.

    Raises:
        BadSchema: Elements of the same name under parents of the same name have different lists.
    """
    prefix = f"{{{namespace}}}"
    by_parent: dict[str, dict[str, CodeList]] = {}
    attributes: dict[str, dict[str, CodeList]] = {}
    for node in nodes.values():
        if node.codes is None or not code_lists[node.codes].open:
            continue
        code_list = code_lists[node.codes]
        parent = nodes[node.path.rpartition("/")[0]]
        if node.kind == "attribute":
            known = attributes.setdefault(prefix + parent.name, {}).setdefault(node.name, code_list)
        else:
            known = by_parent.setdefault(prefix + node.name, {}).setdefault(prefix + parent.name, code_list)
        if known.name != node.codes:
            raise BadSchema(f"{parent.name}/{node.name} has two code lists in one object: rename one of the parents")
    lists = {tag: {code_list.name for code_list in parents.values()} for tag, parents in by_parent.items()}
    texts = {tag: next(iter(by_parent[tag].values())) for tag, names in lists.items() if len(names) == 1}
    # a tag that also stands where its text is no code must not be taken for one
    free = {prefix + node.name for node in nodes.values() if node.codes is None and node.kind == "element"}
    texts = {tag: code_list for tag, code_list in texts.items() if tag not in free}
    texts_by_parent = {tag: parents for tag, parents in by_parent.items() if tag not in texts}
    return OpenLists(tuple({*by_parent, *attributes}), texts, texts_by_parent, attributes, nodes, prefix)
