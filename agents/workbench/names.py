"""The vocabulary of headings: what schools, authorities and their systems call things, and how like two headings are.

It is data, in ``vocabulary.toml`` beside this module. What values look like and which field is chosen is others' work.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from rapidfuzz import fuzz

VOCABULARY: Final = Path(__file__).with_name("vocabulary.toml")
_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_WEAK: Final = 0.15
"""What a word that tells little weighs, where another weighs 1."""
_OTHER_KIND: Final = 0.75
"""What is left where one heading says what kind of thing it is and the other does not, or another."""
_BEGINNING: Final = 0.8
"""How like a word and its beginning are: ``enrol`` and ``enrolment``."""
_COMMON: Final = 0.4
"""What a word weighs that many headings have."""
_SHORTEST: Final = 4
"""Letters that a beginning has at the least, to say which word it is of."""
_SLIP: Final = 88
"""How like, of 100, two headings are of which one is a slip of the pen."""
_SLIPS: Final = 4
"""Characters that a slip of the pen adds or leaves out at the most."""
_LONGEST: Final = 120
"""Characters of a heading that are looked at."""

Words = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Meaning:
    """Something that a column may hold.

    Attributes:
        id: Its name in the vocabulary.
        words: What it is, in plain language.
        names: What it is called, likeliest first, normalised.
        paths: Ends of the paths that it goes to, as mappings write them; an object's name may come first.
        form: What its values look like; empty where the schema says so.
        set: What ``--set`` calls it; empty where it has to be a column.
        ref: The object of which the column holds the key, or empty.
        stands_for: The meaning whose place its column takes in that key.
        required: Without it there is no object.
        default: Used where the column is empty.
        convert: The converters, where they do not follow from the values.
        of: The meaning that it is a part of, where it has no column of its own; empty when of none.
        cut: The converters that cut it out.
        unless: The meaning of a column; where that is filled, this one is not handed on.
    """

    id: str
    words: str
    names: tuple[Words, ...]
    paths: tuple[str, ...] = ()
    form: str = ""
    set: str = ""
    ref: str = ""
    stands_for: str = ""
    required: bool = False
    default: str = ""
    convert: tuple[str, ...] = ()
    of: str = ""
    cut: tuple[str, ...] = ()
    unless: str = ""


@dataclass(frozen=True, slots=True)
class Subject:
    """An object that mappings are made for.

    Attributes:
        words: What it is, in plain language, in the plural.
        key: Ways to identify it: lists of meanings, and of references such as ``@SchoolInfo``.
        elsewhere: The same in a file about something else.
        needs: Meanings without which a file is not about it.
        about: Whether a mapping says which learner it is about.
        own: Words that the headings of its columns may have, or not.
        roles: What a column ``role`` says of it, in small letters.
        skip: Parts that only a heading of the vocabulary fills: what else it says of somebody is of somebody else.
    """

    object_type: str
    words: str
    key: tuple[tuple[str, ...], ...]
    elsewhere: tuple[tuple[str, ...], ...]
    needs: tuple[str, ...]
    about: bool = False
    own: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    skip: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Filling:
    """What fills a path that has no column of its own.

    Attributes:
        path: End of a path.
        values: Alternatives as in mapping files; ``field`` stands for the column of a meaning.
        always: Whether it is filled even where the schema does not ask for it.
        after: Whether these are tried after a column, too.
        alone: Whether they may do without a column.
    """

    path: str
    values: tuple[Mapping[str, Any], ...]
    always: bool = False
    after: bool = False
    alone: bool = True


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """All that the file says."""

    meanings: Mapping[str, Meaning]
    subjects: Mapping[str, Subject]
    fillings: tuple[Filling, ...]


@cache
def vocabulary() -> Vocabulary:
    """Return the vocabulary."""
    given = _file()
    meanings = (_meaning(name, table, n) for name, table in given["field"].items() for n in _numbers(table))
    fillings = tuple(_filling(table, n) for table in given["fill"] for n in _numbers(table))
    subjects = {name: _subject(name, table) for name, table in given["object"].items()}
    return Vocabulary(
        MappingProxyType({meaning.id: meaning for meaning in meanings}), MappingProxyType(subjects), fillings
    )


@lru_cache(maxsize=8192)
def normalised(heading: str) -> Words:
    """Return the words of a heading in small letters, with the spellings put right that mean the same.

    ``Pupil's DateOfBirth`` gives ``("pupil", "dob")``.
    """
    text = " ".join(_WORD.findall(heading[:_LONGEST].replace("'s", "").replace("\u2019s", "")))
    words = " ".join(text.casefold().split())
    for pattern, right in _phrases():
        words = pattern.sub(right, words)
    return tuple(words.split())


@lru_cache(maxsize=65536)
def likeness(one: Words, other: Words) -> float:
    """Return how like two normalised headings are, from 0 to 100; 0 when they are about different people or times."""
    if not one or not other:
        return 0.0
    if one == other:
        return 100.0
    if set(one) & others() != set(other) & others():
        return 0.0
    joined, other_joined = "".join(one), "".join(other)
    if joined == other_joined:
        return 99.0
    if sorted(one) == sorted(other):
        return 97.0
    common = 95 * _common(one, other) if _starts(one) & _starts(other) else 0.0
    if set(one) & _kinds() != set(other) & _kinds():
        return common * _OTHER_KIND
    if min(len(joined), len(other_joined)) < 5 or abs(len(joined) - len(other_joined)) > _SLIPS:
        return common
    alike = fuzz.ratio(joined, other_joined, score_cutoff=_SLIP)
    same_numbers = [w for w in one if w.isdigit()] == [w for w in other if w.isdigit()]
    return max(common, alike - 5) if same_numbers else common


def _common(one: Words, other: Words) -> float:
    """Return the share of words that both have, those that tell little counting little."""
    left = list(other)
    shared = 0.0
    for word in one:
        match = next((w for w in left if singular(w) == singular(word)), None)
        part = 1.0 if match is not None else _BEGINNING
        match = match or next((w for w in left if _begins(word, w)), None)
        if match is not None:
            left.remove(match)
            shared += _weight(word) * part
    return 2 * shared / (sum(map(_weight, one)) + sum(map(_weight, other)))


@lru_cache(maxsize=8192)
def _starts(words: Words) -> frozenset[str]:
    """Return how words begin: without one of these in common, two headings have no word in common."""
    return frozenset(word[:_SHORTEST] for word in words)


def singular(word: str) -> str:
    """Return a word without the ``s`` of the plural; of some words that is no word, but it is alike in both."""
    return word.removesuffix("s")


def _begins(one: str, other: str) -> bool:
    """Tell whether one of two words is the beginning of the other, and long enough to say so."""
    short, long = sorted((one, other), key=len)
    return len(short) >= _SHORTEST and not short.isdigit() and long.startswith(short)


def _weight(word: str) -> float:
    if word in _weak():
        return _WEAK
    return _COMMON if word in _common_words() else 1.0


@cache
def _common_words() -> frozenset[str]:
    return frozenset(_file()["common"])


@cache
def _file() -> Mapping[str, Any]:
    return tomllib.loads(VOCABULARY.read_text("utf-8"))


@cache
def _weak() -> frozenset[str]:
    return frozenset(_file()["weak"])


@cache
def others() -> frozenset[str]:
    """Return the words that make a column somebody else's, or of another time."""
    return frozenset(_file()["others"])


@cache
def _kinds() -> frozenset[str]:
    return frozenset(_file()["kinds"])


@cache
def _phrases() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Return what is put right, longer phrases first, each at whole words."""
    phrases: Mapping[str, str] = _file()["phrases"]
    return tuple(
        (re.compile(rf"(?<!\S){re.escape(phrase)}(?!\S)"), phrases[phrase])
        for phrase in sorted(phrases, key=len, reverse=True)
    )


def _numbers(table: Mapping[str, Any]) -> Sequence[str]:
    """Return the numbers that ``{n}`` stands for; one empty text where it is not there."""
    return [str(n) for n in range(1, table["numbers"] + 1)] if "numbers" in table else [""]


def _meaning(name: str, table: Mapping[str, Any], number: str) -> Meaning:
    def put(text: str) -> str:
        return text.replace("{n}", number)

    return Meaning(
        id=f"{name}-{number}" if number else name,
        words=put(table["words"]),
        names=tuple(dict.fromkeys(normalised(put(heading)) for heading in table["names"])),
        paths=tuple(put(path) for path in table.get("paths", ())),
        form=table.get("form", ""),
        set=table.get("set", ""),
        ref=table.get("ref", ""),
        stands_for=table.get("as", ""),
        required=table.get("required", False),
        default=table.get("default", ""),
        convert=tuple(table.get("convert", ())),
        of=table.get("of", ""),
        cut=tuple(table.get("cut", ())),
        unless=table.get("unless", ""),
    )


def _subject(name: str, table: Mapping[str, Any]) -> Subject:
    key = _ways(table["key"])
    return Subject(
        object_type=name,
        words=table["words"],
        key=key,
        elsewhere=_ways(table["elsewhere"]) if "elsewhere" in table else key,
        needs=tuple(table["needs"]),
        about=table.get("about", False),
        own=frozenset(table.get("own", ())),
        roles=frozenset(table.get("roles", ())),
        skip=tuple(table.get("skip", ())),
    )


def _ways(key: Sequence[Any]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(way) for way in key) if isinstance(key[0], list) else (tuple(key),)


def _filling(table: Mapping[str, Any], number: str) -> Filling:
    def put(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: put(inner) for name, inner in value.items()}
        return value.replace("{n}", number) if isinstance(value, str) else value

    values = tuple(put(value) for value in table["values"])
    return Filling(
        put(table["path"]), values, table.get("always", False), table.get("after", False), table.get("alone", True)
    )


__all__ = [
    # the vocabulary
    "Vocabulary",
    "Meaning",
    "Subject",
    "Filling",
    "vocabulary",
    # headings
    "Words",
    "normalised",
    "likeness",
    "others",
    "singular",
]
