"""Identifiers have the form that queues, logins, URLs and the standard share."""

import pytest

from broker.protocol.errors import SIF_ERRORS, ZoneError
from broker.protocol.identifiers import (
    is_guid,
    new_msg_id,
    new_ref_id,
    parse_agent_id,
    parse_establishment,
    parse_zone_id,
)


def subclasses(kind: type[ZoneError]) -> set[type[ZoneError]]:
    return {kind}.union(*(subclasses(child) for child in kind.__subclasses__()))


def test_fresh_ids_are_guids_and_differ() -> None:
    made = {new_msg_id() for _ in range(50)} | {str(new_ref_id()) for _ in range(50)}

    assert len(made) == 100
    assert all(is_guid(guid) for guid in made)


@pytest.mark.parametrize("text", ["", "a1" * 16, "A1" * 15, "A1" * 17, "G1" * 16, "A1" * 16 + "\n", "\uff211" * 16])
def test_other_forms_are_no_guid(text: str) -> None:
    assert not is_guid(text)


@pytest.mark.parametrize("text", ["a", "mis-8209901", "mis.8209901", "A_1", "x" * 64, "9"])
def test_ids_that_every_part_can_carry_are_kept(text: str) -> None:
    assert parse_agent_id(text) == text
    assert parse_zone_id(text) == text


@pytest.mark.parametrize("text", ["", "-a", ".a", "a b", "a/b", "a*", "a\n", "x" * 65, "é", "a@b", "a:b"])
def test_other_ids_are_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(ValueError, match="letters, digits"):
        parse_agent_id(text)
    with pytest.raises(ValueError, match="letters, digits"):
        parse_zone_id(text)


@pytest.mark.parametrize("text", ["8209901", "820/9901", " 8209901 "])
def test_establishment_is_one_word_of_seven(text: str) -> None:
    assert parse_establishment(text) == "8209901"


@pytest.mark.parametrize("text", ["", "9901", "82099011", "82O9901", "820-9901", "820 9901", "\uff18209901"])
def test_other_establishments_are_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="8209901"):
        parse_establishment(text)


def test_every_error_of_the_zone_has_a_category_and_code_of_the_standard() -> None:
    assert {(e.category, e.code) for e in subclasses(ZoneError)} <= set(SIF_ERRORS)
