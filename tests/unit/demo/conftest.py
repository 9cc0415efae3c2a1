"""The demo's exports of both days, read and mapped as the schools' agents do it; made once for the run."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import schemas
from agents.parts import make_parts
from agents.settings import read_settings
from deploy.demo.generate import write
from mappings import MappedObject, Record, RowProblem

ROOT = Path(__file__).resolve().parents[3]
ZONE = ROOT / "deploy" / "demo" / "zone"
MIS = ("mis-8209901", "mis-8209902", "mis-8209903")


@dataclass(frozen=True, slots=True)
class Made:
    """An object that an agent made, from where."""

    agent: str
    file: str
    position: str
    object: MappedObject

    @property
    def is_valid(self) -> bool:
        return schemas.load().check(self.object.element, partial=False) == ()


@dataclass(frozen=True, slots=True)
class Day:
    """One day's export below *folder*, what is expected of it, and what mapping it gave."""

    folder: Path
    expected: dict[str, Any]
    made: tuple[Made, ...]
    problems: tuple[tuple[str, str, RowProblem], ...]

    def files(self, school: str) -> list[Path]:
        return sorted(p for p in (self.folder / "schools" / school).rglob("*") if p.is_file())

    def objects(self, object_type: str) -> list[Made]:
        return [made for made in self.made if made.object.object_type == object_type]


class PlainRefIds:
    """RefIds of a secret that is none."""

    def __init__(self, agent: str) -> None:
        self._agent = agent

    def ref_id(self, object_type: str, key: tuple[str, ...]) -> str:
        return hashlib.sha256(repr((self._agent, object_type, key)).encode()).hexdigest()[:32].upper()


@pytest.fixture(scope="session")
def first_day(tmp_path_factory: pytest.TempPathFactory) -> Day:
    return read_day(tmp_path_factory.mktemp("first-day"), changed=False)


@pytest.fixture(scope="session")
def next_day(tmp_path_factory: pytest.TempPathFactory) -> Day:
    return read_day(tmp_path_factory.mktemp("next-day"), changed=True)


def read_day(folder: Path, *, changed: bool) -> Day:
    write(folder, changed=changed)
    made: list[Made] = []
    problems: list[tuple[str, str, RowProblem]] = []
    for agent in MIS:
        for source in make_parts(read_settings(ZONE / "agents" / f"{agent}.toml")).sources:
            path = (folder / "agents" / source.settings.path).resolve()
            for file in sorted(path.parent.glob(path.name)):
                name = str(file.relative_to(folder / "schools" / agent.removeprefix("mis-")))
                for record in source.connector.read(file):
                    if not isinstance(record, Record):
                        continue
                    for mapping in source.mappings:
                        found = mapping.translate(record, PlainRefIds(agent))
                        made += [Made(agent, name, record.position, o) for o in found.objects]
                        problems += [(agent, name, problem) for problem in found.problems]
    return Day(folder, json.loads((folder / "expected.json").read_text("utf-8")), tuple(made), tuple(problems))
