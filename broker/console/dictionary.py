"""The data dictionary: what every object and code list holds and who gets which part, as a folder of HTML pages.

It is made from schemas, code lists and agreements alone, so no personal data is in it. The pages need no server, no
network and no script. The same input gives the same bytes.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import schemas
from broker.agreements import WHOLE, Agreement
from broker.console import words
from broker.console.pages import GENERATOR, file_names, render, styles
from broker.console.sharing import grants

_FOLDERS: Final = ("objects", "code-lists", "agreements")
_COMMON: Final = ("SIF_Metadata", "SIF_ExtendedElements")
"""Elements that every object ends with; they come after its own, and are not in the list of all elements."""
_GROUPS: Final = ("About learners", "About other people", "About schools, groups and the authority")


@dataclass(frozen=True, slots=True)
class _Link:
    """Words that lead to a page, where there is one; *href* is seen from the dictionary's folder."""

    text: str
    href: str | None


@dataclass(frozen=True, slots=True)
class _Grant:
    """Recipients who get an element, under which agreement, and whether all of it."""

    recipients: tuple[str, ...]
    agreement: _Link
    whole: bool


@dataclass(frozen=True, slots=True)
class _Element:
    """A line of an object's table."""

    name: str
    path: str
    anchor: str
    depth: int
    label: str
    type: str
    links: tuple[_Link, ...]
    rules: str
    grants: tuple[_Grant, ...]
    holds_others: bool


@dataclass(frozen=True, slots=True)
class _Object:
    """What the index and an object's own page say of it."""

    name: str
    href: str
    label: str
    group: str
    key: tuple[str, ...]
    learner: str | None
    elements: tuple[_Element, ...]
    common: tuple[_Element, ...]
    grants: tuple[_Grant, ...]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an element of some name is: the first place in an object, and how many there are."""

    link: _Link
    count: int


@dataclass(frozen=True, slots=True)
class _Named:
    """An element's name, what it means, and the objects that have it."""

    name: str
    labels: tuple[str, ...]
    places: tuple[_Place, ...]


@dataclass(frozen=True, slots=True)
class _Share:
    """What an agreement shares of one object: links to elements with their labels; none when it is the whole object."""

    object: _Link
    paths: tuple[tuple[_Link, str], ...]


def write_dictionary(
    folder: Path, schema: schemas.SchemaSet, agreements: Sequence[Agreement], *, title: str = "Data dictionary"
) -> list[Path]:
    """Write the pages into a folder, which is made if need be, and return them in the order they are written.

    Pages that an earlier run left below the folder and that this one does not write are removed, so that an agreement
    which has ended does not live on there; other files are left alone.

    Args:
        schema: The objects; a reference to an object that it does not have is shown without a link.
        agreements: Those to be told of, live or not, each with an id of its own as `load_agreements` sees to.

    Raises:
        OSError: The folder cannot be written to.
    """
    pages = _Dictionary(schema, agreements, title).pages()
    written = []
    for name, text in (("style.css", styles()), *pages):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # a text from elsewhere may hold half a character, which is no reason to have no dictionary
        path.write_text(text, encoding="utf-8", errors="replace", newline="\n")
        written.append(path)
    _remove_leftovers(folder, set(written))
    return written


def _remove_leftovers(folder: Path, written: set[Path]) -> None:
    mark = f'<meta name="generator" content="{GENERATOR}">'.encode()
    for path in (page for name in _FOLDERS for page in sorted((folder / name).glob("*.html"))):
        if path not in written and mark in path.read_bytes()[:2000]:
            path.unlink()


class _Dictionary:
    """Knows which pages there are, and what is on each."""

    def __init__(self, schema: schemas.SchemaSet, agreements: Sequence[Agreement], title: str) -> None:
        self._title = title
        self._schema = schema
        self._agreements = tuple(sorted(agreements, key=lambda one: one.id))
        self._lists = tuple(schema.code_lists.values())
        self._object_pages = _pages("objects", schema.objects)
        self._list_pages = _pages("code-lists", (one.name for one in self._lists))
        self._agreement_pages = _pages("agreements", (one.id for one in self._agreements))
        self._objects = {name: self._object(name) for name in schema.objects}

    def pages(self) -> Iterator[tuple[str, str]]:
        """Yield path and HTML of every page: the index, objects, code lists, agreements."""
        yield "index.html", self._index()
        for one in self._objects.values():
            yield one.href, self._page("object.html", object=one, agreements=self._about(one.name))
        for code_list in self._lists:
            yield self._list_pages[code_list.name], self._list_page(code_list)
        for agreement in self._agreements:
            yield self._agreement_pages[agreement.id], self._agreement_page(agreement)

    def _page(self, template: str, **values: object) -> str:
        return render(template, {"title": self._title, **values}, root="../")

    def _index(self) -> str:
        groups = [(group, [one for one in self._objects.values() if one.group == group]) for group in _GROUPS]
        values = {
            "title": self._title,
            "groups": [(group, members) for group, members in groups if members],
            "agreements": [(one, self._agreement_pages[one.id]) for one in self._agreements],
            "lists": [(one, self._list_pages[one.name]) for one in self._lists],
            "names": _by_name(self._objects.values()),
        }
        return render("index.html", values)

    def _about(self, object_type: str) -> list[tuple[Agreement, str]]:
        return [(one, self._agreement_pages[one.id]) for one in self._agreements if one.shares.get(object_type)]

    def _list_page(self, code_list: schemas.CodeList) -> str:
        href = self._list_pages[code_list.name]
        users = [
            (_Link(one.name, one.href), _Link(element.path, f"{one.href}#{element.anchor}"))
            for one in self._objects.values()
            for element in (*one.elements, *one.common)
            if any(link.href == href for link in element.links)
        ]
        return self._page("code_list.html", list=code_list, users=users)

    def _agreement_page(self, agreement: Agreement) -> str:
        shares = [self._share(object_type, paths) for object_type, paths in sorted(agreement.shares.items())]
        return self._page("agreement.html", agreement=agreement, shares=shares)

    def _share(self, object_type: str, paths: tuple[str, ...]) -> _Share:
        one = self._objects.get(object_type)
        link = _Link(object_type, one.href if one else None)
        if WHOLE in paths:
            return _Share(link, ())
        known = {element.path: element for element in (*one.elements, *one.common)} if one else {}
        return _Share(link, tuple(_shared(path, one, known.get(path)) for path in paths))

    def _object(self, name: str) -> _Object:
        tree = self._schema.tree(name)
        elements = tuple(self._elements(name, tree))
        return _Object(
            name=name,
            href=self._object_pages[name],
            label=tree.label,
            group=self._group(name, tree),
            key=self._schema.keys(name),
            learner=self._schema.learner_ref(name),
            elements=tuple(one for one in elements if not _is_common(one.path)),
            common=tuple(one for one in elements if _is_common(one.path)),
            grants=self._grants(name, ""),
        )

    def _group(self, name: str, tree: schemas.Node) -> str:
        if self._schema.learner_ref(name):
            return _GROUPS[0]
        return _GROUPS[1 if any(child.name == "PersonalInformation" for child in tree.children) else 2]

    def _elements(self, object_type: str, parent: schemas.Node, depth: int = 1) -> Iterator[_Element]:
        keys = self._schema.keys(object_type)
        for node in parent.children:
            yield _Element(
                name=f"@{node.name}" if node.kind == "attribute" else node.name,
                path=node.path,
                anchor=node.path,
                depth=depth,
                label=node.label,
                type=words.type_of(node),
                links=self._links(node),
                rules=words.rules_of(node, is_key=node.path in keys),
                grants=self._grants(object_type, node.path),
                holds_others=any(child.kind == "element" for child in node.children),
            )
            yield from self._elements(object_type, node, depth + 1)

    def _links(self, node: schemas.Node) -> tuple[_Link, ...]:
        if node.codes:
            return (_Link(node.codes, self._list_pages.get(node.codes)),)
        return tuple(_Link(ref, self._object_pages.get(ref)) for ref in node.refs)

    def _grants(self, object_type: str, path: str) -> tuple[_Grant, ...]:
        return tuple(
            _Grant(
                grant.agreement.recipients,
                _Link(grant.agreement.id, self._agreement_pages[grant.agreement.id]),
                grant.whole,
            )
            for grant in grants(self._agreements, object_type, path)
        )


def _pages(folder: str, names: Iterable[str]) -> dict[str, str]:
    return {name: f"{folder}/{file}" for name, file in file_names(names).items()}


def _is_common(path: str) -> bool:
    return path.partition("/")[0] in _COMMON


def _shared(path: str, one: _Object | None, element: _Element | None) -> tuple[_Link, str]:
    if one is None or element is None:
        return _Link(path, None), ""
    return _Link(path, f"{one.href}#{element.anchor}"), element.label


def _by_name(objects: Iterable[_Object]) -> list[_Named]:
    """Return the elements that objects have of their own by name, in order of name whatever the case."""
    labels: dict[str, dict[str, None]] = defaultdict(dict)
    places: dict[str, dict[str, list[_Link]]] = defaultdict(lambda: defaultdict(list))
    for one in objects:
        for element in one.elements:
            places[element.name][one.name].append(_Link(one.name, f"{one.href}#{element.anchor}"))
            if element.label:
                labels[element.name][element.label] = None
    return [
        _Named(name, tuple(labels[name]), tuple(_Place(links[0], len(links)) for links in places[name].values()))
        for name in sorted(places, key=lambda name: (name.removeprefix("@").casefold(), name))
    ]
