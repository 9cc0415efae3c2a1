"""What the tests of connectors for reports share: an agent with one source, run as a process of its own would."""

import threading
from collections import Counter
from dataclasses import replace
from datetime import date
from pathlib import Path

from lxml import etree

from agents.connectors.contract import FileSource
from agents.files import FileLedger, Problem
from agents.parts import make_parts
from agents.scan import Scanner
from agents.settings import read_settings
from agents.spool import Spool, Spooled
from agents.store import Store
from schemas import SchemaSet
from tests.calendars import TERMS_OF_2026

TODAY = date(2026, 11, 24)


def write_calendar(folder: Path) -> None:
    """Write the authority's calendar of 2026/2027 into *folder*."""
    folder.mkdir()
    (folder / "820.toml").write_bytes(TERMS_OF_2026)


class Site:
    """One agent with one source, and its files."""

    def __init__(self, folder: Path, schema: SchemaSet, source: str, connector: FileSource) -> None:
        self.file, self.schema, self.connector = folder / "agent.toml", schema, connector
        self.file.write_text(f'id = "mis-1"\nsettle = "0s"\n[source]\n{source}\n')

    def scan(self) -> list[Spooled]:
        """Read what is new; return the events that this made."""
        settings = read_settings(self.file)
        with Store(settings.state_folder) as store:
            spool, parts = Spool(store, settings.id, self.schema), make_parts(settings)
            source = replace(parts.sources[0], connector=self.connector)
            before = spool.count()
            Scanner(settings, parts, store, spool, threading.Event()).scan(source)
            return list(spool.waiting(0, 10_000)[before:])

    def actions(self) -> Counter[str]:
        """Read what is new; return what was done to which objects."""
        return Counter(f"{event.object_type} {event.action}" for event in self.scan())

    def problems(self) -> list[Problem]:
        """Return what was wrong with the files that are there."""
        with Store(read_settings(self.file).state_folder) as store:
            ledger = FileLedger(store)
            return [problem for read in ledger.all() for problem in ledger.problems(read.source, read.path)]

    def rules(self) -> list[tuple[str, str, str]]:
        """Return position, severity and rule of each problem."""
        return [(problem.position, problem.severity, problem.rule) for problem in self.problems()]


def published(events: list[Spooled], object_type: str) -> list[etree._Element]:
    """Return the objects in the bodies of events."""
    found = [etree.fromstring(event.body) for event in events]
    return [child for body in found for child in body.iter() if etree.QName(child).localname == object_type]


def text_of(element: etree._Element, path: str) -> str | None:
    """Return the text at a path of local names; None when it is not there."""
    steps = "".join(f"/*[local-name()='{step}']" for step in path.split("/"))
    found = element.xpath(f".{steps}")
    assert isinstance(found, list)
    return found[0].text if found else None  # type: ignore[union-attr]  # elements, by the expression
