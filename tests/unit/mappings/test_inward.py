"""What an inward mapping makes of a record, and what it says of what it cannot use."""

from collections.abc import Callable
from importlib.metadata import EntryPoint

import pytest
from lxml import etree

from mappings import InwardMapping, MappingError, Record, RefIds, RowProblem, Translation

NS = "{http://www.sifinfo.org/uk/infrastructure/2.x}"
Make = Callable[[str], InwardMapping]
MARK = "Zzsecretzz"

LEARNER = """
object = "LearnerPersonal"
key = ["UPN"]
[fields]
"LocalId" = "Adno"
"PersonalInformation/Name[@Type='C']/FamilyName" = { from = "Surname", required = true }
"PersonalInformation/Demographics/Gender" = "Sex"
"PersonalInformation/Demographics/BirthDate" = { from = "DOB", convert = "date:%d/%m/%Y" }
"PersonalInformation/Address[@Type='Current']/PAON/Description" = "House"
"PersonalInformation/Address[@Type='Current']/Street" = "Street"
"""


def _row(**fields: str) -> Record:
    return Record("row 12", {"UPN": "X820990119007", "Surname": "Thornquist", **fields})


def _texts(translation: Translation, path: str) -> list[str | None]:
    (made,) = translation.objects
    return [e.text for e in made.element.iterfind("/".join(NS + part for part in path.split("/")))]


def _one(translation: Translation) -> RowProblem:
    (problem,) = translation.problems
    return problem


def test_children_stand_in_schema_order_whatever_the_order_of_the_file(inward: Make, ref_ids: RefIds) -> None:
    mapping = inward(
        'object = "LearnerPersonal"\nkey = ["UPN"]\n[fields]\n"UPN" = "UPN"\n"LocalId" = "Adno"\n'
        '"PersonalInformation/Name[@Type=\'C\']/GivenName" = "Forename"\n'
        '"PersonalInformation/Name[@Type=\'C\']/FamilyName" = "Surname"'
    )

    (made,) = mapping.translate(_row(Adno="1", Forename="Maelys"), ref_ids).objects

    assert [etree.QName(e).localname for e in made.element.iter("{*}*")] == [
        "LearnerPersonal",
        "LocalId",
        "PersonalInformation",
        "Name",
        "FamilyName",
        "GivenName",
        "UPN",
    ]


def test_a_missing_required_part_refuses_the_object_and_says_what_to_fill(inward: Make, ref_ids: RefIds) -> None:
    translation = inward(LEARNER).translate(Record("row 12", {"UPN": "X820990119007"}), ref_ids)

    problem = _one(translation)
    assert translation.objects == ()
    assert (problem.position, problem.severity, problem.rule) == ("row 12", "refuse", "mandatory")
    assert (problem.source, problem.target) == ("Surname", "PersonalInformation/Name/FamilyName")
    assert "fill Surname" in problem.message


def test_a_missing_key_refuses_the_object(inward: Make, ref_ids: RefIds) -> None:
    translation = inward(LEARNER).translate(Record("row 12", {"Surname": "Thornquist"}), ref_ids)

    assert translation.objects == ()
    assert (_one(translation).rule, _one(translation).source) == ("key", "UPN")


def test_an_optional_part_that_cannot_be_converted_is_left_out_and_reported(inward: Make, ref_ids: RefIds) -> None:
    translation = inward(LEARNER).translate(_row(DOB="31/02/2013", Sex="F"), ref_ids)

    assert _texts(translation, "PersonalInformation/Demographics/BirthDate") == []
    assert _texts(translation, "PersonalInformation/Demographics/Gender") == ["F"]
    assert (_one(translation).severity, _one(translation).rule, _one(translation).source) == ("warn", "date", "DOB")


def test_a_code_of_a_closed_list_is_checked_and_the_nearest_named(inward: Make, ref_ids: RefIds) -> None:
    translation = inward(LEARNER).translate(_row(Sex="m"), ref_ids)

    assert _texts(translation, "PersonalInformation/Demographics/Gender") == []
    assert (_one(translation).rule, _one(translation).nearest) == ("code", "M")


def test_an_optional_element_without_its_mandatory_part_is_left_out_as_a_whole(inward: Make, ref_ids: RefIds) -> None:
    translation = inward(LEARNER).translate(_row(Street="Harrow Lane"), ref_ids)

    assert _texts(translation, "PersonalInformation/Address") == []
    assert _one(translation).message.startswith("PersonalInformation/Address is left out")
    assert (_one(translation).severity, _one(translation).source) == ("warn", "House")


def test_an_element_of_which_the_source_says_nothing_is_neither_made_nor_reported(
    inward: Make, ref_ids: RefIds
) -> None:
    translation = inward(LEARNER).translate(_row(), ref_ids)

    assert _texts(translation, "PersonalInformation/Address") == []
    assert translation.problems == ()


def test_no_problem_holds_a_value(inward: Make, ref_ids: RefIds) -> None:
    bad = Record("row 12", {"UPN": MARK, "DOB": MARK, "Sex": MARK, "Street": MARK, "Surname": f"{MARK}\x07"})

    translation = inward(LEARNER).translate(bad, ref_ids)

    assert translation.problems
    assert MARK not in repr(translation) + "".join(map(str, translation.problems)) + repr(bad)


def test_a_character_that_xml_cannot_carry_is_refused_not_raised(inward: Make, ref_ids: RefIds) -> None:
    translation = inward(LEARNER).translate(_row(Adno="00\x00471"), ref_ids)

    assert _texts(translation, "LocalId") == []
    assert _one(translation).rule == "characters"


def test_line_breaks_in_a_value_become_blanks(inward: Make, ref_ids: RefIds) -> None:
    assert _texts(inward(LEARNER).translate(_row(Adno="00\r\n471"), ref_ids), "LocalId") == ["00 471"]


def test_markup_in_a_value_stays_text(inward: Make, ref_ids: RefIds) -> None:
    (made,) = inward(LEARNER).translate(_row(Adno="<UPN>&amp;</UPN>"), ref_ids).objects

    assert made.element.find(f"{NS}UPN") is None
    assert made.element.findtext(f"{NS}LocalId") == "<UPN>&amp;</UPN>"


def test_constants_and_defaults_alone_make_no_optional_element(inward: Make, ref_ids: RefIds) -> None:
    mapping = inward(
        LEARNER + '"PersonalInformation/Demographics/EthnicityList/Ethnicity/Code" = "Ethnicity"\n'
        '"PersonalInformation/Demographics/EthnicityList/Ethnicity/Source" = { from = "Source", default = "O" }\n'
        '"InCare/Current" = "In Care"\n"InCare/LAId" = { const = "820" }'
    )

    without = mapping.translate(_row(), ref_ids)
    filled = mapping.translate(_row(**{"Ethnicity": "WBRI", "In Care": "No"}), ref_ids)

    assert (_texts(without, "InCare"), _texts(without, "PersonalInformation/Demographics")) == ([], [])
    assert _texts(filled, "PersonalInformation/Demographics/EthnicityList/Ethnicity/Source") == ["O"]
    assert _texts(filled, "InCare/LAId") == ["820"]


def test_the_first_alternative_with_a_value_counts_and_a_warning_is_reported(inward: Make, ref_ids: RefIds) -> None:
    mapping = inward(LEARNER + '"HomeLA" = ["Home LA", { const = "820", warn = "assumed: enter it" }]')

    given = mapping.translate(_row(**{"Home LA": "836"}), ref_ids)
    assumed = mapping.translate(_row(), ref_ids)

    assert (_texts(given, "HomeLA"), given.problems) == (["836"], ())
    assert (_texts(assumed, "HomeLA"), _one(assumed).rule, _one(assumed).severity) == (["820"], "note", "warn")


def test_a_value_that_cannot_be_used_is_not_replaced_by_the_default(inward: Make, ref_ids: RefIds) -> None:
    mapping = inward(LEARNER + '"UPNAllocationDate" = { from = "Given", default = "2020-01-01" }')

    assert _texts(mapping.translate(_row(Given="soon"), ref_ids), "UPNAllocationDate") == []


@pytest.mark.parametrize(
    ("when", "made"),
    [("true", 1), ("false", 0), ('"C"', 1), ('["P", "c"]', 1), ('"P"', 0)],
)
def test_a_record_is_mapped_only_when_its_tests_hold(inward: Make, ref_ids: RefIds, when: str, made: int) -> None:
    mapping = inward(LEARNER.replace("[fields]", f"when = {{ Status = {when} }}\n[fields]"))

    translation = mapping.translate(_row(Status="C"), ref_ids)

    assert (len(translation.objects), translation.problems) == (made, ())


def test_each_member_of_a_group_becomes_an_object_that_can_read_the_whole_record(inward: Make, ref_ids: RefIds) -> None:
    mapping = inward(
        'object = "ContactPersonal"\neach = "Contacts/Contact"\nkey = ["/UPN", "Surname"]\n'
        'about = { ref = "LearnerPersonal", key = ["/UPN"] }\n[fields]\n'
        '"PersonalInformation/Name[@Type=\'C\']/FamilyName" = { from = "Surname", required = true }'
    )
    contacts = (
        Record("line 5", {"Surname": "Abernall"}),
        Record("line 9", {}),
        Record("line 13", {"Surname": "Vexley"}),
    )

    translation = mapping.translate(Record("pupil 1", {"UPN": "X1"}, {"Contacts/Contact": contacts}), ref_ids)

    assert [made.key for made in translation.objects] == [("X1", "Abernall"), ("X1", "Vexley")]
    assert {made.learner_ref_id for made in translation.objects} == {ref_ids.ref_id("LearnerPersonal", ("X1",))}
    assert _one(translation).position == "line 9"


def test_the_same_object_twice_in_a_record_is_made_once_and_reported(inward: Make, ref_ids: RefIds) -> None:
    mapping = inward(
        'object = "ContactPersonal"\neach = "Contacts/Contact"\nkey = ["Surname"]\n[fields]\n'
        '"PersonalInformation/Name[@Type=\'C\']/FamilyName" = "Surname"'
    )
    twice = (Record("line 5", {"Surname": "Abernall"}), Record("line 9", {"Surname": "Abernall"}))

    translation = mapping.translate(Record("pupil 1", {}, {"Contacts/Contact": twice}), ref_ids)

    assert len(translation.objects) == 1
    assert (_one(translation).position, _one(translation).rule) == ("line 9", "duplicate")


def test_a_key_takes_the_first_alternative_that_is_whole(inward: Make, ref_ids: RefIds) -> None:
    text = LEARNER.replace('["UPN"]', '[[{ from = "UPN", convert = "upper" }], ["Surname", "DOB"]]')

    by_upn = inward(text).translate(_row(UPN="x820990119007"), ref_ids)
    by_name = inward(text).translate(Record("row 3", {"Surname": "Vexley", "DOB": "01/02/2013"}), ref_ids)

    assert by_upn.objects[0].key == ("X820990119007",)
    assert by_name.objects[0].key == ("Vexley", "01/02/2013")


def test_a_reference_is_the_ref_id_of_the_other_object_by_its_key(inward: Make, ref_ids: RefIds) -> None:
    mapping = inward(
        'object = "LearnerGroupEnrolment"\nkey = ["UPN", "Group"]\n[fields]\n'
        '"@LearnerPersonalRefId" = { ref = "LearnerPersonal", key = ["UPN"] }\n'
        '"@SchoolGroupRefId" = { ref = "SchoolGroup", key = ["Group"] }\n"SchoolYear" = "Year"'
    )

    (made,) = mapping.translate(_row(Group="9A", Year="2027"), ref_ids).objects

    assert made.element.get("SchoolGroupRefId") == ref_ids.ref_id("SchoolGroup", ("9A",))
    assert made.learner_ref_id == made.element.get("LearnerPersonalRefId")


def test_a_reference_without_key_refuses_the_object_and_names_the_fields(inward: Make, ref_ids: RefIds) -> None:
    mapping = inward(
        'object = "LearnerGroupEnrolment"\nkey = ["UPN"]\n[fields]\n'
        '"@LearnerPersonalRefId" = { ref = "LearnerPersonal", key = ["UPN"] }\n'
        '"@SchoolGroupRefId" = { ref = "SchoolGroup", key = ["Group"] }\n"SchoolYear" = { const = "2027" }'
    )

    problem = _one(mapping.translate(_row(), ref_ids))

    assert (problem.severity, problem.source, problem.target) == ("refuse", "Group", "@SchoolGroupRefId")


def test_a_list_is_ordered_numbered_and_differs_in_its_unique_attribute(inward: Make, ref_ids: RefIds) -> None:
    mapping = inward(
        LEARNER + '[lists."PersonalInformation/OtherPhoneNumberList/PhoneNumber"]\neach = "Phones"\norder = "Rank"\n'
        'unique = "@Type"\nfields = { "@Type" = "Type", "Number" = "No" }'
    )
    phones = tuple(
        Record(f"phone {rank}", {"Rank": rank, "Type": kind, "No": number})
        for rank, kind, number in [("10", "M", "3"), ("9", "M", "2"), ("1", "H", "1")]
    )

    translation = mapping.translate(Record("row 1", {"UPN": "X", "Surname": "Vexley"}, {"Phones": phones}), ref_ids)

    assert _texts(translation, "PersonalInformation/OtherPhoneNumberList/PhoneNumber/Number") == ["1", "2"]
    assert (_one(translation).position, _one(translation).rule) == ("phone 10", "duplicate")


def test_a_pick_is_the_member_that_agrees_with_the_record(inward: Make, ref_ids: RefIds) -> None:
    mapping = inward(
        LEARNER.replace(
            "[fields]",
            '[pick.stay]\nfrom = "Schools"\nwhere = { Estab = "Estab" }\norder = "Entry"\n'
            'take = "last"\n[fields]\n"UPNAllocationDate" = "stay:Entry"',
        )
    )
    stays = tuple(
        Record("line", {"Estab": estab, "Entry": entry})
        for estab, entry in [("9901", "2026-09-02"), ("9902", "2027-01-04"), ("9901", "2020-09-02")]
    )

    translation = mapping.translate(
        Record("row 1", {"UPN": "X", "Surname": "Vexley", "Estab": "9901"}, {"Schools": stays}), ref_ids
    )

    assert _texts(translation, "UPNAllocationDate") == ["2026-09-02"]


def test_a_field_of_a_pick_is_reported_by_its_place_in_the_source(inward: Make, ref_ids: RefIds) -> None:
    mapping = inward(
        LEARNER.replace("[fields]", '[pick.stay]\nfrom = "Schools"\n[fields]\n"UPNAllocationDate" = "stay:Entry"')
    )
    stay = Record("line 9", {"Entry": "soon"})

    translation = mapping.translate(Record("row 1", {"UPN": "X", "Surname": "Vexley"}, {"Schools": (stay,)}), ref_ids)

    assert _one(translation).source == "Schools/Entry"


def test_a_converter_that_fails_costs_only_its_field(
    inward: Make, ref_ids: RefIds, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = EntryPoint("ours", "builtins:int", "sifzone.converters")  # its error quotes the value
    monkeypatch.setattr("mappings.converters._added", lambda: {"ours": broken})

    translation = inward(LEARNER.replace('"Adno"', '{ from = "Adno", convert = "ours" }')).translate(
        _row(Adno=MARK), ref_ids
    )

    assert _texts(translation, "LocalId") == []
    assert (_one(translation).rule, MARK in repr(translation.problems)) == ("ours", False)


def test_sources_are_the_fields_that_a_mapping_reads(inward: Make) -> None:
    assert inward(LEARNER).sources == {"UPN", "Adno", "Surname", "Sex", "DOB", "House", "Street"}


def test_a_mapping_cannot_set_the_ref_id_itself(inward: Make) -> None:
    with pytest.raises(MappingError, match="'@RefId' is made from 'key'"):
        inward(LEARNER + '"@RefId" = "UPN"')
