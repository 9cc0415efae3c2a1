"""Whose record a learner is: asked before anything is published, and what follows from answers and later decisions."""

import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

import agents.answers
import agents.connectors
import agents.runtime
from agents import Agent, Limits, NotFinished
from agents.connectors.contract import Item
from agents.files import FileLedger
from agents.learners import Learners, claim_of
from agents.parts import make_parts
from agents.scan import Scanner
from agents.settings import read_settings
from agents.show import status, status_tables
from agents.spool import Spool
from agents.store import Store
from broker.protocol.errors import ConfigurationError
from broker.protocol.identifiers import AgentId, RefId
from broker.protocol.identity import MAX_LEARNERS, Claim, Outcome, Place
from broker.protocol.query import Query
from mappings import InwardMapping, Record, RefIds, Translation
from schemas import SchemaSet, load
from tests.unit.agents.helpers import learner, parse
from tests.unit.agents.ssda903_files import DATA
from tests.unit.agents.zone import Zone, found_as

QUICK = Limits(idle=timedelta(seconds=0.05), patience=timedelta(seconds=20))
SHORT = Limits(idle=timedelta(seconds=0.1), patience=timedelta(seconds=0.6))
PUPILS = "LA Number,Estab Number,Adno,UPN,Legal Surname,Legal Forename,DOB,Sex,Postcode\n"
ENTRIES = "LA Number,Estab Number,UPN,Legal Surname,Legal Forename,DOB,Entry Date,Enrolment Status,Year\n"
FIRST, SECOND, THIRD = (RefId(mark * 32) for mark in "ABC")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an agent look for work more often than it would."""
    monkeypatch.setattr(agents.runtime, "_WAIT", 0.01)
    monkeypatch.setattr(agents.runtime, "_LOOK", 0.005)
    monkeypatch.setattr(agents.answers, "_WAIT", 0.02)


def upn(number: int) -> str:
    return f"A8209901{number:05}"


def pupils(*rows: tuple[int, str]) -> str:
    return PUPILS + "".join(f"820,9901,{n:06},{upn(n)},{name},Zephyrine,02/03/2015,F,QZ5 1AA\n" for n, name in rows)


def entries(*numbers: int) -> str:
    return ENTRIES + "".join(f"820,9901,{upn(n)},Quill,Zephyrine,02/03/2015,03/09/2020,C,6\n" for n in numbers)


class School:
    """An agent with learners in one source, their enrolments in another, and a zone."""

    def __init__(self, folder: Path, zone: Zone, options: str = "locate = true") -> None:
        self.folder, self.zone = folder, zone
        self.file = folder / "mis.toml"
        self.write(options)
        self.pupils((1, "Quill"), (2, "Plume"))
        (folder / "entries.csv").write_text(entries(1, 2))

    def write(self, options: str, more: str = "") -> None:
        self.file.write_text(
            'id = "mis-1"\nsettle = "0s"\n[[source]]\nconnector = "csv"\npath = "entries.csv"\n'
            f'mapping = ["csv/enrolment"]\ncomplete = true\nmax_deletes = "100%"\n{more}'
            '[[source]]\nconnector = "csv"\npath = "pupils.csv"\nmapping = ["csv/learner"]\n'
            f'complete = true\nmax_deletes = "100%"\n{options}\n'
        )

    def pupils(self, *rows: tuple[int, str]) -> None:
        (self.folder / "pupils.csv").write_text(pupils(*rows))

    def run(self, limits: Limits = QUICK) -> list[str]:
        """Run once; return what the zone got of it."""
        before = len(self.zone.taken)
        with self.zone, Agent.from_file(self.file, self.zone.connect) as agent:
            agent.run(once=True, limits=limits)
        return self.zone.whats()[before:]

    def own(self, number: int) -> RefId:
        """Return the RefId that the agent itself makes for a learner."""
        with Store(self.folder / ".mis-1") as store:
            return store.keys.own("LearnerPersonal", (upn(number),))

    def status(self) -> str:
        """Return what ``sifzone agent status`` shows."""
        written = StringIO()
        with Store(self.folder / ".mis-1") as store:
            Console(file=written, width=200).print(*status_tables(status(store, load(), 20)))
        return written.getvalue()

    def learners(self) -> dict[str, int]:
        with Store(self.folder / ".mis-1") as store:
            return Learners(store, Spool(store, AgentId("mis-1"), load())).counts()

    def left_out(self) -> list[str]:
        """Return the files of which it is reported that records were left out."""
        with Store(self.folder / ".mis-1") as store:
            ledger = FileLedger(store)
            found = [p for f in ledger.all() for p in ledger.problems(f.source, f.path)]
        return [problem.position for problem in found if problem.rule == "not-located"]


def adds(learners: int) -> Counter[str]:
    return Counter({"LearnerPersonal Add": learners, "LearnerSchoolEnrolment Add": learners})


def test_what_refers_to_a_learner_has_the_ref_id_that_the_zone_has_for_it(tmp_path: Path) -> None:
    school = School(tmp_path, Zone("mis-1", found_as({upn(1): FIRST})))

    assert Counter(school.run()) == adds(2)
    assert {taken.learner for taken in school.zone.taken} == {FIRST, school.own(2)}
    assert school.learners() == {"found": 1, "new": 1}
    assert school.run() == []
    assert len(school.zone.asked) == 1


def test_nothing_is_published_of_a_learner_before_the_zone_has_said_whose_record_it_is(tmp_path: Path) -> None:
    zone = Zone("mis-1", lambda _claim: None)
    school = School(tmp_path, zone)
    with pytest.raises(NotFinished, match="does not say whose records 2 learners are: it does not answer"):
        school.run(SHORT)
    assert zone.taken == []
    assert school.left_out() == ["entries.csv", "pupils.csv"]

    zone.says = found_as({})
    assert Counter(school.run()) == adds(2)
    assert school.left_out() == []


def test_who_waits_for_a_persons_decision_is_left_out_and_does_not_hold_up_the_others(tmp_path: Path) -> None:
    zone = Zone("mis-1", lambda claim: Place(claim.key, Outcome.WAITING if claim.upn == upn(1) else Outcome.NEW))
    school = School(tmp_path, zone)

    assert Counter(school.run()) == adds(1)
    assert school.learners() == {"new": 1, "waiting": 1}
    shown = school.status()
    assert "somebody at the zone must decide" in shown
    assert "Quill" not in shown

    zone.decide([Place(school.own(1), Outcome.FOUND, FIRST)])
    assert Counter(school.run()) == adds(1)
    assert [taken.learner for taken in zone.taken[-2:]] == [FIRST, FIRST]


def test_a_zone_that_refuses_to_say_is_reported_and_all_else_is_published(tmp_path: Path) -> None:
    school = School(tmp_path, Zone("mis-1", refuses=True))
    school.write(
        "locate = true",
        '[[source]]\nconnector = "csv"\npath = "staff.csv"\nmapping = ["csv/staff"]\n',
    )
    (tmp_path / "staff.csv").write_text("LA Number,Estab Number,Staff Code,Surname,Forename\n820,9901,QU,Fenn,Orla\n")

    with pytest.raises(NotFinished, match="2 learners are: no such command"):
        school.run()
    assert school.zone.whats() == ["WorkforcePersonal Add"]


def test_learners_are_asked_for_in_messages_of_no_more_than_the_zone_takes(tmp_path: Path) -> None:
    school = School(tmp_path, Zone("mis-1"))
    count = MAX_LEARNERS + 20
    school.pupils(*((number, "Quill") for number in range(count)))
    (tmp_path / "entries.csv").unlink()

    assert Counter(school.run()) == {"LearnerPersonal Add": count}
    asked = [claim.key for claims in school.zone.asked for claim in claims]
    assert len(asked) == len(set(asked)) == count
    assert max(map(len, school.zone.asked)) <= MAX_LEARNERS


def test_a_learner_that_is_left_out_is_not_taken_for_deleted(tmp_path: Path) -> None:
    zone = Zone("mis-1", lambda claim: Place(claim.key, Outcome.WAITING))
    school = School(tmp_path, zone, "")
    assert Counter(school.run()) == adds(2)

    school.write("locate = true")
    school.pupils((1, "Quill"))
    # Who is gone is gone; who waits stays as it was published.
    assert school.run() == ["LearnerPersonal Delete"]
    assert zone.taken[-1].ref_id == school.own(2)


def test_what_was_published_before_the_zone_was_asked_moves_to_the_ref_id_of_the_zone(tmp_path: Path) -> None:
    zone = Zone("mis-1", found_as({upn(1): FIRST}))
    school = School(tmp_path, zone, "")
    school.run()
    own = school.own(1)

    school.write("locate = true")
    moved = school.run()
    assert moved[:2] == ["LearnerSchoolEnrolment Delete", "LearnerPersonal Delete"]
    assert Counter(moved[2:]) == adds(1)
    assert [taken.learner for taken in zone.taken[4:]] == [own, own, FIRST, FIRST]


def test_one_that_waits_is_asked_for_again_only_when_what_is_known_of_it_has_changed(tmp_path: Path) -> None:
    zone = Zone("mis-1", lambda claim: Place(claim.key, Outcome.WAITING))
    school = School(tmp_path, zone)
    school.run()
    school.run()
    assert len(zone.asked) == 1

    school.pupils((1, "Quillon"), (2, "Plume"))
    school.run()
    assert [claim.family_name for claim in zone.asked[-1]] == ["Quillon"]

    zone.says = found_as({})
    school.pupils((1, "Quilliam"), (2, "Plume"))
    school.run()
    school.pupils((1, "Quilty"), (2, "Plume"))
    assert school.run() == ["LearnerPersonal Change"]
    assert [claim.family_name for claim in zone.asked[-1]] == ["Quilliam"]


def test_what_the_zone_is_asked_with_is_what_the_learners_object_says() -> None:
    element = learner(
        "<UPN>A820990126001</UPN><FormerUPNList><UPN>B820990126001</UPN></FormerUPNList><ULN>1234567890</ULN>",
        more="<Demographics><Gender>F</Gender><BirthDate>2015-03-02</BirthDate></Demographics>"
        "<Address Type='Current'><PostCode>QZ5 1AA</PostCode></Address>",
    )

    assert claim_of(element, FIRST, locate_only=True) == Claim(
        FIRST, "A820990126001", ("B820990126001",), "1234567890", "Quill", "", date(2015, 3, 2), "F", "QZ5 1AA", True
    )
    assert claim_of(parse("<LearnerPersonal/>"), FIRST, locate_only=False) == Claim(FIRST)


def test_what_the_zone_was_asked_with_is_forgotten_with_its_answer(tmp_path: Path) -> None:
    school = School(tmp_path, Zone("mis-1"))
    school.run()

    with Store(tmp_path / ".mis-1") as store:
        assert store.query("SELECT DISTINCT claim FROM learners") == [("",)]


def test_a_setting_that_asks_for_no_learner_is_refused(tmp_path: Path) -> None:
    school = School(tmp_path, Zone("mis-1"))
    school.write("locate = true", "locate_only = true\n")

    with pytest.raises(ConfigurationError, match="source 1: locate: none of its mappings makes LearnerPersonal"):
        make_parts(read_settings(school.file))


def test_python_asks_for_learners_and_is_told_when_the_zone_has_said(tmp_path: Path) -> None:
    file = tmp_path / "tool.toml"
    file.write_text('id = "mis-1"\n')
    zone = Zone("mis-1", found_as({upn(1): FIRST}))
    claims = [Claim(SECOND, upn(1)), Claim(THIRD, upn(2))]

    with zone, Agent.from_file(file, zone.connect) as agent:
        assert agent.locate(claims) == {SECOND: None, THIRD: None}
        agent.run(once=True, limits=QUICK)
        assert agent.locate(claims) == {
            SECOND: Place(SECOND, Outcome.FOUND, FIRST),
            THIRD: Place(THIRD, Outcome.NEW, THIRD),
        }


# -- decided later --


def test_a_learner_that_gets_another_ref_id_is_deleted_under_the_old_and_added_under_the_new(tmp_path: Path) -> None:
    school = School(tmp_path, Zone("mis-1", found_as({upn(1): FIRST})))
    school.run()
    school.zone.decide([Place(school.own(1), Outcome.FOUND, SECOND)])

    moved = school.run()

    assert moved[:2] == ["LearnerSchoolEnrolment Delete", "LearnerPersonal Delete"]
    assert Counter(moved[2:]) == adds(1)
    assert [taken.learner for taken in school.zone.taken[4:]] == [FIRST, FIRST, SECOND, SECOND]
    old, again = (next(t.ref_id for t in school.zone.taken if t.learner == ref and "Enrol" in t.what)
                  for ref in (FIRST, SECOND))  # fmt: skip
    assert old != again  # what has the learner in its own key has another one, too
    assert school.run() == []


def test_the_same_decision_twice_does_nothing_more(tmp_path: Path) -> None:
    school = School(tmp_path, Zone("mis-1", found_as({upn(1): FIRST})))
    school.run()
    place = Place(school.own(1), Outcome.FOUND, SECOND)
    school.zone.decide([place])
    school.zone.decide([place])

    assert len(school.run()) == 4


def test_one_that_is_nobodys_any_more_gets_back_the_agents_own_ref_id(tmp_path: Path) -> None:
    school = School(tmp_path, Zone("mis-1", found_as({upn(1): FIRST})))
    school.run()
    school.zone.decide([Place(school.own(1), Outcome.NEW, school.own(1))])

    assert len(school.run()) == 4
    assert {taken.learner for taken in school.zone.taken[-2:]} == {school.own(1)}


def test_an_answer_under_way_when_something_else_was_decided_comes_too_late(tmp_path: Path) -> None:
    school = School(tmp_path, Zone("mis-1", found_as({upn(1): FIRST})))
    school.run()
    with Store(tmp_path / ".mis-1") as store:
        learners = Learners(store, Spool(store, AgentId("mis-1"), load()))
        own = store.keys.own("LearnerPersonal", (upn(1),))
        with store.transaction() as db:
            learners.located(db, [Place(own, Outcome.WAITING), Place(THIRD, Outcome.NEW, THIRD)])
        assert learners.state(own) == (Outcome.FOUND, FIRST)
    assert school.run() == []


def test_a_decision_that_cannot_be_read_is_kept_as_failed_with_what_is_wrong(tmp_path: Path) -> None:
    school = School(tmp_path, Zone("mis-1"))
    school.zone.decide([Place(RefId("no"), Outcome.NONE)])
    school.run()

    with Agent.from_file(school.file, school.zone.connect) as agent:
        (failed,) = agent.failed()
    assert "Relocated/Learner[1]/@Key must be 32 upper-case" in failed.reason


@contextmanager
def running(school: School) -> Iterator[None]:
    """Run the school's agent beside what is inside."""
    with Agent.from_file(school.file, school.zone.connect) as agent:
        thread = threading.Thread(target=agent.run)
        thread.start()
        try:
            yield
        finally:
            agent.stop()
            thread.join()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_an_agent_that_runs_publishes_when_the_zone_has_said_and_again_when_it_decides_otherwise(
    tmp_path: Path,
) -> None:
    zone = Zone("mis-1", found_as({upn(1): FIRST}))
    school = School(tmp_path, zone)
    own = school.own(1)

    with running(school):
        with zone:
            until(lambda: len(zone.taken) == 4)
        zone.decide([Place(own, Outcome.FOUND, SECOND)])
        with zone:
            until(lambda: len(zone.taken) == 8)

    assert Counter(zone.whats()[6:]) == adds(1)
    assert {taken.learner for taken in zone.taken[6:]} == {SECOND}


def test_the_zone_is_asked_again_when_the_connection_was_lost_before_it_answered(tmp_path: Path) -> None:
    zone = Zone("mis-1", lambda _claim: None)
    school = School(tmp_path, zone)

    with running(school), zone:
        until(lambda: len(zone.asked) == 1)
        zone.says = found_as({})
        zone.broker.disconnect("mis-1")
        until(lambda: len(zone.taken) == 4)

    assert zone.asked[0] == zone.asked[1]


def test_an_agent_that_is_told_to_ask_no_more_keeps_to_what_it_was_told(tmp_path: Path) -> None:
    school = School(tmp_path, Zone("mis-1", found_as({upn(1): FIRST})))
    school.run()
    school.write("")
    school.pupils((1, "Quilty"), (2, "Plume"))

    assert school.run() == ["LearnerPersonal Change"]
    assert school.zone.taken[-1].ref_id == FIRST


# -- the parts alone --


class Site:
    """A store with its spool, and what scans a school's files beside it."""

    def __init__(self, school: School, schema: SchemaSet) -> None:
        self.settings = read_settings(school.file)
        self.parts = make_parts(self.settings)
        self.store = Store(self.settings.state_folder)
        self.spool = Spool(self.store, self.settings.id, schema)
        self.learners = Learners(self.store, self.spool)
        self.scanner = Scanner(
            self.settings, self.parts, self.store, self.spool, threading.Event(), learners=self.learners
        )

    def scan(self) -> list[str]:
        """Read what there is to read; return what was spooled by it."""
        last = max((event.seq for event in self.spool.waiting(0)), default=0)
        for source in self.parts.sources:
            self.scanner.scan(source)
        return [f"{event.object_type} {event.action}" for event in self.spool.waiting(last)]

    def answer(self, *ref_ids: RefId) -> None:
        """Let the zone find the learners that it is asked for."""
        claims = sorted(self.learners.to_ask(), key=lambda claim: claim.upn)
        places = [Place(claim.key, Outcome.FOUND, ref) for claim, ref in zip(claims, ref_ids, strict=True)]
        with self.store.transaction() as db:
            self.learners.located(db, places)

    def relocate(self, number: int, ref_id: RefId) -> None:
        own = self.store.keys.own("LearnerPersonal", (upn(number),))
        with self.store.transaction() as db:
            self.learners.relocated(db, [Place(own, Outcome.FOUND, ref_id)])


@pytest.fixture
def site(tmp_path: Path, schema: SchemaSet) -> Iterator[Site]:
    made = Site(School(tmp_path, Zone("mis-1")), schema)
    yield made
    made.store.close()


def test_sources_are_not_read_until_the_zone_has_the_deletes(site: Site) -> None:
    site.scan()
    site.answer(FIRST, SECOND)
    assert Counter(site.scan()) == adds(2)
    site.spool.confirmed(site.spool.waiting(0))
    site.relocate(1, THIRD)

    assert site.scan() == []
    assert not Learners(site.store, site.spool).ready()  # as after a restart
    assert [event.action for event in site.spool.waiting(0)] == ["Delete", "Delete"]
    site.spool.confirmed(site.spool.waiting(0))
    assert Counter(site.scan()) == adds(1)


def test_a_decision_is_whole_or_not_at_all(site: Site) -> None:
    site.scan()
    site.answer(FIRST, SECOND)
    site.scan()
    own = site.store.keys.own("LearnerPersonal", (upn(1),))
    before = site.spool.count(), site.spool.published()

    def killed() -> None:
        with site.store.transaction() as db:
            site.learners.relocated(db, [Place(own, Outcome.FOUND, THIRD)])
            assert site.spool.published() != before[1]
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        killed()
    assert (site.spool.count(), site.spool.published()) == before
    assert site.learners.state(own).ref_id == FIRST


def test_a_file_that_is_being_read_when_a_learner_moves_is_read_again_when_the_zone_has_the_deletes(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.scan()
    site.answer(FIRST, SECOND)
    site.scan()
    site.spool.confirmed(site.spool.waiting(0))
    (site.settings.folder / "pupils.csv").write_text(pupils((1, "Quilty"), (2, "Plume")))
    translate = InwardMapping.translate
    moved: list[RefId] = []

    def moves(mapping: InwardMapping, record: Record, ref_ids: RefIds) -> Translation:
        made = translate(mapping, record, ref_ids)
        if made.objects and not moved:
            moved.append(THIRD)
            site.relocate(1, THIRD)
        return made

    monkeypatch.setattr(InwardMapping, "translate", moves)
    assert site.scanner.scan(site.parts.sources[1])  # has to wait

    assert [(event.object_type, event.action) for event in site.spool.waiting(0)] == [
        ("LearnerSchoolEnrolment", "Delete"),
        ("LearnerPersonal", "Delete"),
    ]
    site.spool.confirmed(site.spool.waiting(0))
    assert not site.scanner.scan(site.parts.sources[1])
    (event,) = site.spool.waiting(0)
    assert (event.object_type, event.action, event.routing_key) == ("LearnerPersonal", "Add", THIRD)


def test_a_learner_that_moves_between_the_look_at_the_zone_and_the_first_file_lets_none_be_read(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.scan()
    site.answer(FIRST, SECOND)
    site.scan()
    site.spool.confirmed(site.spool.waiting(0))
    ready = site.learners.ready

    def moves_then() -> bool:
        answer = ready()
        site.relocate(1, THIRD)
        return answer

    monkeypatch.setattr(site.learners, "ready", moves_then)
    assert site.scanner.scan(site.parts.sources[1])
    assert {event.action for event in site.spool.waiting(0)} == {"Delete"}


def test_an_answer_that_comes_while_a_file_is_read_lets_it_be_read_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.scan()
    (site.settings.folder / "entries.csv").write_text(entries(2, 1))
    put = site.spool.pass_over

    def answered(*arguments: object) -> None:
        put(*arguments)  # type: ignore[arg-type]
        if site.learners.to_ask():
            site.learners.located(arguments[0], [  # type: ignore[arg-type]
                Place(claim.key, Outcome.NEW, claim.key) for claim in site.learners.to_ask()
            ])  # fmt: skip

    monkeypatch.setattr(site.spool, "pass_over", answered)
    assert site.scan() == ["LearnerPersonal Add", "LearnerPersonal Add"]
    assert site.scan() == ["LearnerSchoolEnrolment Add", "LearnerSchoolEnrolment Add"]


def test_what_refers_to_a_learner_known_while_it_is_read_goes_after_the_learner(
    tmp_path: Path, schema: SchemaSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    school = School(tmp_path, Zone("mis-1"))
    head, of_entries, of_pupils = school.file.read_text().split("[[source]]")
    school.file.write_text("[[source]]".join((head, of_pupils, of_entries)))
    site = Site(school, schema)
    connector = site.parts.sources[1].connector
    read = connector.read

    def answered(path: Path) -> Iterator[Item]:
        if site.learners.to_ask():
            site.answer(FIRST, SECOND)
        yield from read(path)

    monkeypatch.setattr(connector, "read", answered)
    assert site.scan() == []
    assert site.scan() == ["LearnerPersonal Add"] * 2 + ["LearnerSchoolEnrolment Add"] * 2
    site.store.close()


def test_of_two_files_the_newer_tells_when_both_are_read_again(tmp_path: Path, schema: SchemaSet) -> None:
    school = School(tmp_path, Zone("mis-1"))
    text = school.file.read_text().replace('"pupils.csv"', '"pupils*.csv"').replace("complete = true", "")
    school.file.write_text(text)
    site = Site(school, schema)
    (tmp_path / "pupils.csv").rename(tmp_path / "pupils-1.csv")
    site.scan()
    (tmp_path / "pupils-2.csv").write_text(pupils((1, "Quilty")))
    site.scan()
    site.answer(FIRST, SECOND)

    assert Counter(site.scan()) == adds(2)
    kept = {e.get("RefId"): e.findtext(".//{*}FamilyName") for e in site.spool.kept.find(Query("LearnerPersonal"))}
    assert kept == {FIRST: "Quilty", SECOND: "Plume"}
    site.store.close()


# -- a system that makes no learners --

READY_MADE = Path(agents.connectors.__file__).parents[1] / "social_care" / "social-care.toml"
CHILD = "Q821990112001"


@pytest.fixture
def social_care(tmp_path: Path) -> Path:
    """The ready-made agent of social care beside a return, told to ask the zone."""
    shutil.copytree(DATA / "2026", tmp_path / "return")
    text = READY_MADE.read_text().replace('"../state', '"state').replace('"820" ', '"821" ')
    file = tmp_path / "social-care.toml"
    file.write_text(
        f'settle = "0s"\n{text}as_at = 2025-10-06\n' + ("" if "\nlocate_only" in text else "locate_only = true\n")
    )
    return file


def test_who_asks_for_learners_of_others_by_number_does_not_wait_for_its_own(social_care: Path) -> None:
    zone = Zone("social-care", lambda claim: Place(claim.key, Outcome.NONE))
    (social_care.parent / "pupils.csv").write_text(pupils((1, "Quill")))
    with social_care.open("a") as file:
        file.write('[[source]]\nconnector = "csv"\npath = "pupils.csv"\nmapping = ["csv/learner"]\n')

    with zone, Agent.from_file(social_care, zone.connect) as agent:
        agent.run(once=True, limits=QUICK)

    assert zone.whats() == ["LearnerPersonal Add"]


def test_social_care_publishes_whom_the_zone_knows_and_reports_the_others_by_row(social_care: Path) -> None:
    known = {CHILD: FIRST}

    def says(claim: Claim) -> Place:
        assert claim.locate_only
        ref_id = known.get(claim.upn)
        return Place(claim.key, Outcome.FOUND, RefId(ref_id)) if ref_id else Place(claim.key, Outcome.NONE)

    zone = Zone("social-care", says)

    def run() -> list[str]:
        before = len(zone.taken)
        with zone, Agent.from_file(social_care, zone.connect) as agent:
            agent.run(once=True, limits=QUICK)
        return zone.whats()[before:]

    def rules() -> Counter[str]:
        with Store(read_settings(social_care).state_folder) as store:
            ledger = FileLedger(store)
            return Counter(p.rule for f in ledger.all() for p in ledger.problems(f.source, f.path))

    assert run() == ["LearnerLookedAfter Add"]
    assert zone.taken[0].learner == FIRST
    unknown = rules()["no-such-learner"]
    assert unknown > 0

    late = next(claim.upn for claims in zone.asked for claim in claims if claim.upn not in known)
    known[late] = SECOND
    assert set(run()) == {"LearnerLookedAfter Add"}
    assert zone.taken[-1].learner == SECOND
    assert rules()["no-such-learner"] < unknown
