"""Whatever a record holds, mapping it never raises, and what is made of it is valid."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import schemas
from mappings import InwardMapping, Record, RefIds, load

RECORDS = {
    "ctf/pupil": ["learner", "enrolment", "contact", "contact-person", "attendance", "special-needs"],
    "csv/school": ["school"],
    "csv/terms": ["terms"],
    "csv/staff": ["staff"],
    "csv/groups": ["group-types", "groups"],
    "csv/members": ["group-enrolment"],
    "csv/pupils": ["learner", "enrolment", "registration"],
    "csv/contacts": ["contact", "contact-person"],
    "csv/attendance": ["attendance"],
    "csv/sen": ["special-needs"],
    "csv/exclusions": ["exclusions"],
}
TEXTS = st.one_of(
    st.none(),  # the field is not there
    st.text(min_size=1, max_size=12),
    st.sampled_from(
        ["Y", "N", "true", "2026", "2026/27", "0", "99", "5000000000", "2014-11-23", "30/05/2013", "M", "Other"]
    ),
    st.sampled_from(
        ["07700 900101", "820", "9901", "X820990119007", "1000000027", "http://[", "a@b.cd", "٣", "<a>", "\x00"]
    ),
)


def _changed(record: Record, data: Any) -> Record:
    """Return the record with other texts in some of its fields, in those of its groups too, and with members twice."""
    fields = dict(record.fields)
    for name in data.draw(st.lists(st.sampled_from(sorted(fields)), max_size=4)):
        fields[name] = data.draw(TEXTS)
    groups = {
        name: tuple(
            _changed(member, data) for member in (*members, *members)[: data.draw(st.integers(0, 2 * len(members)))]
        )
        for name, members in record.groups.items()
    }
    return Record(record.position, {name: text for name, text in fields.items() if text is not None}, groups)


@pytest.mark.parametrize("name", RECORDS)
@given(data=st.data())
@settings(deadline=None, max_examples=30)
def test_no_record_stops_a_mapping_or_makes_an_invalid_object(
    name: str, read_record: Callable[[str], Record], ref_ids: RefIds, data: Any
) -> None:
    record = _changed(read_record(name), data)

    for part in RECORDS[name]:
        mapping = load(f"{name.partition('/')[0]}/{part}")
        assert isinstance(mapping, InwardMapping)
        for each in mapping.translate(record, ref_ids).objects:
            assert schemas.load().check(each.element, partial=False) == ()
