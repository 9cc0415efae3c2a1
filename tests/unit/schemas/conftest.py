"""What the tests of the schemas share: the loaded set and the instances in tests/data/sif_uk."""

from collections.abc import Callable
from pathlib import Path

import pytest
from lxml import etree

import schemas

DATA = Path(__file__).parents[2] / "data" / "sif_uk"

Parse = Callable[[str], etree._Element]


@pytest.fixture
def schema() -> schemas.SchemaSet:
    return schemas.load()


@pytest.fixture
def sample() -> Callable[[str], str]:
    """The text of an instance by name, for example "LearnerPersonal" or "LearnerPersonal.minimal"."""
    return lambda name: (DATA / f"{name}.xml").read_text(encoding="utf-8").partition("?>")[2].lstrip()


@pytest.fixture
def parse() -> Parse:
    """Parse a document, in which «xmlns» stands for the namespace of the objects."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    namespace = f'xmlns="{schemas.load().namespace}"'
    return lambda text: etree.fromstring(text.replace("«xmlns»", namespace), parser)
