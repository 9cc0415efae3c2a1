"""What a zone is set up with, as values: agents and agreements, and the lines for them in its administrator's files."""

import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

from broker.protocol.identifiers import parse_establishment

Learners = Literal["all", "enrolled", "looked-after", "resident", "transferring"]
_NO_RIGHTS: Final[Mapping[str, Sequence[str]]] = MappingProxyType({})
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_ALWAYS: Final = (date(2000, 1, 1), date(2999, 12, 31))
ENTRY: Final = "zone-entry.toml"
"""The file of an agent's folder with its lines in zone.toml, for the zone's administrator."""
_MOST: Final = 100_000
"""Bytes of such a file that are read."""


@dataclass(frozen=True, slots=True)
class ZoneAgent:
    """An agent in zone.toml.

    Attributes:
        establishments: Schools it speaks for or serves, for example ``8209901``.
        authority: LA number it acts for; empty for none.
        publish: Objects it may publish.
        subscribe: Objects it is to get, as far as agreements share them.
        provide: Objects for which it answers requests that name nobody.
        rights: What else it may do, by object: ``request``, ``respond``, ``publish-add`` ...
    """

    id: str
    name: str = ""
    establishments: Sequence[str] = ()
    authority: str = ""
    publish: Sequence[str] = ()
    subscribe: Sequence[str] = ()
    provide: Sequence[str] = ()
    rights: Mapping[str, Sequence[str]] = field(default_factory=lambda: _NO_RIGHTS)

    def toml(self) -> str:
        """Return its lines in zone.toml."""
        head = f"agents.{_key(self.id)}"
        lines = [f"[{head}]", f"name = {toml_text(self.name or self.id)}"]
        lines += [f"authority = {toml_text(self.authority)}"] if self.authority else []
        named = (
            ("establishments", self.establishments),
            ("publish", self.publish),
            ("subscribe", self.subscribe),
            ("provide", self.provide),
        )
        lines += [f"{name} = {toml_texts(values)}" for name, values in named if values]
        if self.rights:
            lines.append(f"[{head}.rights]")
            lines += [f"{_key(name)} = {toml_texts(words)}" for name, words in self.rights.items()]
        return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class Agreement:
    """A sharing agreement: without one nothing is delivered.

    Attributes:
        shares: By object the elements that are shared, for example ``("@RefId", "LocalId")``; ``("*",)`` for all.
        recipients: Agent ids; ``*`` as a wildcard. ``senders`` alike.
        learners: About whom, always in relation to the recipient.
    """

    shares: Mapping[str, Sequence[str]]
    recipients: Sequence[str]
    senders: Sequence[str] = ("*",)
    learners: Learners = "all"
    starts: date = _ALWAYS[0]
    expires: date = _ALWAYS[1]
    id: str = "agreement"
    title: str = "Made for a test"
    purpose: str = "Tests"
    lawful_basis: str = "None: all data is made up"

    def toml(self) -> str:
        """Return its file."""
        lines = [
            f"id = {toml_text(self.id)}",
            f"title = {toml_text(self.title)}",
            f"from = {toml_texts(self.senders)}",
            f"to = {toml_texts(self.recipients)}",
            f"purpose = {toml_text(self.purpose)}",
            f"lawful_basis = {toml_text(self.lawful_basis)}",
            f"starts = {self.starts.isoformat()}",
            f"expires = {self.expires.isoformat()}",
            f"learners = {toml_text(self.learners)}",
        ]
        for name, paths in self.shares.items():
            lines += [f"\n[objects.{_key(name)}]", f"share = {toml_texts(paths)}"]
        return "\n".join(lines) + "\n"


def entry_lines(entry: ZoneAgent) -> Iterator[str]:
    """Yield the lines that the zone's administrator is asked for, with a word for who does not know the schools yet."""
    yield from entry.toml().splitlines()
    if not entry.establishments:
        yield 'establishments = []   # the schools it speaks for, e.g. ["8209901"]'


def entry_establishments(folder: Path, agent: str) -> tuple[str, ...]:
    """Return the schools that an agent speaks for, as its folder's entry for the zone says; none where it does not."""
    try:
        with (folder / ENTRY).open("rb") as file:
            said = tomllib.loads(file.read(_MOST).decode("utf-8"))
        named = said["agents"][agent]["establishments"]
        return tuple(parse_establishment(text) for text in named if isinstance(text, str))
    except (OSError, ValueError, LookupError, TypeError):
        return ()  # it is a help to people, and nothing is decided by it


def _key(text: str) -> str:
    return text if _BARE.fullmatch(text) else toml_text(text)


def toml_text(text: str) -> str:
    """Return *text* as TOML writes a string."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")  # else a JSON string is one of TOML's


def toml_texts(texts: Iterable[str]) -> str:
    """Return *texts* as TOML writes a list of strings."""
    return f"[{', '.join(map(toml_text, texts))}]"


__all__ = [
    "ENTRY",
    "Agreement",
    "Learners",
    "ZoneAgent",
    "entry_establishments",
    "entry_lines",
    "toml_text",
    "toml_texts",
]
