"""The code lists as data: read from codes/*.toml once; which element has which list is for the XSDs to say."""

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from schemas.model import CodeList, UnknownCodeList, nearest_of


def codes(name: str) -> CodeList:
    """Return the code list of this name.

    Raises:
        UnknownCodeList: There is none.
    """
    lists = _all()
    if name not in lists:
        raise UnknownCodeList(name, nearest_of(name, tuple(lists)))
    return lists[name]


def code_list_names() -> tuple[str, ...]:
    """Return the names of all code lists, sorted."""
    return tuple(_all())


@cache
def _all() -> Mapping[str, CodeList]:
    lists: dict[str, CodeList] = {}
    for file in (files("schemas") / "codes").iterdir():
        if not file.name.endswith(".toml"):
            continue
        for name, entry in tomllib.loads(file.read_text(encoding="utf-8")).items():
            if name in lists:
                raise ValueError(f"code list {name} is in two files, one of them codes/{file.name}: keep one")
            lists[name] = _code_list(name, entry)
    return MappingProxyType(dict(sorted(lists.items())))


def _code_list(name: str, entry: Mapping[str, Any]) -> CodeList:
    pattern = entry.get("pattern")
    return CodeList(
        name=name,
        title=entry["title"],
        open=entry["open"],
        source=entry["source"],
        year=entry["year"],
        labels=MappingProxyType({**entry.get("codes", {}), **entry.get("added", {})}),
        pattern=re.compile(pattern) if pattern else None,
    )
