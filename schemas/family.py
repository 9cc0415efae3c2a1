"""The objects of one namespace, in every edition, whole and in part."""

from functools import cached_property
from importlib.resources.abc import Traversable
from typing import Protocol

from lxml import etree

from schemas import source
from schemas.codelists import CodeLists
from schemas.editions import NEWEST, Edition
from schemas.explain import Explainer
from schemas.model import Finding, Node
from schemas.values import Values
from schemas.variant import Variant


class Family(Protocol):
    """What the registry asks of the objects of one namespace; nothing in one changes once it is loaded."""

    @property
    def namespace(self) -> str:
        """The XML namespace of the objects."""

    @property
    def newest(self) -> Variant:
        """The full form in the newest edition."""

    @property
    def values(self) -> Values:
        """Judges single texts by the newest edition."""

    def note(self, name: str) -> source.ObjectNote:
        """Return what is known of an object beside its structure."""

    def tree(self, name: str, edition: Edition) -> Node | None:
        """Return the structure of an object in an edition; None where that has none of it."""

    def engine(self, *, partial: bool, edition: Edition) -> etree.XMLSchema:
        """Return the compiled form to check an object with."""

    def explain(self, element: etree._Element, name: str, *, partial: bool, edition: Edition) -> tuple[Finding, ...]:
        """Return what is wrong with an object that the engine refuses."""


class OwnFamily:
    """Objects from our own XSD files.

    Args:
        folder: The folder with the XSD files.
        shared: Files that it shares with others; None for none.
        code_lists: The lists that its texts are from.
        has_editions: Whether it changes with the edition of the message, as SIF UK does.

    Raises:
        BadSchema: The files do not make one schema.
    """

    def __init__(
        self, folder: Traversable, shared: Traversable | None, code_lists: CodeLists, *, has_editions: bool
    ) -> None:
        self._document = source.with_codes(source.read(folder, shared), code_lists)
        self._code_lists = code_lists
        self._has_editions = has_editions
        self.namespace: str = self._document.get("targetNamespace", "")
        self.newest = Variant(self._document)
        self._forms: dict[tuple[Edition, bool], Variant] = {(NEWEST, False): self.newest}
        self._explainers: dict[tuple[Edition, bool], Explainer] = {}

    @cached_property
    def values(self) -> Values:
        """Judges single texts by the newest edition."""
        return Values(self._document)

    def note(self, name: str) -> source.ObjectNote:
        """Return what is known of an object beside its structure."""
        return source.object_note(self.newest.declarations[name])

    def tree(self, name: str, edition: Edition) -> Node | None:
        """Return the structure of an object in an edition; None where that has none of it."""
        form = self._form(partial=False, edition=edition)
        return form.nodes(name)[""] if name in form.declarations else None

    def engine(self, *, partial: bool, edition: Edition) -> etree.XMLSchema:
        """Return the compiled form to check an object with."""
        return self._form(partial=partial, edition=edition).compiled

    def explain(self, element: etree._Element, name: str, *, partial: bool, edition: Edition) -> tuple[Finding, ...]:
        """Return what is wrong with an object that the engine refuses."""
        edition = edition if self._has_editions else NEWEST
        form = self._form(partial=partial, edition=edition)
        if (edition, partial) not in self._explainers:
            self._explainers[edition, partial] = Explainer(self.namespace, Values(form.document), self._code_lists)
        nodes = form.nodes(name) if name in form.declarations else {}
        return self._explainers[edition, partial].explain(element, nodes, self.newest.nodes(name))

    def _form(self, *, partial: bool, edition: Edition) -> Variant:
        key = (edition if self._has_editions else NEWEST, partial)
        if key not in self._forms:
            document = self._document if key[0] == NEWEST else source.in_edition(self._document, key[0])
            self._forms[key] = Variant(source.partial(document) if partial else document)
        return self._forms[key]
