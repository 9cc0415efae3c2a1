"""What the tests of the schemas share: the loaded set, instances, and how to parse."""

from collections.abc import Callable
from importlib.resources import files

import pytest
from lxml import etree

import schemas
from schemas import source
from tests.instances import instance

Parse = Callable[[str], etree._Element]


@pytest.fixture
def schema() -> schemas.SchemaSet:
    return schemas.load()


@pytest.fixture(scope="session")
def documents() -> dict[str, etree._Element]:
    """The joined schema document of each namespace."""
    folder = files("schemas")
    read = [source.read(folder / name, folder / "common") for name in ("sif_uk_1", "looked_after_1")]
    return {document.get("targetNamespace", ""): document for document in read}


@pytest.fixture
def sample() -> Callable[[str], str]:
    """The text of an instance by name, for example "LearnerPersonal" or "LearnerPersonal.minimal"."""
    return instance


@pytest.fixture
def parse() -> Parse:
    """Parse a document, in which «xmlns» stands for the namespace of the objects."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    namespace = f'xmlns="{schemas.load().namespace_of("LearnerPersonal")}"'
    return lambda text: etree.fromstring(text.replace("«xmlns»", namespace), parser)
