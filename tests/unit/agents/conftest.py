"""Fixtures for the tests of agents."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.spool import Spool
from agents.store import Store
from broker.protocol.identifiers import AgentId
from schemas import SchemaSet, load


@pytest.fixture(scope="session")
def schema() -> SchemaSet:
    """The zone's schemas."""
    return load()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An agent's database."""
    with Store(tmp_path / "state") as made:
        yield made


@pytest.fixture
def spool(store: Store, schema: SchemaSet) -> Spool:
    """The spool of agent mis-1."""
    return Spool(store, AgentId("mis-1"), schema)
