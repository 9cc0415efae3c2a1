"""What each converter makes of the spellings that exports have, and what it refuses."""

from collections.abc import Iterator
from importlib.metadata import EntryPoint

import pytest

from mappings import ConvertError, converter_names
from mappings.converters import UnknownConverterError, _added, converter, inverse


@pytest.mark.parametrize(
    ("name", "value", "result"),
    [
        ("date:%d/%m/%Y", "30/05/2013", "2013-05-30"),
        ("date:%d/%m/%Y", "2013-05-30", "2013-05-30"),
        ("date:%d %B %Y", "3 march 2026", "2026-03-03"),
        ("date:%a %d-%b-%y", "Mon 03-MAR-70", "1970-03-03"),
        ("date:%d%m%Y", "30052013", "2013-05-30"),
        ("date:%d/%m/%Y %H:%M", "30/05/2013 09:05", "2013-05-30"),
        ("date:%d/%m/%Y", "1/9/2014", "2014-09-01"),
        ("date:%d/%m/%Y", "01/09/2014 00:00:00", "2014-09-01"),
        ("date:%d-%b-%y", "1-Sept-14", "2014-09-01"),
        ("date:%d/%m/%y", "1/9/50", "1950-09-01"),
        ("excel-date", "46349", "2026-11-23"),
        ("excel-date", "46349.75", "2026-11-23"),
        ("excel-date", "59", "1900-02-28"),
        ("excel-date", "61", "1900-03-01"),
        ("excel-date", "2013-05-30", "2013-05-30"),
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
        ("phone", "+44 (0)1632 960101", "+441632960101"),
        ("phone", "(0)1632 960101", "01632960101"),
        ("phone", "01632/960 101", "01632960101"),
        ("email", "office@thornwick.example.org", "office@thornwick.example.org"),
        ("number", "1,024", "1024"),
        ("number", "1 024", "1024"),
        ("number", "007", "7"),
        ("between:1-10", "010", "10"),
        ("digits", "a 01-2", "012"),
        ("nc-year", "Year 9", "9"),
        ("nc-year", "09", "9"),
        ("nc-year", "00", "R"),
        ("nc-year", "Reception", "R"),
        ("nc-year", "n2", "N2"),
        ("decimal", "1,204.50", "1204.5"),
        ("decimal", "-0.0", "0"),
        ("decimal", "100", "100"),
        ("decimal:2", "12.345", "12.35"),
        ("decimal:0", "-0.4", "0"),
        ("title", "THORNQUIST", "Thornquist"),
        ("title", "o'neill-mckay of king's MacLeod", "O'Neill-McKay Of King's MacLeod"),
        ("sentence", "SPECIAL School", "Special school"),
        ("split:,:1", "Thornquist, Odalric", "Thornquist"),
        ("split:,:2", "Thornquist, Odalric", "Odalric"),
        ("split: :-1", "Odalric van Thornquist", "Thornquist"),
        ("split:::2", "a:b", "b"),
        ("split:/:3", "a/b", ""),
        ("match:[0-9]{3}", "LA 820/9901", "820"),
        ("match:/([0-9]{4})(x)?", "820/9901", "9901"),
        ("match:é+$", "caféé", "éé"),
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
        ("date:%d %B %Y", "3 mars 2026"),
        ("date:%d%m%Y", "1092014"),  # not the 10th: a spreadsheet has eaten a zero
        ("date:%d%m%Y", "20140901"),
        ("date:%d/%m/%Y", "1/9/14"),
        ("date:%d/%m/%Y", "01/09/2014 or so"),
        ("iso-date", "20140901"),
        ("iso-date", "2014-W36-1"),
        ("iso-date", "2014-09-01 or so"),
        ("excel-date", "60"),
        ("excel-date", "0"),
        ("excel-date", "2958466"),
        ("next-day", "9999-12-31"),
        ("decimal", "1,5"),
        ("decimal", "1e5"),
        ("decimal:2", "NaN"),
        ("match:^[0-9]+$", "12a"),
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
        ("phone", "01632 960101/2"),
        ("phone", "01632 960101 01632 960102"),
        ("email", "none"),
        ("number", "1.5"),
        ("number", "1,2"),
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


@pytest.fixture
def added(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two converters of another package, of which one returns a number, and one that cannot be imported."""
    entries = (
        EntryPoint("backwards", "tests.unit.mappings.test_converters:_backwards", "sifzone.converters"),
        EntryPoint("length", "builtins:len", "sifzone.converters"),
        EntryPoint("gone", "tests.no_such_module:convert", "sifzone.converters"),
    )
    monkeypatch.setattr("mappings.converters.entry_points", lambda **_group: entries)
    _added.cache_clear()
    yield
    _added.cache_clear()


def _backwards(value: str) -> str:
    return value[::-1]


@pytest.mark.usefixtures("added")
def test_another_package_adds_converters_and_one_that_cannot_be_loaded_spoils_no_other() -> None:
    assert converter("backwards")("abc") == "cba"
    assert inverse("backwards") is None
    assert {"backwards", "gone"} <= set(converter_names())
    with pytest.raises(UnknownConverterError, match="ModuleNotFoundError"):
        converter("gone")
    with pytest.raises(TypeError):
        converter("length")("abc")


def test_every_converter_has_a_name_that_can_be_listed() -> None:
    assert {"upn", "date:", "school-year", "phone"} <= set(converter_names())


@pytest.mark.parametrize(
    "spelt",
    [
        "match:(",
        "match:(?=a)b",
        "match:((a{100}){100}){100}",
        r"match:\pL{80}",  # a program of more than a megabyte
        "match:" + "a" * 501,
        "split:2",
        "split::2",
        "split:,:0",
        "date:%d/%m",
        "date:%d/%m/%Y/%y",
        "date:%d/%m/%Q",
        "date:dd/mm/yyyy",
        "decimal:10",
        "lookup:schools.csv",
        "upper:x",
        "date",
    ],
)
def test_an_argument_that_cannot_be_used_is_refused_when_the_mapping_is_loaded(spelt: str) -> None:
    with pytest.raises(UnknownConverterError) as caught:
        converter(spelt)

    assert not str(caught.value).endswith(": ")


def test_an_expression_that_would_stall_others_takes_no_time() -> None:
    convert = converter("match:^(a+)+$")

    with pytest.raises(ConvertError):
        convert("a" * 20_000 + "b")


@pytest.mark.parametrize(
    ("spelt", "value", "source"),
    [
        ("date:%d/%m/%Y", "2013-05-30", "30/05/2013"),
        ("date:%d %B %Y", "2013-05-30", "30 May 2013"),
        ("date:%d/%m/%y", "1939-05-30", "1939-05-30"),  # 39 would be read as 2039
        ("excel-date", "2026-11-23", "2026-11-23"),
        ("yes-no", "No", "N"),
        ("next-day", "2027-01-01", "2026-12-31"),
        ("school-year", "2027", "2026/2027"),
        ("year-end", "2027", "2026"),
        ("year-before", "2026", "2027"),
        ("prefix:a:", "a:b", "b"),
        ("suffix:-01", "b-01", "b"),
        ("upn", "X820990119007", "X820990119007"),
        ("nc-year", "R", "R"),
        ("title", "O'Neill", "O'Neill"),
    ],
)
def test_what_undoes_a_converter_gives_what_is_converted_to_the_same(spelt: str, value: str, source: str) -> None:
    undo = inverse(spelt)

    assert undo is not None
    assert undo(value) == source
    assert converter(spelt)(source) == value


@pytest.mark.parametrize(("spelt", "value"), [("upper", "a"), ("prefix:a", "a"), ("suffix:b", "ba"), ("number", "07")])
def test_what_a_converter_cannot_have_made_is_not_undone(spelt: str, value: str) -> None:
    undo = inverse(spelt)

    assert undo is not None
    with pytest.raises(ConvertError):
        undo(value)


@pytest.mark.parametrize("spelt", ["split:,:1", "match:[0-9]+"])
def test_a_converter_that_loses_something_is_not_undone(spelt: str) -> None:
    assert inverse(spelt) is None
