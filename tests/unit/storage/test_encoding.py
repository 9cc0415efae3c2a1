"""Text from hostile messages becomes text that both databases keep."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.storage.encoding import decode_json, encode_json, sentence, token

ANYTHING = st.text(st.characters(), max_size=300)  # lone surrogates and NUL included


def kept_by_both(text: str) -> bool:
    return "\0" not in text and text.encode("utf-8").decode("utf-8") == text


@pytest.mark.parametrize("text", ["", "AB34DC093261545A31905937B265CE01", "mis-8209901", "Zoë's agent"])
def test_an_identifier_as_it_should_be_is_kept_as_it_is(text: str) -> None:
    assert token(text) == text


@given(ANYTHING)
def test_any_identifier_becomes_short_text_that_both_databases_keep(text: str) -> None:
    assert kept_by_both(token(text))
    assert len(token(text)) <= 128
    assert token(token(text)) == token(text)


@given(ANYTHING, ANYTHING)
def test_two_identifiers_stay_two(one: str, other: str) -> None:
    assert (token(one) == token(other)) == (one == other)


def test_two_long_identifiers_that_begin_alike_stay_two() -> None:
    assert token("A" * 1_000_000) != token("A" * 1_000_001)
    assert len(token("A" * 1_000_000)) <= 128


@given(ANYTHING)
def test_any_sentence_becomes_text_that_both_databases_keep(text: str) -> None:
    assert kept_by_both(sentence(text))


@given(st.lists(st.tuples(ANYTHING, ANYTHING), max_size=5))
def test_json_keeps_any_text_in_ascii(values: list[tuple[str, str]]) -> None:
    encoded = encode_json(values)

    assert encoded.isascii()
    assert "\0" not in encoded
    assert [tuple(value) for value in decode_json(encoded)] == values
