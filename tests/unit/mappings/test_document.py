"""The position of every key of a TOML file is found, however the file is written."""

import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mappings.document import Where, parse
from mappings.problems import MappingError


@pytest.mark.parametrize(
    ("text", "where", "position"),
    [
        pytest.param("a = 1\nb = 2", ("b",), (2, 1), id="plain"),
        pytest.param("# x = 1\n  a = 1", ("a",), (2, 3), id="comment and indent"),
        pytest.param("[t]\na.b = 1", ("t", "a", "b"), (2, 1), id="dotted"),
        pytest.param('["t/x".u]\n"a\\"b" = 1', ("t/x", "u", 'a"b'), (2, 1), id="quoted"),
        pytest.param("a = { b = 1, c = { d = 2 } }", ("a", "c", "d"), (1, 20), id="inline"),
        pytest.param("a = [\n  1, # one\n  { b = 2 },\n]", ("a", 1, "b"), (3, 5), id="array"),
        pytest.param("[[a]]\nb = 1\n[[a]]\nb = 2\n[a.c]\nd = 3", ("a", 1, "c", "d"), (6, 1), id="array of tables"),
        pytest.param("a = '''x\n[b]\ny'''\nc = 1", ("c",), (4, 1), id="long literal"),
        pytest.param('a = """x""\\"\n"""""\nc = 1', ("c",), (3, 1), id="quotes before the end"),
        pytest.param("a = 1979-05-27 07:32:00 # d\nc = 1", ("c",), (2, 1), id="date with blank"),
        pytest.param("a = 1\r\nc = 1", ("c",), (2, 1), id="Windows line ends"),
        pytest.param("a = 'it = \"'\nc = -1.5e3\nd = true", ("d",), (3, 1), id="other scalars"),
    ],
)
def test_a_key_is_found_at_its_line_and_column(text: str, where: Where, position: tuple[int, int]) -> None:
    assert parse(text, "f").positions[where] == ("f", *position)


def test_a_number_with_thousands_of_digits_is_refused_as_other_faults_are() -> None:
    with pytest.raises(MappingError, match="thousands of digits"):
        parse("a = " + "1" * 5000, "f")


@pytest.mark.parametrize("escaped", ["\\u001b]0;x", "\\b", "\\u202e"])
def test_what_a_screen_would_obey_is_refused_with_its_place(escaped: str) -> None:
    with pytest.raises(MappingError) as caught:
        parse(f'a = 1\n["{escaped}"]\nb = [{{ c = "{escaped}" }}]', "f")

    assert [(problem.line, problem.column) for problem in caught.value.problems] == [(2, 2), (3, 8)]
    assert str(caught.value).isprintable() or str(caught.value).replace("\n", "").isprintable()


_KEYS = st.sampled_from(["a", "b c", "d.e", "f]g", "h#i", 'j"k', "l=m", "n{o", "p\\q"])
_SCALARS = st.one_of(
    st.integers(), st.booleans(), st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "Z"]))
)
_VALUES = st.recursive(_SCALARS, lambda v: st.one_of(st.lists(v, max_size=3), st.dictionaries(_KEYS, v, max_size=3)))


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_toml(key)} = {_toml(inner)}" for key, inner in value.items()) + " }"
    escaped = "".join(c if c.isalnum() or c == " " else f"\\U{ord(c):08X}" for c in value)
    return f'"{escaped}"'


def _keys(value: Any, where: Where = ()) -> set[Where]:
    if isinstance(value, dict):
        inner = {(*where, key): part for key, part in value.items()}
    elif isinstance(value, list):
        inner = {(*where, index): part for index, part in enumerate(value)}
    else:
        return set()
    return set(inner).union(*(_keys(part, place) for place, part in inner.items()))


@settings(deadline=None)  # the machine may be busy
@given(st.dictionaries(_KEYS, _VALUES, max_size=4))
def test_exactly_the_keys_that_the_file_has_are_found(values: dict[str, Any]) -> None:
    text = "\n".join(f"{_toml(key)} = {_toml(value)}" for key, value in values.items())

    assert tomllib.loads(text) == values
    assert set(parse(text, "f").positions) == _keys(values)
