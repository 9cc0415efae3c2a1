"""The code lists as data: read from codes/*.toml, and extended by a site's own files.

Which element has which list is for the XSDs to say.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import MappingProxyType
from typing import Any, Final

from schemas.model import BadCodeList, CodeList, UnknownCodeList, nearest_of

_MAX_CODE: Final = 64
_MAX_LABEL: Final = 200


class CodeLists(Mapping[str, CodeList]):
    """Code lists by name, in order of name."""

    def __init__(self, lists: Iterable[CodeList]) -> None:
        self._lists = MappingProxyType({one.name: one for one in sorted(lists, key=lambda one: one.name)})

    def __getitem__(self, name: str) -> CodeList:
        """Return the list of this name.

        Raises:
            UnknownCodeList: There is none.
        """
        if name not in self._lists:
            raise UnknownCodeList(name, nearest_of(name, tuple(self._lists)))
        return self._lists[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._lists)

    def __len__(self) -> int:
        return len(self._lists)

    def __contains__(self, name: object) -> bool:
        return name in self._lists

    def extended(self, folder: Traversable) -> "CodeLists":
        """Return these lists with the codes that the ``*.toml`` files of a site's folder add to them.

        A file has a table for each list that it adds to, with codes on the left and what they mean on the right::

            [EthnicityCodes.codes]
            WLOC = "A community of this authority"

        Raises:
            BadCodeList: A file cannot be read, or names a list that there is not; the text names the file.
        """
        lists = dict(self._lists)
        for name, entry, where in _entries(folder):
            if name not in lists:
                nearest = nearest_of(name, tuple(lists))
                hint = f": did you mean {nearest}?" if nearest else ": 'sifzone schema codes' lists them all"
                raise BadCodeList(f"{where}: there is no code list {name[:80]!r}{hint}")
            lists[name] = _with_codes(lists[name], entry, where)
        return CodeLists(lists.values())


def codes(name: str) -> CodeList:
    """Return the shipped code list of this name.

    Raises:
        UnknownCodeList: There is none.
    """
    return shipped()[name]


def code_list_names() -> tuple[str, ...]:
    """Return the names of all shipped code lists, sorted."""
    return tuple(shipped())


@cache
def shipped() -> CodeLists:
    """Return the code lists that come with sifzone."""
    lists: dict[str, CodeList] = {}
    for name, entry, where in _entries(files("schemas") / "codes"):
        if name in lists:
            raise BadCodeList(f"{where}: code list {name} is in another file, too: keep one")
        lists[name] = _code_list(name, entry)
    return CodeLists(lists.values())


def _entries(folder: Traversable) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    """Yield name, table and file of each list in a folder's files, in order of file name."""
    try:
        found = sorted((file for file in folder.iterdir() if file.name.endswith(".toml")), key=lambda f: f.name)
    except OSError as error:
        raise BadCodeList(f"{folder}: cannot be read ({error.strerror}): name a folder that can") from error
    for file in found:
        try:
            tables = tomllib.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise BadCodeList(f"{file}: cannot be read as TOML ({error})") from error
        for name, table in tables.items():
            yield name, table, str(file)


def _with_codes(code_list: CodeList, entry: object, where: str) -> CodeList:
    """Return the list with a site's codes after its own."""
    added = entry.get("codes") if isinstance(entry, Mapping) and entry.keys() == {"codes"} else None
    if not isinstance(added, Mapping):
        raise BadCodeList(
            f"{where}: [{code_list.name}] may hold nothing but codes: write them in a table [{code_list.name}.codes]"
        )
    for code, label in added.items():
        # what cannot be printed XML may not hold, and nobody could type
        if not code or code != " ".join(code.split()) or not code.isprintable() or len(code) > _MAX_CODE:
            raise BadCodeList(
                f"{where}: a code of {code_list.name} is empty, padded, not printable, "
                f"or longer than {_MAX_CODE} letters"
            )
        if not isinstance(label, str) or not label.strip() or len(label) > _MAX_LABEL:
            raise BadCodeList(
                f"{where}: {code_list.name}, {code!r}: write what it means, in up to {_MAX_LABEL} letters"
            )
    return replace(code_list, labels=MappingProxyType({**code_list.labels, **added}))


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
