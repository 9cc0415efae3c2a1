"""Makes a new pack that passes its own test: a folder, or a Python package that offers it."""

import re
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Final

from agents.scaffold.place import new_folder
from agents.workbench.golden import run_goldens, update_golden
from broker.protocol.errors import ConfigurationError
from mappings.shelves import GROUP

_NAME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_MAX_NAME: Final = 40
_TAKEN: Final = frozenset({"codes", "examples", "keys", "pack", "tests"})
"""Names that mean something else where packs stand."""

_PACK: Final = """\
name = "$name"
title = "Pupils of $name"   # what people read in lists
version = "0.1.0"

# What reads an export, an example of one, and what is made of it. Where the file does not say whose it is, add:
# options = { constants = { "LA Number" = "820", "Estab Number" = "9901" } }
[[source]]
connector = "csv"
example = "examples/pupils.csv"
mapping = ["$name/learner"]
"""
_LEARNER: Final = """\
title = "pupils.csv: the pupils"
object = "LearnerPersonal"
# What tells pupils apart: the first of these that is filled.
key = [
  [{ from = "UPN", convert = "upper" }],
  [{ from = "Surname", convert = "upper" }, { from = "Forename", convert = "upper" }, "Date of Birth"],
]

[fields]
"LocalId" = "Admission Number"
"PersonalInformation/Name[@Type='C']/FamilyName" = { from = "Surname", required = true }
"PersonalInformation/Name[@Type='C']/GivenName" = { from = "Forename", required = true }
"PersonalInformation/Demographics/Gender" = { from = "Sex", codes = "sex" }
"PersonalInformation/Demographics/BirthDate" = { from = "Date of Birth", convert = "date:%d/%m/%Y", required = true }
"UPN" = { from = "UPN", convert = "upn" }
"""
_SEX: Final = """\
base = "codes/sex"   # the library's, with the words that this system has besides

[codes]
G = "F"
B = "M"
"""
_EXAMPLE: Final = """\
Admission Number,UPN,Surname,Forename,Date of Birth,Sex
4700,Z820990120001,Quillfeather,Zephyrine,11/03/2015,G
4701,Z820990121002,Thornbeck,Orlo,13/11/2013,B
4702,,Marrowby,Rufus,31/02/2013,B
"""
_README: Final = """\
# $name

What this pack reads, and from which system. All data in `examples` and `tests` is made up: keep it so.

| Column | Mandatory | Example |
|---|---|---|
| Admission Number | | 4700 |
| UPN | | Z820990120001 (without it the pupil is known by names and date of birth) |
| Surname, Forename | yes | |
| Date of Birth | yes | 11/03/2015 |
| Sex | | G, B, F, M, Girl, Boy |

An agent's file names its mappings:

```toml
[[source]]
connector = "csv"
path = "exports/pupils*.csv"
mapping = ["$name/learner"]
```

Work on it with `sifzone mapping preview` and `sifzone mapping check`, take new results as expected with
`sifzone mapping test --update`, try all of it with `sifzone pack test`. $where
"""
_IN_FOLDER: Final = "Copy the folder into the folder `mappings` beside an agent's file: there it is found by its name."
_IN_PACKAGE: Final = "Once it is installed (`pip install .` in this folder), it is found by its name everywhere."
_PYPROJECT: Final = f"""\
[build-system]
requires = ["setuptools>=61"]
build-backend = "setuptools.build_meta"

[project]
name = "sifzone-pack-$name"
version = "0.1.0"
description = "sifzone mappings: $name"
readme = "README.md"
requires-python = ">=3.11"

# How sifzone finds the pack; nothing in it is run.
[project.entry-points."{GROUP}"]
"$name" = "$module"

[tool.setuptools]
packages = ["$module"]

[tool.setuptools.package-data]
"*" = ["*.toml", "*.md", "*.csv", "codes/*", "examples/**/*", "tests/**/*"]
"""


@dataclass(frozen=True, slots=True)
class NewPack:
    """A pack that was made.

    Attributes:
        place: The folder that was made.
        folder: The pack's own folder: the same, or the package in it.
    """

    name: str
    place: Path
    folder: Path


def make_pack(name: str, out: Path, *, package: bool = False) -> NewPack:
    """Make a pack in a new folder of its name in *out* and return it.

    Args:
        name: Lower-case letters, digits and single hyphens.
        package: Make a Python package with the entry point by which sifzone finds it.

    Raises:
        ConfigurationError: The name cannot be a pack's, or the folder is there already. Nothing is left behind.
    """
    if not _NAME.fullmatch(name) or len(name) > _MAX_NAME:
        raise ConfigurationError(
            f"{name[:_MAX_NAME]!r} cannot be a pack's name: write lower-case letters and digits, parts joined by "
            f"hyphens, at most {_MAX_NAME} characters, such as our-mis"
        )
    if name in _TAKEN:
        raise ConfigurationError(f"{name!r} means something else in a folder with packs: choose another name")
    module = f"sifzone_pack_{name.replace('-', '_')}"
    place = out / name
    words = {"name": name, "module": module, "where": _IN_PACKAGE if package else _IN_FOLDER}
    with new_folder(place) as made:
        folder = made / module if package else made
        for file, text in _files(package=package).items():
            _write((made if file == "pyproject.toml" else folder) / file, Template(text).substitute(words))
        if package:
            _write(made / "README.md", Template(_README).substitute(words))
        for case in run_goldens(folder).cases:
            update_golden(case)
    return NewPack(name, place, place / module if package else place)


def _files(*, package: bool) -> dict[str, str]:
    files = {
        "pack.toml": _PACK,
        "README.md": _README,
        "learner.toml": _LEARNER,
        "codes/sex.toml": _SEX,
        "examples/pupils.csv": _EXAMPLE,
        "tests/learner/words-and-a-bad-date.csv": _EXAMPLE,
    }
    if package:
        # An empty module: the folder would be found without it, but not by every installer.
        files |= {"pyproject.toml": _PYPROJECT, "__init__.py": '"""The mappings of $name; nothing here is run."""\n'}
    return files


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")


__all__ = ["NewPack", "make_pack"]
