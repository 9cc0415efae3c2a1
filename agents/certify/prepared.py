"""An agent made ready to be certified: its parts, and made-up records for each of its sources."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from agents.certify.corpus import Case, Corpus, Made, build, learn, made_of
from agents.certify.written import Writer
from agents.files import matching
from agents.keys import Keys
from agents.parts import FilePart, Parts, SourcePart, make_parts
from agents.settings import AgentSettings
from agents.workbench.reading import TEST_KEYS
from mappings import InwardMapping, OutwardMapping, load, open_document
from mappings.document import Document

_AT_LEAST: Final = 1_200
"""Objects of all sources together, about, so that an agent can be stopped in the midst of them."""
_AT_LEAST_QUICK: Final = 800
_NUMBERS: Final = 2_000
"""How far apart the numbers begin by which records of two sources are told apart."""


@dataclass(slots=True)
class Source:
    """One source.

    Attributes:
        number: From 0.
        corpus: Its made-up records.
        writer: Writes them as files.
    """

    number: int
    part: SourcePart
    documents: tuple[Document, ...] = field(repr=False)
    corpus: Corpus = field(repr=False)
    writer: Writer = field(repr=False)

    @property
    def title(self) -> str:
        """What reports call it: no path, which may say more than a certificate should."""
        return f"source {self.number + 1} ({self.part.settings.connector})"

    @property
    def right(self) -> tuple[Case, ...]:
        """The cases with usable records that its files can hold."""
        return tuple(case for case in self.corpus.right if self.writer.takes(case))

    def made(self, cases: Sequence[Case], keys: Keys = TEST_KEYS) -> list[Made]:
        """Return what the mappings make of cases."""
        return list(made_of([case.record for case in cases], self.part.mappings, keys))

    def files(self) -> list[Path]:
        """Return the agent's own files on this machine, newest last."""
        part = self.part
        if not isinstance(part, FilePart) or part.fetcher is not None:
            return []
        return matching(part.pattern, newest_only=part.settings.complete)


@dataclass(slots=True)
class Prepared:
    """An agent with made-up records for its sources."""

    settings: AgentSettings
    parts: Parts = field(repr=False)
    sources: tuple[Source, ...]

    @property
    def object_types(self) -> tuple[str, ...]:
        """The objects that its mappings make, once each."""
        made = [mapping.object_type for source in self.sources for mapping in source.part.mappings]
        return tuple(dict.fromkeys(made))


def prepare(settings: AgentSettings, *, quick: bool = False) -> Prepared:
    """Return an agent ready to be certified.

    Raises:
        ConfigurationError: Something in its file, or a mapping, is wrong.
    """
    parts = make_parts(settings)
    known: dict[str, str] = {}
    documents = [_documents(settings, part) for part in parts.sources]
    for part, files in zip(parts.sources, documents, strict=True):  # so that each knows what the others take
        learn(part.mappings, files, TEST_KEYS, known, _fixed(part))
    sources = []
    for number, (part, files) in enumerate(zip(parts.sources, documents, strict=True)):
        first = 1 + _NUMBERS * number
        corpus = build(
            part.mappings,
            files,
            TEST_KEYS,
            known=known,
            fixed=_fixed(part),
            first_number=first,
            at_least=(_AT_LEAST_QUICK if quick else _AT_LEAST) // sum(len(each.mappings) for each in parts.sources),
            quick=quick,
        )
        writer = Writer(part.settings.connector, part.settings.options, corpus)
        sources.append(Source(number, part, files, corpus, writer))
    return Prepared(settings, parts, tuple(sources))


def site_library(settings: AgentSettings) -> tuple[Path, ...]:
    """Return the site's own mappings, beside the agent's file."""
    folder = settings.folder / "mappings"
    return (folder,) if folder.is_dir() else ()


def document_of(settings: AgentSettings, name: str) -> Document:
    """Return what a mapping's file says, given what the agent's file calls it."""
    where: str | Path = settings.folder / name if name.endswith(".toml") else name
    return open_document(where, site_library(settings))


def outward_mappings(settings: AgentSettings) -> tuple[OutwardMapping, ...]:
    """Return the mappings of an agent's target; none where it has no target."""
    names = () if settings.target is None else settings.target.mapping
    library = site_library(settings)
    found = [load(settings.folder / name if name.endswith(".toml") else name, library) for name in names]
    return tuple(mapping for mapping in found if isinstance(mapping, OutwardMapping))


def _documents(settings: AgentSettings, part: SourcePart) -> tuple[Document, ...]:
    return tuple(document_of(settings, name) for name in part.settings.mapping)


def _fixed(part: SourcePart) -> Mapping[str, str]:
    """Return what the connector gives each record, whatever is in the file."""
    given: Any = part.settings.options.get("constants", {})
    return {str(name): str(text) for name, text in given.items()} if isinstance(given, dict) else {}


def mapping_document(source: Source, mapping: InwardMapping) -> Document:
    """Return the file of one of a source's mappings."""
    return source.documents[source.part.mappings.index(mapping)]


__all__ = ["Prepared", "Source", "document_of", "mapping_document", "outward_mappings", "prepare", "site_library"]
