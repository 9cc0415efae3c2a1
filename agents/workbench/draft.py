"""Drafts a mapping file from guesses: which lines it is to have, so that what the schema wants is there or is named.

What cannot be filled is noted with what is needed. Guessing is others' work, and so is asking; what stands on the right
sides is `agents.workbench.right_sides`', and how all is written `agents.workbench.draft_text`'s.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import schemas
from agents.workbench.draft_text import Content, LeftOut, Missing
from agents.workbench.guess import Guesses
from agents.workbench.match import Match
from agents.workbench.names import Filling, Meaning, vocabulary
from agents.workbench.paths import elements, ends_with, is_within, parent, plain, steps
from agents.workbench.right_sides import RightSides
from agents.workbench.wants import Want, node_of


@dataclass(frozen=True, slots=True)
class Draft:
    """A mapping file.

    Attributes:
        text: The TOML.
        missing: What it lacks; with none it can be loaded.
        left_out: Optional parts that could not be filled.
    """

    object_type: str
    text: str = field(repr=False)
    missing: tuple[Missing, ...]
    left_out: tuple[LeftOut, ...]


def draft(guesses: Guesses, constants: Mapping[str, str] | None = None, title: str = "") -> Draft:
    """Return the mapping file for what was guessed and accepted.

    Args:
        guesses: The columns; a guess without match was not found, or not accepted.
        constants: Texts for what no column gives, by what ``--set`` calls it: ``LAId``, ``EstablishmentId``, the last
            name of a path, or a whole path.
        title: First line of the file.
    """
    return _Drafter(guesses, constants or {}, title).draft()


def needs_column(object_type: str, want: Want) -> bool:
    """Tell whether an object cannot be made without a column, or a text that is set, for what is wanted."""
    if not want.mandatory or want.meaning is None:
        return False
    fillings = [filling for filling in vocabulary().fillings if filling.alone]
    return not any(ends_with(object_type, path, filling.path) for path in want.paths for filling in fillings)


@dataclass(slots=True)
class _Drafter:
    """Gathers the lines of one mapping."""

    guesses: Guesses
    constants: Mapping[str, str]
    title: str
    lines: dict[str, Any] = field(default_factory=dict)
    confidence: dict[str, Match] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)
    missing: dict[str, Missing] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)
    lists: dict[str, str] = field(default_factory=dict)  # groups by path of the element of which there is one for each
    dropped: set[str] = field(default_factory=set)
    sides: RightSides = field(init=False)

    def __post_init__(self) -> None:
        self.sides = RightSides(self.guesses, self.constants)

    @property
    def kind(self) -> str:
        """The object's name."""
        return self.guesses.object_type

    def draft(self) -> Draft:
        for guess in self.guesses.guesses:
            if guess.match is not None:
                self._add(guess.want, guess.match)
            elif guess.want.meaning is not None and guess.want.meaning.set not in self.constants:
                self._add_part(guess.want, guess.want.meaning)
        self._settle_variants()
        self._add_constants()
        while self._complete() or self._fill_always():
            pass
        self._add_second_best()
        key = self.sides.key(self.kind)
        if key is None:
            self.missing["key"] = Missing("key", "what identifies each of them: the columns, in square brackets", "")
        text = self._content(key).text()
        return Draft(self.kind, text, tuple(self.missing.values()), tuple(self.left_out))

    def _add(self, want: Want, match: Match) -> None:
        for path in want.paths:
            if match.column.group and (listed := self._listed(path)):
                path = plain(listed) + path[len(listed) :]
                if self.lists.setdefault(plain(listed), match.column.group) != match.column.group:
                    continue
            if want.meaning is not None and want.meaning.ref:
                key = self.sides.key(want.meaning.ref, {want.meaning.stands_for: match})
                if key is None:
                    continue
                self.lines[path] = {"ref": want.meaning.ref, "key": key}
            else:
                self.lines[path] = self.sides.of_column(want.meaning, match)
            self.confidence[path], self.words[path] = match, want.words

    def _add_part(self, want: Want, meaning: Meaning) -> None:
        """Add the lines of what has no column of its own and can be cut out of another one's."""
        value = self.sides.of_part(meaning)
        for path in want.paths if value is not None else ():
            self.lines[path] = value | {"required": True} if meaning.required else value
            self.confidence[path], self.words[path] = self.guesses.found[meaning.of], want.words

    def _listed(self, path: str) -> str:
        """Return the innermost element of a path of which there may be several, or an empty text."""
        many = [e for e in elements(path) if (node := self._node(e)) is not None and node.repeatable]
        return many[-1] if many else ""

    def _settle_variants(self) -> None:
        """Keep one of several elements that tell themselves apart by attributes, where there may be one alone.

        An element whose attribute is a column (``PhoneNumber/@Type``) takes the lines of the one where it is given.
        """
        variants: dict[tuple[str, str], set[str]] = {}
        for path in self.lines:
            for element in elements(path):
                node = self._node(element)
                if node is not None and not node.repeatable:
                    variants.setdefault((parent(element), node.name), set()).add(element)
        for same in variants.values():
            if len(same) > 1:
                self._keep_one(same)

    def _keep_one(self, same: set[str]) -> None:
        bare = next((e for e in same if "[" not in steps(e)[-1]), "")
        taking = any(path.startswith(f"{bare}/@") for path in self.lines) if bare else False
        keep = bare if taking else max(same, key=self._weight)
        for other in same - {keep}:
            for path in [path for path in self.lines if is_within(path, other)]:
                moved = keep + path[len(other) :]
                if taking and moved not in self.lines:
                    self.lines[moved], self.confidence[moved] = self.lines[path], self.confidence[path]
                    self.words[moved] = self.words[path]
                del self.lines[path]

    def _weight(self, element: str) -> int:
        return sum(self.confidence[path].confidence for path in self.lines if is_within(path, element))

    def _add_constants(self) -> None:
        """Add the lines that were set by their whole path."""
        for name, text in self.constants.items():
            if ("/" in name or name.startswith("@")) and self._node(name) is not None:
                self.lines[name] = {"const": text}

    def _add_second_best(self) -> None:
        """Add what the vocabulary has for records whose column is empty."""
        for filling in vocabulary().fillings:
            for path in self.confidence if filling.after else ():
                if path in self.lines and ends_with(self.kind, path, filling.path):
                    more = [value for given in filling.values if (value := self.sides.filling(given)) is not None]
                    self.lines[path] = [self.lines[path], *more]

    # ------------------------------------------------------------ what the schema wants

    def _complete(self) -> bool:
        """Fill, leave out or note the first thing that is missing; return whether there was one."""
        for element in self._present():
            node = self._node(element)
            for child in node.children if node is not None else ():
                if not child.mandatory or child.path == "@RefId":
                    continue
                path = _below(element, child)
                if self._is_filled(element, child) or path in self.missing:
                    continue
                if not self._fill(path, child):
                    self._give_up(element, path, child)
                return True
        return False

    def _present(self) -> Iterator[str]:
        """Yield the elements that the lines make, outer ones first; the object itself is the empty text."""
        yield ""
        seen: set[str] = set()
        for path in list(self.lines):
            for element in elements(path):
                if element not in seen:
                    seen.add(element)
                    yield element

    def _is_filled(self, element: str, child: schemas.Node) -> bool:
        name = f"@{child.name}" if child.kind == "attribute" else child.name
        if child.kind == "attribute" and f"[@{child.name}=" in steps(element)[-1]:
            return True
        inner = len(steps(element)) if element else 0
        return any(
            is_within(path, element) and len(steps(path)) > inner and plain(steps(path)[inner]) == name
            for path in self.lines
        )

    def _fill(self, path: str, node: schemas.Node) -> bool:
        """Fill a path without column of its own; return whether that was possible."""
        value = self.sides.without_column(path, node)
        if value is not None:
            self.lines[path] = value
            return True
        inner = [child for child in node.children if child.mandatory]
        if node.type or not inner:
            return any(self._fill_inside(path, filling) for filling in vocabulary().fillings if filling.always)
        return all(self._fill(_below(path, child), child) for child in inner)

    def _fill_inside(self, path: str, filling: Filling) -> bool:
        """Fill something optional within a mandatory element, so that it is there at all."""
        node = self._node(path)
        for child in node.children if node is not None else ():
            inside = _below(path, child)
            if ends_with(self.kind, inside, filling.path):
                value = self.sides.first(filling.values)
                if value is not None:
                    self.lines[inside] = value
                    return True
        return False

    def _give_up(self, element: str, path: str, node: schemas.Node) -> None:
        """Leave out the nearest optional part around a path that cannot be filled; without one, it is missing."""
        missing = self._missing(path, node)
        around = element
        while around:
            sole = [e for e in self._present() if e and parent(e) == parent(around) and plain(e) == plain(around)]
            around_node = self._node(around)
            if around_node is None or not around_node.mandatory or len(sole) > 1:
                lost = [line for line in self.lines if is_within(line, around)]
                sources = tuple(self.confidence[line].column.source for line in lost if line in self.confidence)
                for line in lost:
                    del self.lines[line]
                if sources:
                    self.left_out.append(LeftOut(around, missing, tuple(dict.fromkeys(sources))))
                self.dropped.add(around)
                return
            around = parent(around)
        self.missing[path] = missing

    def _missing(self, path: str, node: schemas.Node) -> Missing:
        """Return what to ask for: of an element that holds others the first of them that is known by a name."""
        if node.refs:
            for other in node.refs:
                part = next(self.sides.lacking(other, set()), None)
                if part is not None:
                    meaning = vocabulary().meanings[part]
                    return Missing(path, meaning.words, meaning.set)
            return Missing(path, node.label, "")
        want = self.sides.want_of(path)
        if want is not None and plain(want.paths[0]) != plain(path):
            path = want.paths[0]
        name = want.meaning.set if want is not None and want.meaning is not None and want.meaning.set else ""
        return Missing(path, want.words if want is not None else node.label, name or plain(steps(path)[-1]).lstrip("@"))

    def _fill_always(self) -> bool:
        """Add what the vocabulary always adds to an element that is there; return whether something was added."""
        for element in self._present():
            node = self._node(element)
            for child in node.children if node is not None else ():
                path = _below(element, child)
                if path in self.lines or path in self.dropped or self._is_filled(element, child):
                    continue
                for filling in vocabulary().fillings:
                    if filling.always and ends_with(self.kind, path, filling.path):
                        value = self.sides.first(filling.values)
                        if value is not None:
                            self.lines[path] = value
                            return True
        return False

    def _content(self, key: list[Any] | None) -> Content:
        subject = vocabulary().subjects.get(self.kind)
        about = self.sides.key("LearnerPersonal") if subject is not None and subject.about else None
        return Content(
            self.guesses,
            self.title,
            key,
            about,
            self.lines,
            self.confidence,
            self.words,
            self.lists,
            self.missing,
            tuple(self.left_out),
        )

    def _node(self, path: str) -> schemas.Node | None:
        return node_of(self.kind, path)


def _below(element: str, node: schemas.Node) -> str:
    name = f"@{node.name}" if node.kind == "attribute" else node.name
    return f"{element}/{name}" if element else name


__all__ = ["Draft", "draft", "needs_column"]
