"""Damaged files of every connector that reads files: a place and a reason, and never another exception.

The short form runs in the suite; SIFZONE_LONG=1 runs the long one, of 10,000 files.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

import pytest
from openpyxl import Workbook
from openpyxl.worksheet.worksheet import Worksheet

from agents.connectors.contract import FileSource, SourceError, SourceFields, SourceProblem
from agents.connectors.csv import CsvOptions, CsvSource
from agents.connectors.ctf import CtfOptions, CtfSource
from agents.connectors.fixed_width import FixedWidthOptions, FixedWidthSource
from agents.connectors.oneroster_in import OneRosterOptions, OneRosterSource
from agents.connectors.ssda903 import Ssda903Options, Ssda903Source
from agents.connectors.xlsx import XlsxOptions, XlsxSource
from agents.connectors.xml import XmlOptions, XmlSource
from tests.unit.agents import helpers, ssda903_files
from tests.unit.agents.connectors import oneroster_packages

LONG: Final = os.environ.get("SIFZONE_LONG") == "1"
ROWS: Final = 'UPN,Name,Notes\r\nA1,Zoë Quill,"a ""b"", c"\r\nB2,Ada Lark,="007"\r\nC3,Finn,1.2E+03\r\n' * 4
XML: Final = (
    '<?xml version="1.0" encoding="utf-8"?>\n<School><Pupils>\n'
    + '<Pupil id="1"><Name lang="en">Zoë</Name>\n<Need>A</Need><Need>B</Need></Pupil>\n' * 8
    + "</Pupils></School>\n"
)
# What breaks more than a byte at random does.
CRUEL: Final = (
    b"\x00",
    b'"',
    b"\r",
    b"\n",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"<",
    b"&",
    b"<!DOCTYPE x>",
    b"]]>",
    b",",
    b"sep=;\n",
)


@dataclass(frozen=True, slots=True)
class Kind:
    """One form of input.

    Attributes:
        write: Writes a whole one into a folder; returns what an agent's path would name.
        cases: In the suite; a workbook is read by a process of its own, which takes longer.
        has_lines: Each refusal of a whole file names a line.
    """

    source: FileSource
    write: Callable[[Path], Path]
    cases: int = 14
    has_lines: bool = True


def plain(name: str, content: bytes) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return write


def workbook(folder: Path) -> Path:
    book = Workbook()
    sheet = book.active
    assert isinstance(sheet, Worksheet)
    for number in range(8):
        sheet.append(["UPN", "Name", "Number"] if not number else [f"A{number}", "Zoë", number])
    book.save(folder / "pupils.xlsx")
    return folder / "pupils.xlsx"


def care(folder: Path) -> Path:
    return ssda903_files.write(folder, ssda903_files.episode("01/05/2025", "S"))


KINDS: Final = {
    "csv": Kind(CsvSource(CsvOptions()), plain("a.csv", ROWS.encode())),
    "cp1252": Kind(CsvSource(CsvOptions()), plain("a.csv", ROWS.encode("cp1252"))),
    "tsv": Kind(CsvSource(CsvOptions()), plain("a.tsv", ROWS.replace(",", "\t").encode())),
    "utf-16": Kind(CsvSource(CsvOptions()), plain("a.csv", ROWS.encode("utf-16"))),
    "fixed-width": Kind(
        FixedWidthSource(FixedWidthOptions(columns={"UPN": "1-2", "Name": "4-12"}, line_length=21)),
        plain("a.txt", "A1 Zoë Quill   filler\nB2 Ada Lark    filler\n".encode() * 8),
    ),
    "xlsx": Kind(XlsxSource(XlsxOptions()), workbook, cases=10),
    "xml": Kind(XmlSource(XmlOptions(records="/School/Pupils/Pupil", groups=("Need",))), plain("a.xml", XML.encode())),
    "xml-utf-16": Kind(
        XmlSource(XmlOptions(records="/School/Pupils/Pupil")),
        plain("a.xml", XML.replace("utf-8", "utf-16").encode("utf-16")),
    ),
    "ctf": Kind(
        CtfSource(CtfOptions()),
        lambda folder: helpers.ctf(folder / "a.xml", helpers.pupil(1), helpers.pupil(2)),
        has_lines=False,
    ),
    "ssda903": Kind(
        Ssda903Source(Ssda903Options.model_validate({"authority": "821", "as_at": ssda903_files.AS_AT})),
        care,
        has_lines=False,
    ),
    "oneroster-folder": Kind(
        OneRosterSource(OneRosterOptions()), lambda folder: oneroster_packages.write(folder / "set", "1.2")
    ),
    "oneroster-zip": Kind(
        OneRosterSource(OneRosterOptions()), lambda folder: oneroster_packages.write(folder / "set.zip", "1.2")
    ),
}


def damaged(content: bytes, random: Random) -> bytes:
    """Return a file with one to four things wrong with it."""
    made = bytearray(content)
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(made) + 1)
        end = min(len(made), at + random.choice((1, 2, 7, 40, 300)))
        match random.randrange(7):
            case 0:
                del made[at:]
            case 1:
                del made[at:end]
            case 2:
                made[at:at] = made[at:end] * random.choice((1, 2, 30))
            case 3:
                made[at:end] = random.randbytes(end - at)
            case 4:
                made[at:at] = random.choice(CRUEL)
            case 5:
                other = random.randrange(len(made) + 1)
                made[at:end], made[other : other + 5] = made[other : other + 5], made[at:end]
            case _:
                for place in range(at, end):
                    made[place] ^= 1 << random.randrange(8)
    return bytes(made)


@contextmanager
def damaged_copy(whole: Path, path: Path, folder: Path, random: Random) -> Iterator[Path]:
    """Give a copy of what was written, one of its files damaged, or now and then missing."""
    shutil.copytree(whole, folder)
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    victim = random.choice(files)
    if len(files) > 1 and random.random() < 0.05:
        victim.unlink()
    else:
        victim.write_bytes(damaged(victim.read_bytes(), random))
    try:
        yield folder / path.relative_to(whole)
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.timeout(1800 if LONG else 120)
def test_a_damaged_file_is_refused_or_read_with_places_and_reasons_and_raises_nothing_else(
    tmp_path: Path, name: str
) -> None:
    kind, whole = KINDS[name], tmp_path / "whole"
    whole.mkdir()
    path = kind.write(whole)
    assert any(not isinstance(item, SourceFields | SourceProblem) for item in kind.source.read(path))
    told = 0
    for seed in range(10_000 // len(KINDS) if LONG else kind.cases):
        with damaged_copy(whole, path, tmp_path / "damaged", Random(f"{name} {seed}")) as copy:
            if not copy.exists():
                continue  # the agent finds no such file
            try:
                for item in kind.source.read(copy):
                    assert isinstance(item, SourceFields) or item.position.strip(), f"{name} {seed}"
                    assert not isinstance(item, SourceProblem) or item.message, f"{name} {seed}"
                    told += isinstance(item, SourceProblem)
            except Exception as error:
                if not isinstance(error, SourceError) or (kind.has_lines and error.line < 1):
                    raise AssertionError(f"{name} {seed}: {error}") from error
                told += 1
    assert told
