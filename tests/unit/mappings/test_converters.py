"""What each converter makes of the spellings that exports have, and what it refuses."""

import pytest

from mappings import ConvertError, converter_names
from mappings.converters import converter


@pytest.mark.parametrize(
    ("name", "value", "result"),
    [
        ("date:%d/%m/%Y", "30/05/2013", "2013-05-30"),
        ("date:%d/%m/%Y", "2013-05-30", "2013-05-30"),
        ("iso-date", "2013-05-30T00:00:00", "2013-05-30"),
        ("next-day", "2026-12-31", "2027-01-01"),
        ("year-end", "2026", "2027"),
        ("year-before", "2027", "2026"),
        ("school-year", "2026/2027", "2027"),
        ("school-year", "2026/27", "2027"),
        ("school-year", "1999-00", "2000"),
        ("yes-no", "TRUE", "Yes"),
        ("yes-no", "n", "No"),
        ("yes-no", "1", "Yes"),
        ("upn", " x820990119007", "X820990119007"),
        ("upn", "X00180001701A", "X00180001701A"),
        ("uln", "100 000 0027", "1000000027"),
        ("postcode", "qz11aa", "QZ1 1AA"),
        ("postcode", "QZ1A  9ZZ", "QZ1A 9ZZ"),
        ("postcode", "d-10115", "D-10115"),
        ("phone", "(01632) 960-101", "01632960101"),
        ("phone", "+44 7700 900101", "+447700900101"),
        ("email", "office@thornwick.example.org", "office@thornwick.example.org"),
        ("number", "1,024", "1024"),
        ("number", "007", "7"),
        ("between:1-10", "010", "10"),
        ("digits", "a 01-2", "012"),
        ("nc-year", "Year 9", "9"),
        ("nc-year", "09", "9"),
        ("nc-year", "Reception", "R"),
        ("nc-year", "n2", "N2"),
        ("title", "THORNQUIST", "Thornquist"),
        ("prefix:a:", "b", "a:b"),
        ("suffix:-01", "b", "b-01"),
        ("collapse", " a  b ", "a b"),
    ],
)
def test_a_converter_returns_the_right_form(name: str, value: str, result: str) -> None:
    assert converter(name)(value) == result


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("date:%d/%m/%Y", "31/02/2013"),
        ("date:%d/%m/%Y", "05/30/2013"),
        ("iso-date", "30/05/2013"),
        ("school-year", "2026/2028"),
        ("school-year", "2031"),
        ("school-year", "2026/3027"),
        ("year-end", "26"),
        ("year-end", "٢٠٢٦"),
        ("yes-no", "maybe"),
        ("upn", "I820990119007"),
        ("upn", "X82099011900"),
        ("uln", "0000000027"),
        ("phone", "ask the office"),
        ("email", "none"),
        ("number", "1.5"),
        ("number", "²"),
        ("number", "9999999999999999999"),
        ("between:20-30", "19"),
        ("between:20-30", "31"),
        ("digits", "none"),
    ],
)
def test_a_converter_refuses_what_it_cannot_read_without_repeating_it(name: str, value: str) -> None:
    with pytest.raises(ConvertError) as caught:
        converter(name)(value)

    assert value not in str(caught.value)


def test_every_converter_has_a_name_that_can_be_listed() -> None:
    assert {"upn", "date:", "school-year", "phone"} <= set(converter_names())
