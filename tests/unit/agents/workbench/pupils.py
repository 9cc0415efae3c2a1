"""A small made-up school for the tests of the workbench: its mapping, and its export as rows of CSV."""

from pathlib import Path
from typing import Final

MAPPING: Final = """\
title = "our.csv: the pupils"
object = "LearnerPersonal"
key = [["UPN"], ["Surname", "Forename", "Born"]]

[fields]
"LocalId" = "Adno"
"PersonalInformation/Name[@Type='C']/FamilyName" = { from = "Surname", required = true }
"PersonalInformation/Name[@Type='C']/GivenName" = { from = "Forename", required = true }
"PersonalInformation/Demographics/Gender" = { from = "Sex", codes = "sex" }
"PersonalInformation/Demographics/BirthDate" = { from = "Born", convert = "date:%d/%m/%Y" }
"UPN" = { from = "UPN", convert = "upn" }
"HomeLA" = [
  "Home",
  { const = "820" },
]
"""
HEADINGS: Final = "UPN,Adno,Surname,Forename,Sex,Born,Home"
WREN: Final = "H820990114001,4711,Quillfeather,Wren,F,30/05/2013,836"
OTHO: Final = "X820990114002,4712,Brambleby,Otho,M,01/06/2013,"
"""Two pupils of whom everything is right."""


def write_mapping(folder: Path, text: str = MAPPING, name: str = "ours.toml") -> Path:
    """Write a mapping file."""
    file = folder / name
    file.write_text(text, "utf-8")
    return file


def write_rows(folder: Path, *rows: str, headings: str = HEADINGS, name: str = "pupils.csv") -> Path:
    """Write an export."""
    file = folder / name
    file.write_text("\n".join([headings, *rows, ""]), "utf-8")
    return file
