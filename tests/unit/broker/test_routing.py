"""Who gets an object, under which agreements, and why the others do not."""

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.agreements import Agreement, Scope
from broker.learners import NOBODY, UNSERVED, Standing
from broker.protocol.identifiers import DEFAULT_CONTEXT, AgentId, Context
from broker.registry import AgentRecord, Channel, Live, Registration, Registry, Role, Topic, grants
from broker.routing import Plan, Reason, Router, Standings, explain
from tests.unit.broker.builders import LOCAL, MERLIN, MIS, TODAY, VIRTUAL, agent, agreement, registry

PERSONAL = "LearnerPersonal"
SHARES = {PERSONAL: ("@RefId", "LocalId")}
HERE = replace(NOBODY, establishments=frozenset({LOCAL}))
IN_CARE = replace(NOBODY, care_authority="820")
SHIELDED = replace(HERE, shielded=True)
AGENTS = (
    agent(MIS, subscribe=[PERSONAL]),
    agent(MERLIN, subscribe=[PERSONAL], establishments=[LOCAL]),
    agent(VIRTUAL, subscribe=[PERSONAL], authority="820"),
)


def plan(*agreements: Agreement, standings: Standings | None = (HERE,), sender: AgentId = MIS) -> Plan:
    return Router(registry(*AGENTS), agreements, TODAY).plan(sender, PERSONAL, standings)


def recipients(made: Plan) -> dict[str, str]:
    return {str(agent): view.name for view, agents in made.shares for agent in agents}


def reasons(made: Plan) -> dict[str, Reason]:
    return {str(agent): reason for reason, agents in made.withheld for agent in agents}


def test_without_an_agreement_nobody_gets_anything() -> None:
    made = plan()

    assert made.shares == ()
    assert reasons(made) == {MERLIN: Reason.NO_AGREEMENT, VIRTUAL: Reason.NO_AGREEMENT}


@pytest.mark.parametrize(
    "other",
    [
        agreement("a", {"SchoolInfo": ("@RefId",)}),
        agreement("a", SHARES, senders=("mis-8209902", "merlin")),
        agreement("a", SHARES, to=("social-care",)),
    ],
    ids=["about another object", "from another sender", "to another recipient"],
)
def test_an_agreement_about_something_else_is_none(other: Agreement) -> None:
    assert reasons(plan(other)) == {MERLIN: Reason.NO_AGREEMENT, VIRTUAL: Reason.NO_AGREEMENT}


def test_whoever_an_agreement_names_gets_it_the_sender_never() -> None:
    made = plan(agreement("a", SHARES))

    assert recipients(made) == {MERLIN: "a@00000000", VIRTUAL: "a@00000000"}
    assert made.withheld == ()


def test_whoever_does_not_subscribe_is_not_even_named() -> None:
    router = Router(registry(*AGENTS, agent("library")), [agreement("a", SHARES)], TODAY)

    assert "library" not in recipients(router.plan(MIS, PERSONAL, None))
    assert router.plan(MIS, "SchoolInfo", None) == Plan((), ())


@pytest.mark.parametrize(
    ("starts", "expires", "live"),
    [
        (TODAY, TODAY, True),
        (TODAY - timedelta(days=1), TODAY, True),
        (TODAY, TODAY + timedelta(days=1), True),
        (TODAY + timedelta(days=1), TODAY + timedelta(days=9), False),
        (TODAY - timedelta(days=9), TODAY - timedelta(days=1), False),
    ],
    ids=["only today", "last day", "first day", "not started", "expired"],
)
def test_only_a_live_agreement_shares(starts: date, expires: date, live: bool) -> None:
    made = plan(agreement("a", SHARES, starts=starts, expires=expires, to=(MERLIN,)))

    assert (MERLIN in recipients(made)) is live
    assert reasons(made).get(MERLIN) == (None if live else Reason.NOT_LIVE)


@pytest.mark.parametrize(
    ("scope", "standings", "gets"),
    [
        (Scope.ENROLLED, (HERE,), {MERLIN}),
        (Scope.ENROLLED, (IN_CARE,), set()),
        (Scope.LOOKED_AFTER, (IN_CARE,), {VIRTUAL}),
        (Scope.LOOKED_AFTER, (replace(NOBODY, care_authority="821"),), set()),
        (Scope.RESIDENT, (replace(NOBODY, home_authority="820"),), {VIRTUAL}),
        (Scope.RESIDENT, (IN_CARE,), set()),
        (Scope.ALL, (NOBODY,), {MERLIN, VIRTUAL}),
        (Scope.ALL, (), set()),
        (Scope.ENROLLED, (), set()),
        (Scope.ENROLLED, None, {MERLIN, VIRTUAL}),
        (Scope.ENROLLED, (HERE, NOBODY), {MERLIN}),
        (Scope.ENROLLED, (NOBODY, HERE), {MERLIN}),
    ],
    ids=[
        "enrolled here",
        "enrolled nowhere",
        "looked after",
        "looked after by another",
        "resident",
        "not resident",
        "all",
        "all, learner unknown",
        "learner unknown",
        "about no learner",
        "leaving",
        "entering",
    ],
)
def test_a_scope_decides_who_of_those_named_gets_it(
    scope: Scope, standings: Standings | None, gets: set[AgentId]
) -> None:
    made = plan(agreement("a", SHARES, scope=scope), standings=standings)

    assert set(recipients(made)) == gets
    assert set(reasons(made).values()) <= {Reason.NOT_IN_SCOPE}


@pytest.mark.parametrize("standings", [(SHIELDED,), (HERE, SHIELDED), (SHIELDED, HERE)], ids=["is", "gets", "loses"])
def test_a_learner_under_a_shield_goes_where_an_agreement_says_so_only(standings: Standings) -> None:
    made = plan(agreement("a", SHARES), agreement("b", SHARES, to=(VIRTUAL,), shielded=True), standings=standings)

    assert recipients(made) == {VIRTUAL: "b@00000000"}  # and under that agreement alone
    assert reasons(made) == {MERLIN: Reason.SHIELDED}


def test_several_agreements_for_one_recipient_are_one_view() -> None:
    made = plan(
        agreement("b", {PERSONAL: ("@RefId", "UPN")}, to=(MERLIN,)),
        agreement("a", SHARES),
        agreement(
            "c", {PERSONAL: ("@RefId", "InCare")}, expires=TODAY - timedelta(days=1), starts=TODAY - timedelta(2)
        ),
        agreement("d", {PERSONAL: ("@RefId", "HomeLA")}, scope=Scope.LOOKED_AFTER),
    )

    assert recipients(made) == {MERLIN: "a@00000000+b@00000000", VIRTUAL: "a@00000000"}
    assert {view.paths for view, _ in made.shares} == {("@RefId", "LocalId", "UPN"), ("@RefId", "LocalId")}


@pytest.mark.parametrize(
    ("agreements", "reason"),
    [
        ([agreement("a", SHARES, to=("x",)), agreement("b", SHARES, starts=date(2030, 1, 1))], Reason.NOT_LIVE),
        ([agreement("a", SHARES, starts=date(2030, 1, 1)), agreement("b", SHARES, scope=Scope.RESIDENT)], "scope"),
        ([agreement("a", SHARES, scope=Scope.RESIDENT), agreement("b", SHARES)], "shield"),
    ],
    ids=["nearest is not live", "nearest is out of scope", "nearest is stopped by the shield"],
)
def test_the_reason_is_how_near_it_came(agreements: list[Agreement], reason: str) -> None:
    made = plan(*agreements, standings=(SHIELDED,))

    assert reason in reasons(made)[MERLIN]


def test_a_plan_is_made_once_for_equal_learners() -> None:
    router = Router(registry(*AGENTS), [agreement("a", SHARES, scope=Scope.ENROLLED)], TODAY)

    assert router.plan(MIS, PERSONAL, (HERE,)) is router.plan(MIS, PERSONAL, (replace(HERE),))
    assert router.plan(MIS, PERSONAL, (NOBODY,)) != router.plan(MIS, PERSONAL, (HERE,))


@pytest.mark.parametrize(
    ("standing", "allowed"), [(HERE, True), (NOBODY, False), (SHIELDED, False)], ids=["in scope", "not", "shielded"]
)
def test_a_learner_is_mentioned_only_where_their_own_objects_would_go(standing: Standing, allowed: bool) -> None:
    router = Router(registry(*AGENTS), [agreement("a", SHARES, scope=Scope.ENROLLED)], TODAY)

    assert router.allows(MIS, MERLIN, PERSONAL, standing) is allowed


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_a_sentence_for_people(reason: Reason) -> None:
    assert " " in explain(reason)


NAMES = ["mis-1", "mis-2", "merlin", "virtual-school", "library"]
OBJECTS = [PERSONAL, "SchoolInfo"]
STANDINGS = st.builds(
    Standing,
    st.frozensets(st.sampled_from(["8209901", "8209902"]), max_size=2),
    st.sampled_from(["", "820", "821"]),
    st.sampled_from(["", "820"]),
    st.booleans(),
    st.frozensets(st.sampled_from(["8209901", "8219901", UNSERVED]), max_size=2),
)
AGENT = st.builds(
    lambda name, subscribe, schools, authority: agent(
        name, subscribe=subscribe, establishments=schools, authority=authority
    ),
    st.sampled_from(NAMES),
    st.frozensets(st.sampled_from(OBJECTS)),
    st.frozensets(st.sampled_from(["8209901", "8209902"])),
    st.sampled_from(["", "820", "821"]),
)
AGREEMENT = st.builds(
    lambda senders, to, scope, shielded, first, days, path: agreement(
        "",
        {PERSONAL: ("@RefId", path)},
        senders=tuple(senders),
        to=tuple(to),
        scope=scope,
        shielded=shielded,
        starts=TODAY + timedelta(days=first),
        expires=TODAY + timedelta(days=first + days),
    ),
    st.lists(st.sampled_from([*NAMES, "*", "mis-*"]), min_size=1, max_size=2),
    st.lists(st.sampled_from([*NAMES, "*", "mis-*"]), min_size=1, max_size=2),
    st.sampled_from(list(Scope)),
    st.booleans(),
    st.integers(-3, 1),
    st.integers(0, 3),
    st.sampled_from(["LocalId", "UPN", "InCare"]),
)


def covers(one: Agreement, sender: str, to: AgentRecord, standings: Standings | None) -> bool:
    """Tell, in the plainest words, whether an agreement lets this recipient have this learner's object."""

    def is_one_of(name: str, patterns: tuple[str, ...]) -> bool:
        return any(p in ("*", name) or (p == "mis-*" and name.startswith("mis-")) for p in patterns)

    def is_in_scope(learner: Standing) -> bool:
        return {
            Scope.ALL: True,
            Scope.ENROLLED: bool(set(to.establishments) & learner.establishments),
            Scope.LOOKED_AFTER: learner.care_authority != "" and to.authority == learner.care_authority,
            Scope.RESIDENT: learner.home_authority != "" and to.authority == learner.home_authority,
            # who speaks for no school has those whose new school nobody speaks for
            Scope.TRANSFERRING: not learner.destinations.isdisjoint(to.establishments or {UNSERVED}),
        }[one.scope]

    learners = standings or ()
    return (
        is_one_of(sender, one.senders)
        and is_one_of(to.id, one.recipients)
        and one.starts <= TODAY <= one.expires
        and (standings is None or any(is_in_scope(learner) for learner in learners))
        and (one.shielded or not any(learner.shielded for learner in learners))
    )


@given(
    st.lists(AGENT, max_size=5, unique_by=lambda a: a.id),
    st.lists(AGREEMENT, max_size=5),
    st.none() | st.lists(STANDINGS, max_size=2).map(tuple),
    st.sampled_from(NAMES),
)
def test_each_subscriber_is_named_once_and_gets_what_covers_it(
    agents: list[AgentRecord], unnamed: list[Agreement], standings: Standings | None, sender: str
) -> None:
    agreements = [replace(one, id=f"a{number}") for number, one in enumerate(unnamed)]

    made = Router(registry(*agents), agreements, TODAY).plan(AgentId(sender), PERSONAL, standings)

    named = [name for _, group in (*made.shares, *made.withheld) for name in group]
    assert sorted(named) == sorted(a.id for a in agents if a.may(Role.SUBSCRIBE, Topic(PERSONAL)) and a.id != sender)
    given_views = {name: view for view, group in made.shares for name in group}
    for one in agents:
        if one.id in named:
            expected = {path for a in agreements if covers(a, sender, one, standings) for path in a.shares[PERSONAL]}
            assert set(given_views[one.id].paths if one.id in given_views else ()) == expected
    assert len({view.name for view, _ in made.shares}) == len(made.shares)


# --- contexts, and what a recipient can take ---------------------------------------------------------------------

EXAMS, SPORTS = Context("exams"), Context("sports")


def in_contexts(*contexts: Context) -> Plan:
    """Return the plan of a zone in which MERLIN subscribes in all, VIRTUAL in the default one, a library in exams."""
    here, there, elsewhere = Topic(PERSONAL), Topic(PERSONAL, EXAMS), Topic(PERSONAL, SPORTS)
    subscribes = {MERLIN: (here, there, elsewhere), VIRTUAL: (here,), AgentId("library"): (there,)}
    agents = [
        AgentRecord(name, name, standing=grants((Role.SUBSCRIBE, topic) for topic in topics))
        for name, topics in subscribes.items()
    ]
    return Router(Registry.of(agents), [agreement("a", SHARES)], TODAY).plan(MIS, PERSONAL, (HERE,), contexts)


@pytest.mark.parametrize(
    ("contexts", "gets"),
    [
        ((DEFAULT_CONTEXT,), [MERLIN, VIRTUAL]),
        ((EXAMS,), ["library", MERLIN]),
        ((EXAMS, DEFAULT_CONTEXT), ["library", MERLIN, VIRTUAL]),
        ((SPORTS, EXAMS, DEFAULT_CONTEXT), ["library", MERLIN, VIRTUAL]),
        ((SPORTS,), [MERLIN]),
        ((Context("chess"),), []),
    ],
    ids=["default", "another", "two", "three", "of one subscriber", "of none"],
)
def test_who_subscribes_in_any_of_the_contexts_gets_it_once(contexts: tuple[Context, ...], gets: list[str]) -> None:
    made = in_contexts(*contexts)

    assert [name for _, agents in made.shares for name in agents] == gets
    assert made.withheld == ()


def test_plans_of_different_contexts_are_not_mixed_up() -> None:
    agents = [AgentRecord(MERLIN, "Merlin", standing=grants([(Role.SUBSCRIBE, Topic(PERSONAL, EXAMS))]))]
    router = Router(Registry.of(agents), [agreement("a", SHARES)], TODAY)

    assert recipients(router.plan(MIS, PERSONAL, None, (EXAMS,))) == {MERLIN: "a@00000000"}
    assert recipients(router.plan(MIS, PERSONAL, None)) == {}


def taking(*registrations: Registration) -> Router:
    return Router(registry(*AGENTS).with_live(Live({one.agent: one for one in registrations})), [], TODAY)


@pytest.mark.parametrize(
    ("versions", "version", "fits"),
    [
        (("2.4",), "2.4", True),
        (("2.1", "2.*"), "2.4", True),
        (("2.0r*",), "2.0r1", True),
        (("2.4",), "2.1", False),
        (("1.*",), "2.4", False),
    ],
)
def test_who_does_not_list_the_version_cannot_be_given_it(versions: tuple[str, ...], version: str, fits: bool) -> None:
    router = taking(Registration(MERLIN, "Merlin", "2.4", 1.0, versions), Registration(VIRTUAL, "VS", "2.4", 1.0))

    assert router.unfit([MERLIN, VIRTUAL], version, 100, Channel()) == ({} if fits else {MERLIN: Reason.VERSION})


def test_who_takes_less_cannot_be_given_more() -> None:
    router = taking(
        Registration(MERLIN, "Merlin", "2.4", 1.0, max_buffer=8_192),
        Registration(VIRTUAL, "VS", "2.4", 1.0, max_buffer=4_096),
    )

    assert router.unfit([MERLIN, VIRTUAL], "2.4", 4_096, Channel()) == {}
    assert router.unfit([MERLIN, VIRTUAL], "2.4", 4_097, Channel()) == {VIRTUAL: Reason.TOO_LARGE}
    assert router.unfit([MERLIN], "2.4", 8_192, Channel()) == {}
    assert router.unfit([MERLIN], "2.4", 8_193, Channel()) == {MERLIN: Reason.TOO_LARGE}


@pytest.mark.parametrize(
    ("demand", "channel", "fits"),
    [
        (Channel(), Channel(), True),
        (Channel(1, 0), Channel(), False),
        (Channel(0, 1), Channel(3, 0), False),
        (Channel(1, 0), Channel(0, 4), False),
        (Channel(2, 4), Channel(3, 4), True),
        (Channel(3, 4), Channel(3, 4), True),
    ],
)
def test_who_is_connected_less_securely_than_demanded_cannot_be_given_it(
    demand: Channel, channel: Channel, fits: bool
) -> None:
    router = taking(Registration(MERLIN, "Merlin", "2.4", 1.0, channel=channel))

    assert router.unfit([MERLIN], "2.4", 100, demand) == ({} if fits else {MERLIN: Reason.CHANNEL})


def test_who_never_registered_takes_what_demands_no_protection() -> None:
    router = taking(Registration(MERLIN, "Merlin", "2.4", 1.0, ("1.1",), 4_096))

    assert router.unfit([VIRTUAL], "2.4", 1_000_000, Channel()) == {}
    assert router.unfit([VIRTUAL], "2.4", 1_000_000, Channel(1, 0)) == {VIRTUAL: Reason.CHANNEL}


def test_what_one_agent_may_have_of_another_needs_no_subscription() -> None:
    router = Router(registry(*AGENTS, agent("library")), [agreement("a", SHARES, to=("library",))], TODAY)
    library = AgentId("library")

    found = router.share(MIS, library, PERSONAL, (HERE,))

    assert not isinstance(found, Reason)
    assert found.name == "a@00000000"
    assert router.share(MIS, library, PERSONAL, (SHIELDED,)) is Reason.SHIELDED
    assert router.share(MIS, MERLIN, PERSONAL, (HERE,)) is Reason.NO_AGREEMENT


@pytest.mark.parametrize(
    ("one", "may_ask", "may_have_all"),
    [
        (agreement("a", {PERSONAL: ("*",)}, shielded=True), True, True),
        (agreement("a", {PERSONAL: ("*",)}), True, False),
        (agreement("a", {PERSONAL: ("*",)}, shielded=True, scope=Scope.RESIDENT), True, False),
        (agreement("a", SHARES, shielded=True), True, False),
        (agreement("a", {"SchoolInfo": ("*",)}, shielded=True), False, False),
        (agreement("a", {PERSONAL: ("*",)}, shielded=True, to=(VIRTUAL,)), False, False),
        (agreement("a", {PERSONAL: ("*",)}, shielded=True, expires=TODAY - timedelta(1)), False, False),
    ],
    ids=["whole", "not the shielded", "in a scope", "a part", "another object", "to another", "expired"],
)
def test_who_may_ask_at_all_and_who_may_have_all(one: Agreement, may_ask: bool, may_have_all: bool) -> None:
    router = Router(registry(*AGENTS), [one], TODAY)

    assert router.may_ask(MIS, MERLIN, PERSONAL) is may_ask
    assert router.may_have_all(MIS, MERLIN, PERSONAL) is may_have_all
