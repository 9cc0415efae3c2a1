"""What the tests of mappings share: made-up records, RefIds that a reader can predict, a kept set of objects."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from mappings import InwardMapping, OutwardMapping, Record, load

DATA = Path(__file__).parents[2] / "data" / "mappings"


class HashedRefIds:
    """RefIds as hashes, without a key."""

    def ref_id(self, object_type: str, key: tuple[str, ...]) -> str:
        return hashlib.md5("\x1f".join((object_type, *key)).encode(), usedforsecurity=False).hexdigest().upper()


class Kept:
    """Objects in memory, as an agent keeps them."""

    def __init__(self, *elements: etree._Element) -> None:
        self._elements = {(etree.QName(e).localname, e.get("RefId")): e for e in elements}

    def get(self, object_type: str, ref_id: str) -> etree._Element | None:
        return self._elements.get((object_type, ref_id))

    def all(self, object_type: str) -> Iterator[etree._Element]:
        return (element for (kind, _), element in self._elements.items() if kind == object_type)


def record_of(values: Mapping[str, Any], parent: Record | None = None) -> Record:
    """Return the record that a JSON file holds."""
    groups: dict[str, tuple[Record, ...]] = {}
    record = Record(values["position"], values["fields"], groups, parent)
    groups.update(
        {name: tuple(record_of(m, record) for m in members) for name, members in values.get("groups", {}).items()}
    )
    return record


@pytest.fixture(scope="session")
def ref_ids() -> HashedRefIds:
    return HashedRefIds()


@pytest.fixture
def kept() -> type[Kept]:
    return Kept


@pytest.fixture(scope="session")
def read_record() -> Callable[[str], Record]:
    return lambda name: record_of(json.loads((DATA / f"{name}.json").read_text("utf-8")))


@pytest.fixture
def inward(tmp_path: Path) -> Callable[[str], InwardMapping]:
    """Return what makes an inward mapping of a text."""

    def make(text: str) -> InwardMapping:
        path = tmp_path / "ours.toml"
        path.write_text(text, "utf-8")
        mapping = load(path)
        assert isinstance(mapping, InwardMapping)
        return mapping

    return make


@pytest.fixture
def outward(tmp_path: Path) -> Callable[[str], OutwardMapping]:
    """Return what makes an outward mapping of a text."""

    def make(text: str) -> OutwardMapping:
        path = tmp_path / "ours.toml"
        path.write_text(text, "utf-8")
        mapping = load(path)
        assert isinstance(mapping, OutwardMapping)
        return mapping

    return make
