"""Databases of a virtual school on SQLite and PostgreSQL, and an SMTP server; each test has its own."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from agents.virtual_school.database import Database, open_database
from broker.calendars import Calendars, parse_calendars
from tests.calendars import TERMS_OF_2026
from tests.postgres import running_postgres
from tests.unit.agents.virtual_school.post import PostOffice, running_post_office

CALENDAR = TERMS_OF_2026 + b"inset = [2026-11-13]\n"


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """One database on a cluster of our own, for the run; making one for each test takes most of a second."""
    with running_postgres() as cluster:
        yield cluster.create()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database that belongs to this test alone; PostgreSQL is started only when it is asked for."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/virtual-school.db"
    url: str = request.getfixturevalue("postgres_url")
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    engine.dispose()
    return url


@pytest.fixture
def both(database_url: str) -> Iterator[Database]:
    """A database with its tables, on each of the two."""
    with open_database(database_url, make=True) as made:
        yield made


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with the tables and nothing in them."""
    path = tmp_path_factory.mktemp("prepared") / "virtual-school.db"
    open_database(f"sqlite:///{path}", make=True).close()
    return path


@pytest.fixture
def database(tmp_path: Path, prepared: Path) -> Iterator[Database]:
    """A database on SQLite, for what is the same on both."""
    path = shutil.copy(prepared, tmp_path)
    with open_database(f"sqlite:///{path}", make=False) as made:
        yield made


@pytest.fixture(scope="session")
def calendars() -> Calendars:
    """The calendar of authority 820: school days from September 2026 to July 2027."""
    return parse_calendars({"820": CALENDAR})


@pytest.fixture
def post_office() -> Iterator[PostOffice]:
    """A real SMTP server on loopback that keeps what it is given."""
    with running_post_office() as office:
        yield office
