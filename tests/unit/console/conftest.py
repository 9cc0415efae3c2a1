"""A dictionary of the real schemas, written once."""

import pytest

import schemas
from broker.console import write_dictionary
from tests.unit.console.reading import Pages
from tests.unit.console.samples import MERLIN, VIRTUAL, hostile_agreement


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Pages:
    folder = tmp_path_factory.mktemp("dictionary")
    return Pages(folder, write_dictionary(folder, schemas.load(), (VIRTUAL, MERLIN, hostile_agreement())))
