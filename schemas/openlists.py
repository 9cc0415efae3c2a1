"""Codes that an open list does not know: a warning, since lists change faster than standards do."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from lxml import etree

from schemas.model import BadSchema, CodeList, Finding, Node, line_of, own_text, without_blanks

MAX_FINDINGS: Final = 100

IsKnown = Callable[[str], object]
"""Tells whether a text is a code of a list as it stands; false where a closer look is needed."""


@dataclass(frozen=True, slots=True)
class OpenLists:
    """The open code lists of one kind of object, in a shape that makes looking quick: every object is looked at.

    Attributes:
        tags: Names of the elements to look at, in any namespace: iter() takes those quicker than names in one.
        texts: Tag to what tells a known code, where elements of that tag have one list wherever they are.
        texts_by_parent: For the other tags: tag, then tag of the parent, to what tells a known code.
        attributes: Tag to the attributes that have a list, each with what tells a known code.
        nodes: Every node of the object by path.
        code_lists: The lists by name.
        prefix: Namespace of the object in braces, as tags have it.
    """

    tags: tuple[str, ...]
    texts: Mapping[str, IsKnown]
    texts_by_parent: Mapping[str, Mapping[str, IsKnown]]
    attributes: Mapping[str, Mapping[str, IsKnown]]
    nodes: Mapping[str, Node]
    code_lists: Mapping[str, CodeList]
    prefix: str

    def check(self, element: etree._Element) -> tuple[Finding, ...]:
        """Return a warning for each unknown code, in document order, at most 100."""
        found: list[Finding] = []
        texts, by_parent, attributes = self.texts, self.texts_by_parent, self.attributes
        for leaf in element.iter(*self.tags):
            tag = leaf.tag
            known = texts.get(tag)
            if known is None and tag in by_parent:
                known = self._by_parent(leaf, tag)
            if known is not None:
                text = own_text(leaf) if len(leaf) else leaf.text
                if text is not None and not known(text):
                    found += self._judge(leaf, element, text)
            if tag in attributes:
                for name, is_known in attributes[tag].items():
                    text = leaf.get(name)
                    if text is not None and not is_known(text):
                        found += self._judge(leaf, element, text, f"/@{name}")
            if len(found) >= MAX_FINDINGS:
                break
        return tuple(found[:MAX_FINDINGS])

    def _by_parent(self, leaf: etree._Element, tag: str) -> IsKnown | None:
        parent = leaf.getparent()
        return None if parent is None else self.texts_by_parent.get(tag, {}).get(str(parent.tag))

    def _judge(self, leaf: etree._Element, root: etree._Element, text: str, attribute: str = "") -> tuple[Finding, ...]:
        """Look closer at a code that did not pass at once: blanks do not count, and extended elements are free."""
        path = self._path(leaf, root) + attribute
        node = self.nodes.get(path)
        code_list = self.code_lists[node.codes] if node is not None and node.codes is not None else None
        code = without_blanks(text)
        if code_list is None or not code_list.open or not code or code in code_list:
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
    # a tag that also stands where its text is no code, or one of a closed list, must not be taken for one of these
    free = {
        prefix + node.name
        for node in nodes.values()
        if node.kind == "element" and (node.codes is None or not code_lists[node.codes].open)
    }
    alike = {tag for tag, names in lists.items() if len(names) == 1 and tag not in free}
    tags = tuple({"{*}" + tag.removeprefix(prefix) for tag in (*by_parent, *attributes)})
    return OpenLists(
        tags,
        {tag: _is_known(next(iter(by_parent[tag].values()))) for tag in alike},
        {tag: _each_known(parents) for tag, parents in by_parent.items() if tag not in alike},
        {tag: _each_known(names) for tag, names in attributes.items()},
        nodes,
        code_lists,
        prefix,
    )


def _each_known(lists: Mapping[str, CodeList]) -> Mapping[str, IsKnown]:
    return {name: _is_known(code_list) for name, code_list in lists.items()}


def _is_known(code_list: CodeList) -> IsKnown:
    """Return the quickest way to tell a code of the list."""
    if code_list.pattern is None:
        return frozenset(code_list.labels).__contains__
    return code_list.pattern.fullmatch if not code_list.labels else code_list.__contains__
