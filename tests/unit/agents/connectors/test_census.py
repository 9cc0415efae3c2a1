"""Tables of a school census: each row is used or reported, and the counts add up; every pupil here is made up."""

from collections import Counter
from pathlib import Path

import pytest

from agents.connectors.census import CensusOptions, CensusSource
from agents.connectors.contract import SourceError, SourceProblem
from mappings import InwardMapping, MappedObject, Record, load
from schemas import SchemaSet
from tests.unit.agents.connectors.reports import Site, published, text_of
from tests.unit.mappings.conftest import HashedRefIds

PUPILS = (
    "pupilnolongeronrolltableid,NativeId,dob,surname,forename,upn,sex,entrydate,sourceid,"
    "termlysessionspossible,termlysessionsauthorised,termlysessionsunauthorised,"
    "summerhalfterm2sessionspossible,summerhalfterm2sessionsauthorised,summerhalfterm2sessionsunauthorised\n"
)
SESSIONS = (
    "pupilnolongeronrolltableid,NativeId,termlysessiondetailsoffrolltableid,"
    "termlysessiondetailsoffrollorderseqcolumn,sourceid,sessions,attendancereason\n"
)
EXCLUSIONS = (
    "pupilnolongeronrolltableid,NativeId,termlyexclusionsoffrolltableid,termlyexclusionsoffrollorderseqcolumn,"
    "sourceid,startdate,sessions,reason1,reason2,reason3,category,senprovision\n"
)


def pupil(number: int, figures: str = "60.0,5.0,2.0,50.0,,", school: str = "SCH1", upn: str | None = None) -> str:
    named = f"A82099012600{number}" if upn is None else upn
    born = "2014-Jan-21 00:00:00"
    return f"p{number},{school},{born},QUILL,ZEPHYRINE,{named},F,2019-Sep-03 00:00:00,s{number}{school},{figures}\n"


def sessions(number: int, count: str, code: str, school: str = "SCH1") -> str:
    return f"p{number},{school},x,1,s{number}{school},{count},{code}\n"


def exclusion(number: int, day: str = "2026-Jun-08 00:00:00", more: str = "4.0,PP,,,SUSP,N") -> str:
    return f"p{number},SCH1,x,1,s{number}SCH1,{day},{more}\n"


class Census:
    """Files of one census in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.source = CensusSource(CensusOptions(schools={"SCH1": "8209901", "SCH2": "8209902"}))

    def write(self, **tables: str) -> None:
        self.folder.mkdir(exist_ok=True)
        for name, text in tables.items():
            (self.folder / f"2026_autumn_{name}.csv").write_text(text)

    def read(self, table: str = "pupilnolongeronroll") -> tuple[list[Record], Counter[str]]:
        """Read the census; of it, whatever is wrong with it, its rows add up."""
        items = list(self.source.read(self.folder / f"2026_autumn_{table}.csv"))
        for count in self.source.counts:
            assert count.rows == count.used + count.reported
        rules = Counter(f"{i.position}: {i.rule}" for i in items if isinstance(i, SourceProblem) and i.rule != "rows")
        return [item for item in items if isinstance(item, Record)], rules


@pytest.fixture
def census(tmp_path: Path) -> Census:
    return Census(tmp_path / "census")


def objects(name: str, records: list[Record]) -> list[MappedObject]:
    mapping = load(name)
    assert isinstance(mapping, InwardMapping)
    made = [mapping.translate(record, HashedRefIds()) for record in records]
    assert not [problem for one in made for problem in one.problems]
    return [one for translation in made for one in translation.objects]


def test_the_tables_of_a_census_become_valid_attendance_and_exclusions(census: Census, schema: SchemaSet) -> None:
    census.write(
        pupilnolongeronroll=PUPILS + pupil(1),
        termlysessiondetailsoffroll=SESSIONS + sessions(1, "5.0", "I") + sessions(1, "2", "U"),
        termlyexclusionsoffroll=EXCLUSIONS + exclusion(1),
    )
    records, rules = census.read()
    made = objects("census/attendance", records) + objects("census/exclusions", records)

    assert rules == {}
    assert [(one.object_type, one.learner_ref_id) for one in made] == [
        (kind, HashedRefIds().ref_id("LearnerPersonal", ("A820990126001",)))
        for kind in ("LearnerAttendanceSummary", "LearnerAttendanceSummary", "LearnerExclusion")
    ]
    for one in made:
        assert schema.check(one.element, partial=False) == ()
        assert schema.warnings(one.element) == ()
    term = made[0].element
    assert [text_of(term, name) for name in ("SchoolYear", "StartDate", "EndDate")] == [
        "2026",
        "2026-04-01",
        "2026-05-31",
    ]
    assert [text_of(term, name) for name in ("SessionsAttendedTotal", "SessionsPossible")] == ["53", "60"]
    reasons = [[child.text for child in reason] for reason in term.iter("{*}Reason")]
    assert reasons == [
        ["/", "Present", "NA", "53"],
        ["I", "Absent", "Authorised", "5"],
        ["U", "Late", "Unauthorised", "2"],
    ]
    assert text_of(made[2].element, "StartSession") == "1"  # a Monday


def test_absences_are_added_up_from_their_codes_where_there_are_no_totals(census: Census) -> None:
    census.write(
        pupilnolongeronroll=PUPILS + pupil(1, "60.0,,,,,"),
        termlysessiondetailsoffroll=SESSIONS
        + sessions(1, "3.0", "M")
        + sessions(1, "1.0", "O")
        + sessions(1, "9.0", "X")
        + sessions(1, "4.0", "V"),
    )
    (made,) = objects("census/attendance", census.read()[0])

    names = ("SessionsAttendedTotal", "AuthorisedAbsences", "UnauthorisedAbsences")
    assert [text_of(made.element, name) for name in names] == ["56", "3", "1"]


def test_a_pupil_of_two_schools_has_the_sessions_of_each_apart(census: Census) -> None:
    census.write(
        pupilnolongeronroll=PUPILS + pupil(1, "60,4,,,,") + pupil(1, "30,1,,,,", "SCH2"),
        termlysessiondetailsoffroll=SESSIONS + sessions(1, "4", "I") + sessions(1, "1", "I", "SCH2"),
    )
    records, rules = census.read()

    assert rules == {}
    assert [text_of(one.element, "AuthorisedAbsences") for one in objects("census/attendance", records)] == ["4", "1"]


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        ({"pupilnolongeronroll": PUPILS + pupil(1, school="SCH9")}, "pupilnolongeronroll row 2: school"),
        (
            {"pupilnolongeronroll": PUPILS + pupil(1, upn="").replace("QUILL", "")},
            "pupilnolongeronroll row 2: key",
        ),
        ({"pupilnolongeronroll": PUPILS + pupil(1, ",,,,,")}, "pupilnolongeronroll row 2: nothing"),
        ({"pupilnolongeronroll": PUPILS + pupil(1, "6,5,2,,,")}, "pupilnolongeronroll row 2: sessions"),
        ({"pupilnolongeronroll": PUPILS + pupil(1, "many,5,2,,,")}, "pupilnolongeronroll row 2: sessions"),
        ({"pupilnolongeronroll": PUPILS + pupil(1, "60,5,2,,,,5")}, "pupilnolongeronroll row 2: ragged-row"),
        ({"termlysessiondetailsoffroll": SESSIONS + sessions(7, "5", "I")}, "sessiondetailsoffroll row 2: orphan"),
        ({"termlysessiondetailsoffroll": SESSIONS + sessions(1, "5", "QQ")}, "sessiondetailsoffroll row 2: code"),
        ({"termlysessiondetailsoffroll": SESSIONS + sessions(1, "", "I")}, "sessiondetailsoffroll row 2: number"),
        ({"termlysessiondetailsoffroll": SESSIONS + sessions(1, "5", "I") * 2}, "detailsoffroll row 3: duplicate"),
        ({"termlysessiondetailsoffroll": SESSIONS + sessions(1, "4", "I")}, "pupilnolongeronroll row 2: sums"),
        ({"termlyexclusionsoffroll": EXCLUSIONS + exclusion(7)}, "exclusionsoffroll row 2: orphan"),
        ({"termlyexclusionsoffroll": EXCLUSIONS + exclusion(1, "2026-Jun-31")}, "exclusionsoffroll row 2: date"),
        ({"termlyexclusionsoffroll": EXCLUSIONS + exclusion(1, "2026-06-07")}, "exclusionsoffroll row 2: weekend"),
        (
            {"termlyexclusionsoffroll": EXCLUSIONS + exclusion(1, more="4,,,,SUSP,N")},
            "exclusionsoffroll row 2: mandatory",
        ),
        ({"termlyexclusionsoffroll": EXCLUSIONS + exclusion(1) * 2}, "exclusionsoffroll row 3: duplicate"),
        ({"addressesoffroll": "pupilnolongeronrolltableid,street\np1,Long Lane\n"}, "addressesoffroll: table"),
    ],
    ids=[
        "school",
        "nobody",
        "nothing",
        "too-many",
        "no-number",
        "ragged",
        "session-orphan",
        "code",
        "number",
        "code-twice",
        "sums",
        "exclusion-orphan",
        "date",
        "weekend",
        "no-reason",
        "exclusion-twice",
        "other-table",
    ],
)
def test_a_row_that_is_not_used_is_reported_with_file_row_and_rule(
    census: Census, tables: dict[str, str], expected: str
) -> None:
    census.write(**{"pupilnolongeronroll": PUPILS + pupil(1), **tables})
    rules = census.read()[1]

    place, _, rule = expected.rpartition(": ")
    table, space, row = place.partition(" ")
    assert any(said.endswith(f"{table}.csv{space}{row}: {rule}") for said in rules)


def test_attendance_that_cannot_be_made_up_does_not_keep_an_exclusion_back(census: Census) -> None:
    census.write(
        pupilnolongeronroll=PUPILS + pupil(1, "6,5,2,,,"),
        termlysessiondetailsoffroll=SESSIONS + sessions(1, "5", "I"),
        termlyexclusionsoffroll=EXCLUSIONS + exclusion(1),
    )
    records, rules = census.read()

    assert objects("census/attendance", records) == []
    assert len(objects("census/exclusions", records)) == 1
    assert rules == {"2026_autumn_pupilnolongeronroll.csv row 2: sessions": 1}


def test_pupils_still_on_roll_are_read_the_same_way(census: Census) -> None:
    tables = {
        "pupilonroll": PUPILS + pupil(1, "60,5,2,,,"),
        "termlyexclusionsonroll": EXCLUSIONS + exclusion(1),
    }
    change = ("pupilnolongeronroll", "pupilonroll"), ("offroll", "onroll")
    for name, text in tables.items():
        for old, new in change:
            text = text.replace(old, new)
        census.write(**{name: text})
    records, rules = census.read("pupilonroll")

    assert rules == {}
    assert len(objects("census/attendance", records)) == len(objects("census/exclusions", records)) == 1


def test_a_census_without_its_pupils_or_its_name_is_refused_as_a_whole(census: Census, tmp_path: Path) -> None:
    census.write(termlyexclusionsoffroll=EXCLUSIONS + exclusion(1))
    with pytest.raises(SourceError, match="no table of pupils"):
        census.read("termlyexclusionsoffroll")

    path = tmp_path / "pupils.csv"
    path.write_text(PUPILS + pupil(1))
    with pytest.raises(SourceError, match="nothing says which census"):
        list(census.source.read(path))

    named = CensusSource(CensusOptions(census="2026 autumn", schools={"SCH1": "8209901"}))
    assert len([item for item in named.read(path) if isinstance(item, Record)]) == 1


def test_a_changed_table_sends_only_what_has_changed_and_the_census_is_read_once(
    census: Census, tmp_path: Path, schema: SchemaSet
) -> None:
    text = 'connector = "census"\npath = "census/*.csv"\nmapping = ["census/attendance", "census/exclusions"]'
    site = Site(tmp_path, schema, text, census.source)
    census.write(pupilnolongeronroll=PUPILS + pupil(1) + pupil(2), termlyexclusionsoffroll=EXCLUSIONS + exclusion(1))
    assert site.actions() == {"LearnerAttendanceSummary Add": 4, "LearnerExclusion Add": 1}
    assert [rule for _, _, rule in site.rules()] == ["read-already"]

    census.write(
        termlyexclusionsoffroll=EXCLUSIONS + exclusion(1).replace("4.0,PP", "6.0,PP") + exclusion(2),
    )
    events = site.scan()

    assert [event.action for event in events] == ["Change", "Add"]
    assert text_of(published(events, "LearnerExclusion")[0], "ActualSessions") == "6"
