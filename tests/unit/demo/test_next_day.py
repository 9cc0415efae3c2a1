"""What changes on the demo's next day is what expected.json says, though every file was written anew."""

from lxml import etree

from tests.unit.demo.conftest import Day, Made


def by_ref(day: Day, object_type: str) -> dict[str, bytes]:
    return {made.object.ref_id: etree.tostring(made.object.element, method="c14n") for made in day.objects(object_type)}


def upn_of(made: Made) -> str:
    return made.object.key[0]


def test_five_learners_change_two_come_and_none_goes(first_day: Day, next_day: Day) -> None:
    before, after = by_ref(first_day, "LearnerPersonal"), by_ref(next_day, "LearnerPersonal")
    upns = {made.object.ref_id: upn_of(made) for made in next_day.objects("LearnerPersonal")}
    changes = next_day.expected["changes"]

    assert {upns[ref] for ref in after if ref in before and after[ref] != before[ref]} == {
        learner["upn"] for learner in changes["changed"]
    }
    assert {upns[ref] for ref in after.keys() - before.keys()} == {learner["upn"] for learner in changes["joined"]}
    assert before.keys() <= after.keys()


def test_the_leavers_enrolment_ends(first_day: Day, next_day: Day) -> None:
    before, after = by_ref(first_day, "LearnerSchoolEnrolment"), by_ref(next_day, "LearnerSchoolEnrolment")
    changed = [ref for ref in before if after[ref] != before[ref]]

    assert len(changed) == len(next_day.expected["changes"]["left"]) == 1
    assert b"<ExitDate>2026-11-20</ExitDate>" in after[changed[0]]


def test_everything_else_is_as_it_was(first_day: Day, next_day: Day) -> None:
    types = {made.object.object_type for made in first_day.made} - {"LearnerPersonal", "LearnerSchoolEnrolment"}
    for object_type in types:
        before, after = by_ref(first_day, object_type), by_ref(next_day, object_type)
        assert before.keys() <= after.keys()
        changed = [ref for ref in before if after[ref] != before[ref]]
        # the leaver's places in groups end with the enrolment
        assert len(changed) == (4 if object_type == "LearnerGroupEnrolment" else 0), object_type
