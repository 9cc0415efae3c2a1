"""The outbox of transfer files: each LearnerTransfer its file, once, whatever happens; and what is told of it."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from lxml import etree
from typer.testing import CliRunner

from agents.cli import app as agent_app
from agents.connectors.contract import NoOptions, PublishingTarget, TargetError
from agents.connectors.ctf import CtfOptions, CtfSource
from agents.connectors.ctf_out import TAKEN, ctf_schema
from agents.connectors.ctf_out.target import NAME, CtfOutTarget
from agents.ctf_out.cli import app
from agents.desk import StoreDesk
from agents.inbox import Inbox, KeptObjects
from agents.spool import Spool
from agents.store import Store
from broker.protocol.envelope import LOOKED_AFTER, Action, EventObject, event_objects, local_name, parse_message
from broker.protocol.errors import ConfigurationError
from broker.protocol.identifiers import AgentId
from mappings import Record
from schemas import SchemaSet
from tests.unit.agents.ctf_files import HERE, SCHOOLS, THERE
from tests.unit.agents.helpers import parse

CHILD, OTHER = "C" * 31 + "1", "C" * 31 + "2"
CASE, OTHER_CASE = "7" * 31 + "1", "7" * 31 + "2"
AUTHORITY = "8" * 32
FIRST, SECOND = "8209901_CTF_8379902_001.xml", "8209901_CTF_8379902_002.xml"
XPATH = {"l": LOOKED_AFTER}


def child(ref_id: str = CHILD, upn: str = "X820990119007") -> etree._Element:
    person = "<Name Type='C'><FamilyName>Thornquist</FamilyName><GivenName>Maëlys</GivenName></Name>"
    born = "<Demographics><Gender>F</Gender><BirthDate>2014-11-23</BirthDate></Demographics>"
    number = f"<UPN>{upn}</UPN>" if upn else ""
    return parse(
        f"<LearnerPersonal RefId='{ref_id}'><PersonalInformation>{person}{born}</PersonalInformation>{number}"
        "</LearnerPersonal>"
    )


def care(inner: str = "", ref_id: str = CHILD) -> etree._Element:
    return etree.fromstring(
        f"<LearnerLookedAfter xmlns='{LOOKED_AFTER}' RefId='{'9' * 32}' LearnerPersonalRefId='{ref_id}' "
        f"LAInfoRefId='{AUTHORITY}'><Current>Yes</Current><CareStatus>LA</CareStatus>{inner}</LearnerLookedAfter>"
    )


def ends(establishment: str) -> str:
    return f"<LAId>{establishment[:3]}</LAId><EstablishmentId>{establishment[3:]}</EstablishmentId>"


def transfer(
    status: str = "NT",
    to: str = THERE,
    source: str = HERE,
    history: Iterable[str] = (),
    ref_id: str = CASE,
    learner: str = CHILD,
    ctf: str = "",
) -> etree._Element:
    """Return a LearnerTransfer as the zone has it."""
    begins = f"<FromEstablishment>{ends(source)}</FromEstablishment>" if source else ""
    leads = f"<ToEstablishment>{ends(to)}</ToEstablishment>" if to else ""
    steps = "".join(
        f"<StatusChange Status='{step}' DateTime='2026-10-06T14:22:31Z' Actor='zone'/>" for step in (*history, status)
    )
    file = f"<CTF><FileName>{ctf}</FileName></CTF>" if ctf else ""
    return etree.fromstring(
        f"<LearnerTransfer xmlns='{LOOKED_AFTER}' RefId='{ref_id}' LearnerPersonalRefId='{learner}'>{begins}{leads}"
        f"<TransferType>SC</TransferType><LookedAfterAtTransfer>Yes</LookedAfterAtTransfer>{file}"
        f"<Status>{status}</Status><StatusHistoryList>{steps}</StatusHistoryList></LearnerTransfer>"
    )


WHOLE = (
    *SCHOOLS,
    parse(f"<LAInfo RefId='{AUTHORITY}'><LAId>836</LAId><LAName>Madeupshire</LAName></LAInfo>"),
    child(),
    care(),
)


class Office:
    """The agent without its transport: real database, spool and outbox."""

    def __init__(self, store: Store, spool: Spool, schema: SchemaSet, outbox: Path) -> None:
        self.store, self.spool, self.outbox, self._inbox = store, spool, outbox, Inbox(store, schema)
        self.start()

    def start(self) -> None:
        """Start anew, as after a kill."""
        self.target = CtfOutTarget(self.outbox, (), NoOptions())
        self.desk = StoreDesk(self.store, self.spool, NAME)
        self.target.attach(self.desk)

    def receive(self, *elements: etree._Element, action: Action = Action.ADD) -> None:
        with self.store.transaction() as db:
            for element in elements:
                self._inbox.apply(db, EventObject(local_name(element), action, element))

    def write(self) -> None:
        with self.store.snapshot() as db:
            self.target.write(KeptObjects(db))

    def files(self) -> list[str]:
        return sorted(path.name for path in self.outbox.glob("[!.]*.xml"))

    def take(self, name: str) -> None:
        (self.outbox / name).rename(self.outbox / TAKEN / name)

    def told(self) -> list[tuple[str, str, str]]:
        """Return what is in the spool: which case, status, file."""
        return [
            (e.get("RefId", ""), e.findtext("l:Status", "", XPATH), e.findtext("l:CTF/l:FileName", "", XPATH))
            for e in self.events()
        ]

    def events(self) -> list[etree._Element]:
        found = [event for spooled in self.spool.waiting(0) for event in event_objects(parse_message(spooled.body))]
        assert all(event.action is Action.CHANGE for event in found)
        return [event.element for event in found]

    def waits(self) -> list[str]:
        return [name for name in self.desk.words() if name.startswith("waits ")]


@pytest.fixture
def office(store: Store, spool: Spool, schema: SchemaSet, tmp_path: Path) -> Office:
    made = Office(store, spool, schema, tmp_path / "outbox")
    made.receive(*WHOLE)
    return made


def test_a_transfer_of_a_looked_after_learner_becomes_a_file_and_sent_is_told_once(
    office: Office, schema: SchemaSet
) -> None:
    office.receive(transfer())

    office.write()
    office.write()
    office.start()
    office.write()

    assert office.files() == [FIRST]
    ctf_schema().assertValid(etree.parse(office.outbox / FIRST))
    (pupil,) = CtfSource(CtfOptions()).read(office.outbox / FIRST)
    assert isinstance(pupil, Record)
    assert pupil.fields["UPN"] == "X820990119007"
    assert (pupil.fields["LookedAfter/InCare"], pupil.fields["LookedAfter/CareAuthority"]) == ("true", "836")
    (event,) = office.events()
    assert schema.check(event, partial=True) == ()
    assert [(local_name(e), e.text) for e in event.iter() if not len(e)][1:] == [
        ("Version", "25.0"),
        ("Qualifier", "full"),
        ("SHA256", pupil.fields["File/SHA256"]),
        ("PupilCount", "1"),
        ("Status", "SE"),
    ]
    assert office.told() == [(CASE, "SE", FIRST)]
    assert office.spool.waiting(0)[0].routing_key == CHILD


def test_who_is_due_at_the_same_time_to_the_same_school_is_in_one_file(office: Office) -> None:
    office.receive(child(OTHER, "J93899992301A"), transfer(), transfer(ref_id=OTHER_CASE, learner=OTHER))

    office.write()

    assert office.files() == [FIRST]
    assert office.told() == [(CASE, "SE", FIRST), (OTHER_CASE, "SE", FIRST)]


def test_however_many_files_are_written_each_type_of_object_is_read_once(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.receive(child(OTHER, "J93899992301A"), transfer(), transfer(to="8369903", ref_id=OTHER_CASE, learner=OTHER))
    read: list[str] = []
    real = KeptObjects.all

    def noted(kept: KeptObjects, object_type: str) -> Iterator[etree._Element]:
        read.append(object_type)
        return real(kept, object_type)

    monkeypatch.setattr(KeptObjects, "all", noted)

    office.write()

    assert office.files() == ["8209901_CTF_8369903_001.xml", FIRST]
    assert {name for name in read if read.count(name) > 1} <= {"LearnerTransfer"}


@pytest.mark.parametrize("status", ["PL", "LD", "CM", "CA"])
def test_what_is_only_planned_or_over_gets_no_file(office: Office, status: str) -> None:
    office.receive(transfer(status))

    office.write()

    assert (office.files(), office.told(), office.waits()) == ([], [], [])


def test_a_transfer_without_a_destination_gets_a_file_once_it_has_one(office: Office) -> None:
    office.receive(transfer(to=""))
    office.write()
    assert (office.files(), office.waits()) == ([], [])

    office.receive(transfer("UN", to="XXXXXXX"), action=Action.CHANGE)
    office.write()
    office.receive(transfer("LP", to=THERE), action=Action.CHANGE)
    office.write()
    office.write()

    assert office.files() == [FIRST, "8209901_CTF_XXXXXXX_001.xml"]
    assert office.told() == [(CASE, "SE", "8209901_CTF_XXXXXXX_001.xml"), (CASE, "SE", FIRST)]


def test_a_learner_who_left_the_sector_has_a_file_that_says_so(office: Office) -> None:
    office.receive(transfer(to="MMMMMMM"))

    office.write()

    assert office.files() == ["8209901_CTF_MMMMMMM_001.xml"]


def test_each_rejection_leads_to_one_further_attempt(office: Office) -> None:
    office.receive(transfer())
    office.write()
    office.receive(transfer("RJ", history=["NT", "CP", "SE", "DE"], ctf=FIRST), action=Action.CHANGE)
    office.write()
    office.write()
    office.receive(transfer("SE", history=["NT", "CP", "SE", "DE", "RJ", "CP"], ctf=SECOND), action=Action.CHANGE)
    office.write()

    assert office.files() == [FIRST, SECOND]
    assert office.told() == [(CASE, "SE", FIRST), (CASE, "SE", SECOND)]


def test_a_file_that_somebody_else_has_sent_there_is_not_sent_again(office: Office) -> None:
    office.receive(transfer("SE", ctf="8209901_CTF_8379902_077.xml"))
    office.write()
    assert office.files() == []

    office.receive(transfer("SE", to="8369903", ctf="8209901_CTF_8379902_077.xml"), action=Action.CHANGE)
    office.write()
    assert office.files() == ["8209901_CTF_8369903_001.xml"]


# kills


class Killed(BaseException):
    """Stands for a kill: nothing after it happens."""


def kill(*_: object) -> None:
    raise Killed


def test_killed_between_the_file_and_the_note_nothing_is_doubled_and_nothing_lost(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.receive(transfer())

    monkeypatch.setattr(StoreDesk, "keep", kill)
    with pytest.raises(Killed):
        office.write()
    monkeypatch.undo()
    assert (office.files(), office.told()) == ([FIRST], [])
    content = (office.outbox / FIRST).read_bytes()
    office.take(FIRST)  # the program that uploads does not wait for the agent

    office.start()
    office.write()

    assert office.files() == []
    assert (office.outbox / TAKEN / FIRST).read_bytes() == content
    assert office.told() == [(CASE, "SE", FIRST), (CASE, "DE", FIRST)]


def test_killed_before_the_file_has_its_name_it_is_finished_under_that_name(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.receive(transfer())
    real = Path.rename

    def rename(path: Path, to: Path) -> Path:
        if path.suffix == ".xml":
            raise Killed
        return real(path, to)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(Killed):
        office.write()
    monkeypatch.undo()
    assert office.files() == []

    office.start()
    office.write()

    assert office.files() == [FIRST]
    assert office.told() == [(CASE, "SE", FIRST)]


def test_killed_before_the_receipt_the_file_is_made_anew_under_the_same_number(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.receive(transfer())

    monkeypatch.setattr("agents.connectors.ctf_out.outbox._write_named", kill)
    with pytest.raises(Killed):
        office.write()
    monkeypatch.undo()

    office.start()
    office.write()

    assert office.files() == [FIRST]
    assert office.told() == [(CASE, "SE", FIRST)]


def test_an_outbox_that_cannot_be_written_is_an_error_and_written_later(office: Office) -> None:
    office.receive(transfer())
    office.outbox.touch()
    with pytest.raises(TargetError, match="rights"):
        office.write()

    office.outbox.unlink()
    office.write()

    assert office.told() == [(CASE, "SE", FIRST)]


# what was taken


def test_a_file_that_was_taken_is_delivered_and_told_once(office: Office) -> None:
    office.receive(transfer())
    office.write()
    assert not office.target.is_due()

    office.take(FIRST)
    assert office.target.is_due()
    office.write()
    office.write()

    assert office.told() == [(CASE, "SE", FIRST), (CASE, "DE", FIRST)]
    assert not office.target.is_due()


@pytest.mark.parametrize("status", ["LD", "RJ", "gone"])
def test_a_file_that_was_taken_late_is_not_told_of_a_case_that_went_on(office: Office, status: str) -> None:
    office.receive(transfer())
    office.write()
    if status == "gone":
        office.receive(transfer(), action=Action.DELETE)
    else:
        office.receive(transfer(status, history=["NT", "SE"]), action=Action.CHANGE)

    office.take(FIRST)
    office.write()

    assert (CASE, "DE", FIRST) not in office.told()


def test_a_case_that_comes_again_after_its_delete_has_its_file_already(office: Office) -> None:
    office.receive(transfer())
    office.write()
    office.receive(transfer(), child(), action=Action.DELETE)
    office.write()
    office.receive(child(), transfer())
    office.write()

    assert office.told() == [(CASE, "SE", FIRST)]


# what cannot be written


def waiting(office: Office) -> dict[str, list[str]]:
    words = (text for name, text in office.desk.words().items() if name.startswith("waits "))
    found = [re.findall(r'\["([^"]+)","', text) for text in words]
    return dict(zip([name.removeprefix("waits ") for name in office.waits()], found, strict=True))


def test_what_is_missing_is_said_by_refid_and_element_and_the_others_go_on(office: Office) -> None:
    office.receive(child(OTHER, ""), transfer(), transfer(ref_id=OTHER_CASE, learner=OTHER))

    with structlog.testing.capture_logs() as logs:
        office.write()
        office.write()

    assert office.told() == [(CASE, "SE", FIRST)]
    assert waiting(office) == {OTHER_CASE: ["Pupil/UPN"]}
    (warning,) = [line for line in logs if line["event"] == "ctf_not_written"]
    assert (warning["ref_id"], warning["missing"]) == (OTHER_CASE, ["Pupil/UPN"])
    assert "Thornquist" not in str(logs)

    office.receive(child(OTHER, "J93899992301A"), action=Action.CHANGE)
    office.write()

    assert office.told()[1:] == [(OTHER_CASE, "SE", SECOND)]
    assert waiting(office) == {}


def test_what_waits_is_logged_when_it_begins_to_and_not_again_with_the_next(office: Office) -> None:
    office.receive(child(ref_id=OTHER, upn=""), transfer(ref_id=OTHER_CASE, learner=OTHER))
    office.write()

    office.receive(transfer(source=""))
    with structlog.testing.capture_logs() as logs:
        office.write()

    assert [line["ref_id"] for line in logs if line["event"] == "ctf_not_written"] == [CASE]


@pytest.mark.parametrize(
    ("arrived", "elements"),
    [
        ([transfer(source="")], ["LearnerTransfer/FromEstablishment"]),
        ([transfer(to=HERE)], ["LearnerTransfer/ToEstablishment"]),
        ([transfer(status="")], ["LearnerTransfer/Status"]),
        ([transfer(learner=OTHER)], ["Pupil"]),
        ([transfer(source="8289999")], ["Header/SourceSchool/SchoolName"]),
        ([transfer(source="XXXXXXX")], ["Header"]),
        ([transfer(), care("<ShieldCode>A</ShieldCode>")], ["Pupil"]),
    ],
    ids=["no-source", "same-school", "no-status", "no-learner", "school-not-here", "source-not-known", "withheld"],
)
def test_what_asks_for_a_file_and_can_have_none_waits(
    office: Office, arrived: list[etree._Element], elements: list[str]
) -> None:
    office.receive(*arrived)

    with structlog.testing.capture_logs() as logs:
        office.write()

    assert (office.files(), office.told()) == ([], [])
    assert waiting(office) == {CASE: elements}
    assert not re.search("shield|adopt", f"{logs}{office.desk.words()}", re.IGNORECASE)


# as a whole


def target_file(folder: Path, target: str = 'path = "out"') -> Path:
    file = folder / "ctf-out.toml"
    file.write_text(f'id = "ctf-out"\n[target]\nconnector = "ctf-out"\nevery = "1m"\n{target}\n')
    return file


def run(command: Any, *arguments: str | Path, code: int = 0) -> str:
    result = CliRunner().invoke(command, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result.output


def test_the_agents_file_is_checked(tmp_path: Path) -> None:
    assert "right (agent ctf-out" in run(agent_app, "check", target_file(tmp_path), "--offline")
    assert "its outbox" in run(agent_app, "check", target_file(tmp_path, ""), "--offline", code=2)
    mapping = 'path = "out"\nmapping = ["oneroster/orgs"]'
    assert "leave out mapping" in run(agent_app, "check", target_file(tmp_path, mapping), "--offline", code=2)
    assert isinstance(CtfOutTarget(tmp_path, (), NoOptions()), PublishingTarget)


def test_without_an_agent_it_writes_nothing(tmp_path: Path, office: Office) -> None:
    target = CtfOutTarget(tmp_path / "other", (), NoOptions())
    with office.store.snapshot() as db, pytest.raises(ConfigurationError, match="sifzone agent run"):
        target.write(KeptObjects(db))


def test_status_shows_files_and_what_waits_without_personal_data(tmp_path: Path, schema: SchemaSet) -> None:
    file = target_file(tmp_path)
    assert "has not run yet" in run(app, "status", file, code=2)
    with Store(tmp_path / ".ctf-out") as store:
        office = Office(store, Spool(store, AgentId("ctf-out"), schema), schema, tmp_path / "out")
        office.receive(*WHOLE, child(OTHER, ""), transfer(), transfer(ref_id=OTHER_CASE, learner=OTHER))
        office.write()

    output = run(app, "status", file)
    assert all(word in output for word in (FIRST, "in the outbox", OTHER_CASE, "Pupil/UPN", "temporary one"))
    assert "Thornquist" not in output
    (tmp_path / "out" / FIRST).unlink()
    assert "gone" in run(app, "status", file)
    assert f'"transfer": "{OTHER_CASE}"' in run(app, "status", file, "--json")
