"""Instances of every object for the tests: those written by hand in tests/data, and for the others made-up ones."""

from pathlib import Path
from typing import Final

import schemas
from schemas.samples import sample_document

DATA: Final = Path(__file__).parent / "data"
FOLDERS: Final = (DATA / "sif_uk", DATA / "looked_after")


def instance(name: str) -> str:
    """Return an instance without its XML declaration, by name: ``LearnerPersonal`` or ``LearnerPersonal.minimal``."""
    for folder in FOLDERS:
        if (folder / f"{name}.xml").is_file():
            text = (folder / f"{name}.xml").read_text(encoding="utf-8")
            break
    else:
        object_type = name.removesuffix(".minimal")
        text = sample_document(schemas.load(), object_type, minimal=name != object_type).decode()
    return text.partition("?>")[2].lstrip()
