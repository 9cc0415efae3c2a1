"""What events tell the zone about a learner, and who is in whose scope because of it."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta

import pytest

from broker.agreements import Scope
from broker.learners import (
    NOBODY,
    UNSERVED,
    Enrolment,
    Learner,
    LearnerIndex,
    Observed,
    Standing,
    observe,
    standing,
    unknown,
)
from broker.protocol.envelope import NAMESPACE, Action, EventObject
from tests.unit.broker.builders import (
    ALEX,
    BILLIE,
    CONTACT,
    ELSEWHERE,
    ENROLMENT,
    LOCAL,
    MERLIN,
    MIS,
    OTHER_ENROLMENT,
    SCHOOL,
    TODAY,
    XSI,
    agent,
    current,
    element,
    personal,
)

Schools = Mapping[str, str]
NONE: Schools = {}
KNOWN: Schools = {SCHOOL: LOCAL}
YESTERDAY, TOMORROW = TODAY - timedelta(days=1), TODAY + timedelta(days=1)
NIL = f'xmlns:xsi="{XSI}" xsi:nil="true"'


def tell(xml: str, action: Action = Action.ADD, learner: Learner | None = None, schools: Schools = NONE) -> Observed:
    made = element(xml)
    return observe(EventObject(xml[1:].split()[0], action, made), MIS, learner, schools)


def after(xml: str, action: Action = Action.CHANGE, learner: Learner | None = None, schools: Schools = NONE) -> Learner:
    """Return the learner as they are after the event."""
    observed = tell(xml, action, learner, schools).learner
    if observed is None:
        assert learner is not None
        return learner
    return observed


def enrolment(inner: str = "", school: str = SCHOOL, ref: str = ENROLMENT) -> str:
    return (
        f'<LearnerSchoolEnrolment RefId="{ref}" LearnerPersonalRefId="{ALEX}" SchoolInfoRefId="{school}" '
        f'MembershipType="C">{inner}</LearnerSchoolEnrolment>'
    )


def establishments(learner: Learner, today: date = TODAY, schools: Schools = NONE) -> frozenset[str]:
    return standing(learner, schools, today).establishments


# --- scopes ------------------------------------------------------------------------------------------------------

RECIPIENT = agent("r", establishments=[LOCAL, ELSEWHERE], authority="820")


@pytest.mark.parametrize(
    ("learner", "scopes"),
    [
        (NOBODY, {Scope.ALL}),
        (replace(NOBODY, establishments=frozenset({LOCAL})), {Scope.ALL, Scope.ENROLLED}),
        (replace(NOBODY, establishments=frozenset({"8219901"})), {Scope.ALL}),
        (replace(NOBODY, care_authority="820"), {Scope.ALL, Scope.LOOKED_AFTER}),
        (replace(NOBODY, care_authority="821", home_authority="820"), {Scope.ALL, Scope.RESIDENT}),
        (replace(NOBODY, home_authority="821"), {Scope.ALL}),
        (replace(NOBODY, destinations=frozenset({ELSEWHERE})), {Scope.ALL, Scope.TRANSFERRING}),
        (replace(NOBODY, destinations=frozenset({"8219901", UNSERVED})), {Scope.ALL}),
        (
            Standing(frozenset({"8219901", ELSEWHERE}), "820", "820", shielded=True, destinations=frozenset({LOCAL})),
            set(Scope),
        ),
    ],
    ids=[
        "unknown",
        "enrolled",
        "enrolled elsewhere",
        "in care",
        "resident, in another's care",
        "elsewhere",
        "on the way here",
        "on the way elsewhere",
        "all",
    ],
)
def test_a_scope_is_always_in_relation_to_the_recipient(learner: Standing, scopes: set[Scope]) -> None:
    assert {scope for scope in Scope if learner.is_in(scope, RECIPIENT)} == scopes


def test_whose_new_school_nobody_speaks_for_is_on_the_way_to_an_agent_without_schools() -> None:
    unserved = replace(NOBODY, destinations=frozenset({"8219901", UNSERVED}))

    assert unserved.is_in(Scope.TRANSFERRING, agent("ctf-out"))
    assert not replace(unserved, destinations=frozenset({"8219901"})).is_in(Scope.TRANSFERRING, agent("ctf-out"))


@pytest.mark.parametrize("scope", [Scope.ENROLLED, Scope.LOOKED_AFTER, Scope.RESIDENT])
def test_nobody_is_in_the_scope_of_an_agent_without_schools_and_authority(scope: Scope) -> None:
    known = Standing(frozenset({LOCAL, ""}), "820", "820", shielded=False)

    assert not known.is_in(scope, agent("r"))
    assert not NOBODY.is_in(scope, agent("r"))


@pytest.mark.parametrize(
    ("stay", "counts"),
    [
        (Enrolment(LOCAL), True),
        (Enrolment(LOCAL, YESTERDAY, TOMORROW), True),
        (Enrolment(LOCAL, YESTERDAY, TODAY), True),
        (Enrolment(LOCAL, date(2020, 9, 1), YESTERDAY), False),
        (Enrolment(LOCAL, TOMORROW), True),
    ],
    ids=["no dates", "now", "last day", "the day after", "announced"],
)
def test_an_enrolment_counts_from_when_it_is_announced_until_its_last_day_is_over(
    stay: Enrolment, counts: bool
) -> None:
    assert (LOCAL in establishments(Learner(ALEX, enrolments={ENROLMENT: stay}))) is counts


@pytest.mark.parametrize(("in_care", "authority"), [(True, "820"), (False, ""), (None, "")])
def test_an_authority_looks_after_those_who_are_in_care(in_care: bool | None, authority: str) -> None:
    assert standing(Learner(ALEX, in_care=in_care, care_authority="820"), {}, TODAY).care_authority == authority


# --- LearnerPersonal ---------------------------------------------------------------------------------------------


def test_a_new_learner_is_what_learnerpersonal_says() -> None:
    inner = (
        "<PersonalInformation/><InCare><Current>Yes</Current><LAId>821</LAId></InCare><HomeLA>822</HomeLA>" + current()
    )

    made = after(personal(ALEX, inner), Action.ADD)

    assert made == Learner(
        ALEX,
        in_care=True,
        care_authority="821",
        home_authority="822",
        enrolments={ENROLMENT: Enrolment(LOCAL)},
        sources={"LearnerPersonal": MIS},
    )


def test_what_a_change_does_not_mention_stays_as_it_was() -> None:
    known = Learner(
        ALEX,
        b"key",
        in_care=True,
        care_authority="820",
        home_authority="820",
        shielded=True,
        enrolments={ENROLMENT: Enrolment(LOCAL)},
        sources={"LearnerPersonal": MIS},
    )

    assert tell(personal(ALEX, "<UIPI>7</UIPI>"), Action.CHANGE, known) == Observed()


@pytest.mark.parametrize(
    ("care", "in_care", "authority"),
    [
        ("<InCare><Current>No</Current><LAId>820</LAId></InCare>", False, "820"),
        ("<InCare><Current>Unknown</Current><LAId>820</LAId></InCare>", None, "820"),
        ("<InCare><LAId>821</LAId></InCare>", True, "821"),
        ("<InCare><PersonalEducationPlan>Yes</PersonalEducationPlan></InCare>", True, "820"),
        (f"<InCare {NIL}/>", None, ""),
    ],
    ids=["left care", "not known", "another authority", "another part of it", "emptied"],
)
def test_a_change_of_care_changes_what_it_holds(care: str, in_care: bool | None, authority: str) -> None:
    known = Learner(ALEX, in_care=True, care_authority="820")

    made = after(personal(ALEX, care), learner=known)

    assert (made.in_care, made.care_authority) == (in_care, authority)


def test_a_home_authority_that_is_emptied_is_forgotten() -> None:
    assert after(personal(ALEX, f"<HomeLA {NIL}/>"), learner=Learner(ALEX, home_authority="820")).home_authority == ""


def test_a_learner_moved_by_learnerpersonal_alone_is_no_longer_at_the_school_before() -> None:
    before = after(personal(ALEX, current(LOCAL, ENROLMENT)), Action.ADD)

    moved = after(personal(ALEX, current(ELSEWHERE, OTHER_ENROLMENT)), learner=before)

    assert establishments(before) == {LOCAL}
    assert establishments(moved) == {ELSEWHERE}


def test_a_learner_who_is_enrolled_twice_stays_so_when_learnerpersonal_names_one_school() -> None:
    both = {
        ENROLMENT: Enrolment(LOCAL, date(2025, 9, 1)),
        OTHER_ENROLMENT: Enrolment(ELSEWHERE, date(2026, 9, 1)),
    }

    made = after(personal(ALEX, current(LOCAL, ENROLMENT)), learner=Learner(ALEX, enrolments=both))

    assert made.enrolments == both


@pytest.mark.parametrize("ref", [ENROLMENT, OTHER_ENROLMENT], ids=["its RefId", "another RefId"])
def test_the_dates_of_the_enrolment_itself_count_not_its_mirror(ref: str) -> None:
    left = {ENROLMENT: Enrolment(LOCAL, date(2025, 9, 1), YESTERDAY)}

    made = after(personal(ALEX, current(LOCAL, ref)), learner=Learner(ALEX, enrolments=left))

    assert establishments(made) == frozenset()


@pytest.mark.parametrize(
    ("inner", "school"),
    [
        ("<NCYearGroup>8</NCYearGroup>", LOCAL),
        ("<EstablishmentId>9902</EstablishmentId>", ELSEWHERE),
        ("<LAId>821</LAId>", "8219901"),
    ],
    ids=["year group", "establishment", "authority"],
)
def test_a_part_of_the_current_enrolment_changes_that_part(inner: str, school: str) -> None:
    known = after(personal(ALEX, current(LOCAL)), Action.ADD)
    part = f'<CurrentSchoolEnrolment LearnerSchoolEnrolmentRefId="{ENROLMENT}">{inner}</CurrentSchoolEnrolment>'

    assert establishments(after(personal(ALEX, part), learner=known)) == {school}


def test_an_emptied_current_enrolment_ends_what_only_it_said() -> None:
    known = after(personal(ALEX, current(LOCAL)), Action.ADD)

    assert establishments(after(personal(ALEX, f"<CurrentSchoolEnrolment {NIL}/>"), learner=known)) == frozenset()


def test_a_deleted_learner_is_forgotten() -> None:
    assert tell(personal(ALEX, ""), Action.DELETE, Learner(ALEX, home_authority="820")) == Observed(forgotten=ALEX)


def test_a_shield_outlives_the_learner_it_protects() -> None:
    shielded = Learner(ALEX, home_authority="820", shielded=True, enrolments={ENROLMENT: Enrolment(LOCAL)})

    deleted = after(personal(ALEX, ""), Action.DELETE, shielded)
    back = after(personal(ALEX, current()), Action.ADD, deleted)

    assert deleted == Learner(ALEX, shielded=True)
    assert back.shielded


def test_blanks_around_a_refid_make_no_other_learner() -> None:
    assert tell(personal(f" {ALEX} ", ""), Action.DELETE) == Observed(forgotten=ALEX)
    assert tell(personal(f" {ALEX} ", "<HomeLA>820</HomeLA>")).learner == Learner(
        ALEX, home_authority="820", sources={"LearnerPersonal": MIS}
    )


def test_the_zone_remembers_where_each_kind_of_object_came_from() -> None:
    known = after(personal(ALEX, "<HomeLA>820</HomeLA>"), Action.ADD)

    event = EventObject("LearnerSchoolEnrolment", Action.ADD, element(enrolment("<EntryDate>2026-09-01</EntryDate>")))
    made = observe(event, MERLIN, known, {}).learner

    assert made is not None
    assert made.sources == {"LearnerPersonal": MIS, "LearnerSchoolEnrolment": MERLIN}


# --- LearnerSchoolEnrolment, LearnerContact, SchoolInfo ----------------------------------------------------------


def test_an_enrolment_is_at_the_establishment_of_its_school() -> None:
    made = after(enrolment("<EntryDate>2026-09-01</EntryDate>"), Action.ADD, None, schools=KNOWN)

    assert made.enrolments == {ENROLMENT: Enrolment(LOCAL, date(2026, 9, 1), main=True)}
    assert made.ref_id == ALEX


def test_an_enrolment_at_a_school_not_yet_known_counts_once_the_school_is() -> None:
    made = after(enrolment("<EntryDate>2026-09-01</EntryDate>"), Action.ADD)

    assert LOCAL not in establishments(made)
    assert establishments(made, schools=KNOWN) == {LOCAL}


def test_an_enrolment_takes_the_place_of_its_mirror() -> None:
    for ref in (ENROLMENT, OTHER_ENROLMENT):
        mirrored = after(personal(ALEX, current(LOCAL, ref)), Action.ADD)
        ended = "<EntryDate>2025-09-01</EntryDate><ExitDate>2026-07-20</ExitDate>"

        assert establishments(after(enrolment(ended), learner=mirrored, schools=KNOWN)) == frozenset()


def test_an_enrolment_ends_by_its_exit_date_and_is_open_again_when_that_is_emptied() -> None:
    known = after(enrolment("<EntryDate>2025-09-01</EntryDate>"), Action.ADD, None, schools=KNOWN)

    left = after(enrolment(f"<ExitDate>{YESTERDAY}</ExitDate>"), learner=known, schools=KNOWN)
    back = after(enrolment(f"<ExitDate {NIL}/>"), learner=left, schools=KNOWN)

    assert [establishments(learner) for learner in (known, left, back)] == [{LOCAL}, frozenset(), {LOCAL}]
    assert left.enrolments[ENROLMENT].entry == date(2025, 9, 1)


def test_a_deleted_enrolment_no_longer_counts() -> None:
    known = Learner(ALEX, enrolments={ENROLMENT: Enrolment(LOCAL, date(2025, 9, 1)), OTHER_ENROLMENT: Enrolment("x")})

    assert after(enrolment(), Action.DELETE, known).enrolments == {OTHER_ENROLMENT: Enrolment("x")}


@pytest.mark.parametrize("text", ["-0044-03-15", "12026-09-01", "2026-09-01Z", "2026-09-01+01:00"])
def test_every_date_that_the_schema_allows_is_taken(text: str) -> None:
    made = after(enrolment(f"<EntryDate>{text}</EntryDate><ExitDate>2026-07-20+01:00</ExitDate>"), Action.ADD)

    assert made.enrolments[ENROLMENT].exit == date(2026, 7, 20)


def test_contacts_are_linked_to_learners_and_unlinked() -> None:
    xml = f'<LearnerContact LearnerPersonalRefId=" {ALEX}" ContactPersonalRefId="{CONTACT} "/>'

    assert tell(xml) == tell(xml, Action.CHANGE) == Observed(linked=(CONTACT, ALEX))
    assert tell(xml, Action.DELETE) == Observed(unlinked=(CONTACT, ALEX))


@pytest.mark.parametrize(
    ("inner", "action", "expected"),
    [
        ("<LAId>820</LAId><EstablishmentId>9901</EstablishmentId>", Action.ADD, (SCHOOL, LOCAL)),
        ("<SchoolName>Larkrise</SchoolName>", Action.CHANGE, None),
        ("<LAId>820</LAId><EstablishmentId>9901</EstablishmentId>", Action.DELETE, None),
    ],
    ids=["add", "change of something else", "delete"],
)
def test_a_school_is_known_by_its_number(inner: str, action: Action, expected: tuple[str, str] | None) -> None:
    assert tell(f'<SchoolInfo RefId="{SCHOOL}">{inner}</SchoolInfo>', action) == Observed(school=expected)  # type: ignore[arg-type]  # the type is one of identifiers


def test_other_objects_tell_nothing() -> None:
    assert tell(f'<TermInfo RefId="{SCHOOL}" SchoolInfoRefId="{SCHOOL}"/>') == Observed()


# --- the index ---------------------------------------------------------------------------------------------------


def test_what_is_observed_is_known_to_what_follows() -> None:
    index = LearnerIndex()

    index.apply(Observed(learner=Learner(ALEX, home_authority="820")))
    index.apply(Observed(linked=(CONTACT, ALEX)))
    index.apply(Observed(linked=(CONTACT, BILLIE)))
    index.apply(Observed(unlinked=(CONTACT, ALEX)))

    assert index.standing(ALEX, TODAY).home_authority == "820"
    assert index.contacts[CONTACT] == {BILLIE}
    index.apply(Observed(forgotten=ALEX))
    assert index.standing(ALEX, TODAY) == NOBODY


def test_a_draft_sees_the_index_and_leaves_it_as_it_is() -> None:
    index = LearnerIndex()
    index.apply(Observed(learner=Learner(ALEX, home_authority="820")))
    draft = index.draft()

    draft.apply(Observed(learner=Learner(BILLIE)))
    draft.apply(Observed(linked=(CONTACT, ALEX)))

    assert draft.standing(ALEX, TODAY).home_authority == "820"
    assert set(draft.learners) == {ALEX, BILLIE}
    assert (set(index.learners), dict(index.contacts)) == ({ALEX}, {})


def test_a_draft_forgets_without_the_index_forgetting() -> None:
    index = LearnerIndex()
    index.apply(Observed(learner=Learner(ALEX, home_authority="820")))
    draft = index.draft()

    draft.apply(Observed(forgotten=ALEX))

    assert draft.standing(ALEX, TODAY) == NOBODY
    assert index.standing(ALEX, TODAY).home_authority == "820"


def test_what_has_to_be_loaded_is_listed_once_in_order() -> None:
    assert unknown(["b", "", "a", "b", "c"], {"c": 1}) == ["b", "a"]


def test_namespaces_decide_what_is_read() -> None:
    xml = (
        f'<LearnerPersonal xmlns="{NAMESPACE}" RefId="{ALEX}"><HomeLA xmlns="urn:other">820</HomeLA></LearnerPersonal>'
    )

    made = tell(xml).learner

    assert made is not None
    assert made.home_authority == ""


@pytest.mark.parametrize(("sent", "kept"), [("S-0001", "S-0001"), ("Zephyrine Smith", ""), ("Zephyrine", "")])
def test_a_local_id_that_may_be_a_name_is_not_kept(sent: str, kept: str) -> None:
    body = element(personal(ALEX, f"<LocalId>{sent}</LocalId>"))

    observed = observe(EventObject("LearnerPersonal", Action.ADD, body), MIS, None, {})

    assert observed.learner is not None
    assert observed.learner.local_id == kept
