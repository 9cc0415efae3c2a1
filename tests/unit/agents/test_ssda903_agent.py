"""The ready-made agent of social care: from the files of a return to the objects that it publishes."""

import shutil
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from lxml import etree

import agents.connectors
from agents.connectors.ssda903 import Ssda903Options, Ssda903Source
from agents.files import FileLedger
from agents.parts import make_parts
from agents.scan import Scanner
from agents.settings import read_settings
from agents.spool import Spool
from agents.store import Store
from mappings import InwardMapping, MappedObject, load
from schemas import SchemaSet
from tests.unit.agents.ssda903_files import DATA, Return, by_upn
from tests.unit.mappings.conftest import HashedRefIds

READY_MADE = Path(agents.connectors.__file__).parents[1] / "social_care" / "social-care.toml"
LEARNERS = {f"{upn}": f"{number:032X}" for number, upn in enumerate(["Q821990112001", "E821990114004"], start=1)}


def translate(read: Return) -> tuple[list[MappedObject], Counter[str]]:
    mapping = load("ssda903/looked-after")
    assert isinstance(mapping, InwardMapping)
    made = [mapping.translate(record, HashedRefIds()) for record in read.records]
    problems = Counter(f"{p.severity} {p.target}" for translation in made for p in translation.problems)
    return [one for translation in made for one in translation.objects], problems


def test_located_children_become_valid_objects_and_the_others_are_refused_by_name_of_the_field(
    schema: SchemaSet,
) -> None:
    objects, problems = translate(Return(DATA / "2026/episodes.csv", by_upn(**LEARNERS), earlier=("../2025",)))

    assert {made.learner_ref_id for made in objects} == set(LEARNERS.values())
    assert problems == {"refuse @LearnerPersonalRefId": 9}
    for made in objects:
        assert schema.check(made.element, partial=False) == ()
        assert schema.warnings(made.element) == ()


def test_that_a_child_was_adopted_shows_in_nothing_but_what_only_the_zone_reads(schema: SchemaSet) -> None:
    read = Return(DATA / "2026/episodes.csv", lambda _: "F" * 32)
    (adopted,) = (made for made in translate(read)[0] if "MADEUP07" in made.key)

    names = {etree.QName(child).localname: child.text for child in adopted.element}

    assert names == {
        "Current": "No",
        "CareStatus": "PL",
        "CareStartDate": "2023-02-10",
        "CareEndDate": "2025-09-22",
        "CategoryOfNeed": "N1",
        "UASC": "No",
        "ShieldCode": "A",
        "AsAtDate": "2025-10-06",
        "SourceSystem": "SSDA903",
    }
    assert schema.check(adopted.element, partial=False) == ()


def test_a_period_keeps_its_identity_when_the_child_is_given_a_upn() -> None:
    keys = {made.key for made in translate(Return(DATA / "2026/episodes.csv", lambda _: "F" * 32))[0]}

    assert ("821", "MADEUP02", "2025-06-02") in keys


@pytest.fixture
def agent(tmp_path: Path) -> Path:
    """The ready-made agent, beside a return."""
    shutil.copytree(DATA / "2026", tmp_path / "return")
    shutil.copytree(DATA / "2025", tmp_path / "2025")
    text = READY_MADE.read_text().replace('"../state', '"state').replace('"820" ', '"821" ')
    file = tmp_path / "social-care.toml"
    file.write_text('settle = "0s"\n' + text + 'as_at = 2025-10-06\nearlier = ["../2025"]\nareas = { QZ7 = "821" }\n')
    return file


def scan(file: Path, schema: SchemaSet, locate: bool) -> tuple[Counter[str], Counter[str], list[int]]:
    settings = read_settings(file)
    with Store(settings.state_folder) as store:
        spool, parts = Spool(store, settings.id, schema), make_parts(settings)
        (source,) = parts.sources
        assert isinstance(source.connector, Ssda903Source)
        if locate:
            options = Ssda903Options.model_validate(dict(source.settings.options))
            source = replace(source, connector=Ssda903Source(options, by_upn(**LEARNERS)))
        Scanner(settings, parts, store, spool, threading.Event()).scan(source)
        ledger = FileLedger(store)
        rules = Counter(p.rule for f in ledger.all() for p in ledger.problems(f.source, f.path))
        events = Counter(f"{event.object_type} {event.action}" for event in spool.waiting(0, 1_000))
        return events, rules, sorted(status.records for status in ledger.all())


def test_the_ready_made_agent_reads_a_return_once_and_publishes_whom_the_zone_knows(
    agent: Path, schema: SchemaSet
) -> None:
    events, rules, records = scan(agent, schema, locate=True)

    assert events == {"LearnerLookedAfter Add": 2}
    assert records == [0] * 10 + [11]
    assert rules["read-already"] == 10


def test_without_an_answer_of_the_zone_nothing_is_published_and_each_record_says_why(
    agent: Path, schema: SchemaSet
) -> None:
    events, rules, _ = scan(agent, schema, locate=False)

    assert events == {}
    assert (rules["mandatory"], rules["not-located"]) == (11, 1)
