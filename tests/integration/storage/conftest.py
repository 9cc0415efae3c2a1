"""Stores on both databases, and rows to put in; each test has a database of its own."""

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy

from broker.protocol.identifiers import AgentId
from broker.registry import Registered, Registration
from broker.storage import (
    CareRow,
    EnrolmentRow,
    FetchRow,
    Held,
    HoldingRow,
    LearnerRow,
    LedgerRow,
    Outcome,
    Store,
    make_key,
    open_store,
)
from tests.postgres import Postgres, running_postgres

NOON = 1_790_000_000.0
SOURCE = "mis-8209901"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One cluster for the run."""
    with running_postgres() as cluster:
        yield cluster


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database that belongs to this test alone; PostgreSQL is started only when it is asked for."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/zone.db"
        return
    cluster: Postgres = request.getfixturevalue("postgres")
    url = cluster.create()
    yield url
    cluster.drop(url)


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "zone.key"
    make_key(path)
    return path


@pytest.fixture
def store(database_url: str, key_file: Path) -> Iterator[Store]:
    with open_store(database_url, key_file) as opened:
        yield opened


@pytest.fixture
def other_store(store: Store, database_url: str, key_file: Path) -> Iterator[Store]:
    """A second store on the same database, as another process has it."""
    assert store
    with open_store(database_url, key_file, lock_wait=0.2) as opened:
        yield opened


def register(store: Store, agent: str, version: str = "2.4", at: float = NOON) -> None:
    """Let *agent* register."""
    registration = Registration(AgentId(agent), agent.title(), version, at)
    store.change_registry(lambda _live: (None, (Registered(registration),)))


@pytest.fixture
def admin(store: Store, database_url: str) -> Iterator[sqlalchemy.Engine]:
    """A connection past the store, as somebody with the database's own tools has it."""
    assert store
    engine = sqlalchemy.create_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def scalar(admin: sqlalchemy.Engine) -> Callable[[str], object]:
    """Ask the database itself for one value."""

    def ask(question: str) -> object:
        with admin.connect() as connection:
            return connection.execute(sqlalchemy.text(question)).scalar_one()

    return ask


def verdict(msg_id: str, outcome: Outcome = "accepted", considered: int = 0, at: float = NOON) -> LedgerRow:
    """Make the row that says what became of a message."""
    return LedgerRow(
        at=at,
        msg_id=msg_id,
        source=SOURCE,
        outcome=outcome,
        object_type="LearnerPersonal",
        action="Change",
        ref_id="D" * 32,
        considered=considered,
        sha256="0" * 64,
    )


def routed(msg_id: str, seq: int, audience: tuple[str, ...], outcome: Outcome = "delivered") -> LedgerRow:
    """Make a row that says who was delivered a message, or from whom it was withheld."""
    return LedgerRow(
        at=NOON,
        msg_id=msg_id,
        source=SOURCE,
        outcome=outcome,
        seq=seq,
        object_type="LearnerPersonal",
        action="Change",
        ref_id="D" * 32,
        audience=audience,
        view="learning-platform-accounts" if outcome == "delivered" else "",
        reason="" if outcome == "delivered" else "no-agreement",
        sha256="1" * 64,
    )


def learner(ref_id: str = "A" * 32, care_authority: str = "") -> LearnerRow:
    """Make a learner with everything that a row can hold."""
    return LearnerRow(
        ref_id=ref_id,
        upn_key=b"\x00\xff" * 16,
        in_care=bool(care_authority),
        care_authority=care_authority,
        home_authority="820",
        shielded=True,
        enrolments=(
            EnrolmentRow("E" * 32, "8209901", "2025-09-01", "2026-07-22"),
            EnrolmentRow("F" * 32, "8209902", "2026-09-01", main=True),
        ),
        sources=(("LearnerPersonal", SOURCE), ("LearnerSchoolEnrolment", "mis-8209902")),
        local_id="7-1",
        adopted=True,
        care=(
            CareRow("1" * 32, "2024-05-07", "2025-04-09", "820", "CE", current=False),
            CareRow("2" * 32, "2026-09-01", "", "", "LA", current=True),
        ),
        destinations=("", "8209903"),
        holdings=(
            HoldingRow("LearnerPersonal", ref_id, (SOURCE, "mis-8209902"), (("library", "a"), ("merlin", "a+b"))),
            HoldingRow("LearnerAttendanceSummary", f"{ref_id}|2026|1", (SOURCE,), ()),
        ),
        fetches=(
            FetchRow("LearnerPersonal", SOURCE, ("merlin", "virtual-school"), "", False, 2, NOON + 0.25, ()),
            FetchRow("LearnerContact", SOURCE, ("merlin",), "3" * 32, True, 0, 0.0, ("4" * 32, "5" * 32)),
        ),
    )


def held(msg_id: str = "M1", body: bytes = b"<SIF_Message/>", at: float = NOON) -> Held:
    """Make a refused message for quarantine."""
    return Held(
        id=uuid4().hex,
        at=at,
        source=SOURCE,
        msg_id=msg_id,
        reason="refused",
        body=body,
        object_type="LearnerPersonal",
        action="Add",
        category=1,
        code=6,
        summary="UPN: the check letter is wrong",
        findings=({"path": "LearnerPersonal/UPN", "line": 7, "rule": "upn-check", "message": "ask the school"},),
    )
