"""Damaged mapping files are refused with places, and never raise anything else.

The short form runs in the suite; SIFZONE_LONG=1 runs the long one, of 10,000 files.
"""

import os
import random
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from mappings import InwardMapping, MappingError, Problem, Record, load, shipped_names
from mappings.packs import read_pack
from mappings.shelves import LIBRARY

LONG = os.environ.get("SIFZONE_LONG") == "1"
ROUNDS: Final = 200 if LONG else 6
SEEDS: Final = 50  # 50 tests of so many rounds each
PACK: Final = b'name = "ours"\ntitle = "t"\nversion = "1"\n[[source]]\nconnector = "csv"\nmapping = ["csv/learner"]\n'
OVER: Final = (
    b'base = "csv/learner"\n[fields]\n"UPN" = false\n"HomeLA" = { const = "820" }\n[lists."FormerUPNList/UPN"]\n'
)
WORDS: Final = (
    *("from", "const", "ref", "key", "each", "split", "columns", "rows", "base", "when", "codes"),
    *("A/B", "/", "#", "a:b"),
)
VALUES: Final = (
    *("true", "false", "7", "-1.5", "inf", "1979-05-27", '""', '"x"', '"../x"', "'''\nx'''", '"{1-999}"'),
    *("[]", "[[]]", "{}", "[{}]", '["A", 7]', '{ from = "A" }', "{ not = [] }", '{ ref = "SchoolInfo" }'),
    '[{ A = "B {1-3}" }]',
)

Damage = Callable[[random.Random, bytes], bytes]


def _flip(chance: random.Random, text: bytes) -> bytes:
    changed = bytearray(text)
    for _ in range(chance.randint(1, 4)):
        changed[chance.randrange(len(changed))] = chance.choice([chance.randrange(256), *b"[]{}\"'=.#,\n/"])
    return bytes(changed)


def _truncate(chance: random.Random, text: bytes) -> bytes:
    return text[: chance.randrange(len(text))]


def _repeat_line(chance: random.Random, text: bytes) -> bytes:
    lines = text.splitlines(keepends=True)
    lines.insert(chance.randrange(len(lines)), chance.choice(lines))
    return b"".join(lines)


def _delete_lines(chance: random.Random, text: bytes) -> bytes:
    lines = text.splitlines(keepends=True)
    del lines[(start := chance.randrange(len(lines))) : start + chance.randint(1, 3)]
    return b"".join(lines)


def _swap_value(chance: random.Random, text: bytes) -> bytes:
    """Put another value in the place of one: what stands behind an equals sign, or a text in quotes."""
    places = list(re.finditer(rb'(?<== )[^\n]+|"[^"\n]*"', text))
    if not places:
        return text
    place = chance.choice(places)
    return text[: place.start()] + chance.choice(VALUES).encode() + text[place.end() :]


def _add_line(chance: random.Random, text: bytes) -> bytes:
    lines = text.splitlines(keepends=True)
    key = chance.choice([*WORDS, *(re.findall(rb'^"?([^"=\n]+)"? =', text, re.MULTILINE) or [b"x"])])
    name = key if isinstance(key, bytes) else key.encode()
    lines.insert(chance.randrange(len(lines) + 1), b'"%s" = %s\n' % (name, chance.choice(VALUES).encode()))
    return b"".join(lines)


DAMAGES: Final[tuple[Damage, ...]] = (
    _flip,
    _truncate,
    _repeat_line,
    _delete_lines,
    _swap_value,
    _swap_value,
    _add_line,
    _add_line,
)


@cache
def _originals() -> tuple[tuple[str, bytes, str], ...]:
    """Return the file's place below a folder, its bytes, and the mapping by which it is read; none: it is a pack."""
    found = [(f"{name}.toml", (LIBRARY / f"{name}.toml").read_bytes(), name) for name in shipped_names()]
    for path in sorted(LIBRARY.glob("*/keys.toml")):
        readers = [
            name for name, text in ((n, t) for _, t, n in found) if f'"{path.parent.name}/keys"'.encode() in text
        ]
        found += [(f"{path.parent.name}/keys.toml", path.read_bytes(), readers[0])] if readers else []
    for path in sorted((LIBRARY / "codes").glob("*.toml")):
        readers = [name for _, text, name in found if f'codes = "{path.stem}"'.encode() in text]
        found += [(f"codes/{path.name}", path.read_bytes(), readers[0])] if readers else []
    return (*found, *[("ours/pack.toml", PACK, ""), ("ours/over.toml", OVER, "ours/over")] * 5)


def _read(folder: Path, mapping: str) -> None:
    if not mapping:
        read_pack(folder / "ours")
        return
    found = load(mapping, [folder])
    if isinstance(found, InwardMapping):
        found.translate(Record("row 1", {"UPN": "X820990119007", "Surname": "Thornquist"}), _RefIds())


class _RefIds:
    def ref_id(self, object_type: str, key: tuple[str, ...]) -> str:
        return f"{object_type}{key}"


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_damaged_file_is_read_or_refused_with_the_place_of_every_problem(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    for number in range(ROUNDS):
        place, text, mapping = chance.choice(_originals())
        for damage in chance.sample(DAMAGES, chance.choice([1, 1, 2, 3])):
            text = damage(chance, text) or b"\n"
        folder = tmp_path / str(number)
        file = folder / place
        file.parent.mkdir(parents=True)
        file.write_bytes(text)
        for problem in _problems(folder, mapping, text):
            lines = Path(problem.file).read_bytes().count(b"\n") + 1
            assert 1 <= problem.line <= lines, (problem, text)
            assert problem.column >= 1
            assert problem.message


def _problems(folder: Path, mapping: str, text: bytes) -> tuple[Problem, ...]:
    try:
        _read(folder, mapping)
    except MappingError as error:
        return error.problems
    except Exception as error:
        raise AssertionError(f"{mapping}: {text!r}") from error
    return ()
