"""A plan says in words who would gain and who would lose what, and nothing where nothing would."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker.applied import applied_zone, apply_folder
from broker.plan import Change, Kind, plan
from broker.protocol.identifiers import AgentId
from broker.settings import Zone, load_zone

ZONE = """
id = "quarrington"
partitions = 4
database = "postgresql+psycopg://zone:S3CRET@localhost/zone"

[agents.mis-1]
name = "Larkrise MIS"
establishments = ["8209901"]
publish = ["LearnerPersonal"]
provide = ["LearnerPersonal"]

[agents.mis-2]
name = "Copperfen MIS"
publish = ["LearnerPersonal"]

[agents.merlin]
name = "Merlin"
subscribe = ["LearnerPersonal"]
rights.SchoolInfo = ["request"]

[agents.gw-vle]
name = "VLE"
gateway.credential = "secret"
rights.LearnerPersonal = { may = ["subscribe"], contexts = ["SIF_Default", "estab-8209901"] }
"""
AGREEMENT = """
id = "accounts"
title = "Accounts"
from = ["mis-*"]
to = ["merlin"]
purpose = "Accounts"
lawful_basis = "Made up"
starts = 2026-09-01
expires = 2027-08-31
learners = "enrolled"
[objects.LearnerPersonal]
share = ["@RefId", "LocalId", "PersonalInformation/Name"]
"""
ABOUT = "about learners enrolled at the recipient's schools, until 2027-08-31"
ALL_OF_IT = "LearnerPersonal (@RefId, LocalId, PersonalInformation/Name)"


def zone(folder: Path, text: str = ZONE, agreement: str = AGREEMENT, codes: str = "") -> Zone:
    folder.mkdir(exist_ok=True)
    (folder / "zone.toml").write_text(text)
    for name, content in (("agreements", agreement), ("codes", codes)):
        if content:
            (folder / name).mkdir(exist_ok=True)
            (folder / name / "a.toml").write_text(content)
    return load_zone(folder)


def said(changes: tuple[Change, ...]) -> list[str]:
    signs = {Kind.GAIN: "+", Kind.LOSE: "-", Kind.CHANGE: "~"}
    return [f"{signs[change.kind]} {change.name} {change.words}" for change in changes]


def without(text: str, first: str, last: str) -> str:
    """Return *text* without what is from *first* up to *last*."""
    before, _, rest = text.partition(first)
    return before + last + rest.partition(last)[2]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        pytest.param(
            'rights.SchoolInfo = ["request"]',
            'rights.SchoolInfo = ["request"]\nrights.LearnerPersonal = ["request"]',
            ["+ merlin gains: may request LearnerPersonal in SIF_Default"],
            id="a right by role",
        ),
        pytest.param(
            '["SIF_Default", "estab-8209901"]',
            '["SIF_Default"]',
            ["- gw-vle loses: may subscribe to LearnerPersonal in estab-8209901"],
            id="a right in one context",
        ),
        pytest.param(
            'subscribe = ["LearnerPersonal"]',
            'rights.LearnerPersonal = ["subscribe"]',
            ["- merlin loses: is subscribed to LearnerPersonal in SIF_Default without asking"],
            id="a subscription for which it has to ask from now on",
        ),
        pytest.param(
            '["request"]',
            '["request", "publish-add", "publish-delete"]',
            [
                "+ merlin gains: may publish Adds of SchoolInfo in SIF_Default",
                "+ merlin gains: may publish Deletes of SchoolInfo in SIF_Default",
            ],
            id="a part of publishing",
        ),
        pytest.param(
            '["request"]',
            '["request", "publish", "provide"]',
            [
                "+ merlin gains: may publish SchoolInfo in SIF_Default",
                "+ merlin gains: may provide SchoolInfo in SIF_Default",
            ],
            id="publishing and providing are one word each",
        ),
        pytest.param(
            '"8209901"]',
            '"8209902"]\nauthority = "820"',
            [
                "+ mis-1 gains: speaks for or serves 8209902",
                "- mis-1 loses: speaks for or serves 8209901",
                "~ mis-1 acts for authority 820 instead of nothing",
            ],
            id="schools and authority",
        ),
        pytest.param('"VLE"', '"My VLE"', ["~ gw-vle is called My VLE instead of VLE"], id="name"),
        pytest.param(
            'credential = "secret"',
            'credential = "basic"',
            [
                "~ gw-vle speaks SIF over HTTP and shows a password "
                "instead of SIF over HTTP and shows a secret in its URL"
            ],
            id="kind of credential",
        ),
        pytest.param(
            'gateway.credential = "secret"',
            'gateway.push = ["https://S3CRET@vle.example/"]',
            ["~ gw-vle may be pushed to other addresses"],
            id="addresses are not repeated",
        ),
        pytest.param("S3CRET", "0THER", ["~ database is another (it is not shown)"], id="passwords are not repeated"),
        pytest.param("partitions = 4", "partitions = 8", ["~ partitions is 8 instead of 4"], id="a setting"),
        pytest.param(
            "partitions = 4",
            'requests.timeout = "2d"\ngateway.require_tls = true\nrules.upn-check-letter = "off"',
            [
                "~ gateway.require_tls is yes instead of no",
                "~ requests.timeout is 2 days, 0:00:00 instead of 1 day, 0:00:00",
                "~ rules.upn-check-letter is off instead of warn",
            ],
            id="requests, gateway and rules",
        ),
    ],
)
def test_a_change_of_zone_toml_is_said_in_words(tmp_path: Path, old: str, new: str, says: list[str]) -> None:
    assert old in ZONE
    before, after = zone(tmp_path / "before"), zone(tmp_path / "after", ZONE.replace(old, new, 1))

    assert said(plan(before, after)) == says


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        pytest.param(
            '"LocalId"',
            '"LocalId", "ULN"',
            [f"+ accounts merlin gains LearnerPersonal (ULN) from mis-*, {ABOUT}"],
            id="an element more",
        ),
        pytest.param(
            '"LocalId", ',
            "",
            [f"- accounts merlin loses LearnerPersonal (LocalId) from mis-*, {ABOUT}"],
            id="an element less",
        ),
        pytest.param(
            '"PersonalInformation/Name"',
            '"PersonalInformation"',
            [
                "+ accounts merlin gains LearnerPersonal (PersonalInformation but for PersonalInformation/Name) "
                f"from mis-*, {ABOUT}"
            ],
            id="what is around an element",
        ),
        pytest.param(
            '"@RefId", "LocalId", "PersonalInformation/Name"',
            '"*"',
            [
                "+ accounts merlin gains LearnerPersonal "
                "(the whole object but for @RefId, LocalId, PersonalInformation/Name) "
                f"from mis-*, {ABOUT}"
            ],
            id="all of an object",
        ),
        pytest.param(
            '["merlin"]',
            '["merlin", "gw-*"]',
            [
                "~ accounts is to gw-*, merlin instead of merlin",
                f"+ accounts gw-vle gains {ALL_OF_IT} from mis-*, {ABOUT}",
            ],
            id="a recipient more",
        ),
        pytest.param(
            '["mis-*"]',
            '["mis-1"]',
            [
                "~ accounts is from mis-1 instead of mis-*",
                f"- accounts merlin loses {ALL_OF_IT} from mis-2, {ABOUT}",
            ],
            id="a sender less",
        ),
        pytest.param(
            "2027-08-31", "2028-08-31", ["+ accounts shares until 2028-08-31 instead of 2027-08-31"], id="longer"
        ),
        pytest.param(
            "2026-09-01", "2026-10-01", ["- accounts shares from 2026-10-01 instead of 2026-09-01"], id="starts later"
        ),
        pytest.param(
            '"enrolled"',
            '"all"\nshielded = true',
            [
                "~ accounts is about all learners instead of learners enrolled at the recipient's schools",
                "+ accounts covers learners under a shield: yes instead of no",
            ],
            id="learners",
        ),
        pytest.param(
            'purpose = "Accounts"', 'purpose = "Reports"', ["~ accounts has the purpose Reports instead of Accounts"],
            id="purpose",
        ),
        pytest.param(
            "[objects", "# a remark\n[objects", ["~ accounts is written otherwise and says the same"], id="a remark"
        ),
        pytest.param(
            "[objects.LearnerPersonal]",
            '[objects.SchoolInfo]\nshare = ["@RefId"]\n[objects.LearnerPersonal]',
            ["~ accounts names other elements, which nobody gets by it"],
            id="an object that nobody publishes",
        ),
        pytest.param(
            'id = "accounts"',
            'id = "more-accounts"',
            [
                '- accounts is removed: "Accounts", from mis-* to merlin, '
                "about learners enrolled at the recipient's schools, 2026-09-01 to 2027-08-31",
                f"- accounts merlin loses {ALL_OF_IT} from mis-*, {ABOUT}",
                '+ more-accounts is new: "Accounts", from mis-* to merlin, '
                "about learners enrolled at the recipient's schools, 2026-09-01 to 2027-08-31",
                f"+ more-accounts merlin gains {ALL_OF_IT} from mis-*, {ABOUT}",
            ],
            id="one agreement in the place of another",
        ),
    ],
)  # fmt: skip
def test_a_change_of_an_agreement_says_who_gains_or_loses_which_elements(
    tmp_path: Path, old: str, new: str, says: list[str]
) -> None:
    assert old in AGREEMENT
    before = zone(tmp_path / "before")
    after = zone(tmp_path / "after", agreement=AGREEMENT.replace(old, new, 1))

    assert said(plan(before, after)) == says


def test_a_removed_agent_loses_its_rights_its_queue_stays_and_what_waits_in_it_is_warned_of(tmp_path: Path) -> None:
    before = zone(tmp_path / "before")
    after = zone(tmp_path / "after", without(ZONE, "[agents.merlin]", "[agents.gw-vle]"))

    changes = plan(before, after, {AgentId("merlin"): 12, AgentId("mis-1"): 3})
    assert said(changes) == [
        "- merlin is removed: its login loses its rights, its queue agent.merlin stays with the messages in it",
        "- merlin loses: may subscribe to LearnerPersonal in SIF_Default and need not ask",
        "- merlin loses: may request SchoolInfo in SIF_Default",
        f"- accounts merlin loses {ALL_OF_IT} from mis-*, {ABOUT}",
    ]
    assert [change.warning for change in changes if change.warning] == [
        "12 messages wait in its queue, which nobody may then read"
    ]


def test_a_new_agent_gains_what_an_old_agreement_names(tmp_path: Path) -> None:
    before = zone(tmp_path / "before", without(ZONE, "[agents.mis-2]", "[agents.merlin]"))

    assert said(plan(before, zone(tmp_path / "after"))) == [
        '+ mis-2 is new: "Copperfen MIS", speaks AMQP',
        "+ mis-2 gains: may publish LearnerPersonal in SIF_Default",
        f"+ accounts merlin gains {ALL_OF_IT} from mis-2, {ABOUT}",
    ]


def test_a_provider_without_a_successor_is_warned_of(tmp_path: Path) -> None:
    before = zone(tmp_path / "before")
    provides = 'provide = ["LearnerPersonal"]\n'
    alone = zone(tmp_path / "alone", ZONE.replace(provides, ""))
    followed = zone(
        tmp_path / "followed", ZONE.replace(provides, "").replace('"Copperfen MIS"\n', f'"Copperfen MIS"\n{provides}')
    )

    (lost,) = plan(before, alone)
    assert lost.words == "loses: may provide LearnerPersonal in SIF_Default and need not ask"
    assert lost.warning.startswith("requests for LearnerPersonal in SIF_Default that name no agent are refused")
    assert [change.warning for change in plan(before, followed)] == ["", ""]


def test_an_agreement_by_which_nobody_gets_anything_is_warned_of(tmp_path: Path) -> None:
    before = zone(tmp_path / "before", agreement="")
    after = zone(tmp_path / "after", agreement=AGREEMENT.replace('"merlin"', '"nobody"'))

    (change,) = plan(before, after)
    assert change.words.startswith("is new: ")
    assert change.warning.startswith("it shares nothing: ")


def test_a_code_that_a_zone_adds_is_named(tmp_path: Path) -> None:
    codes = '[EthnicityCodes]\ncodes = { ZZZZ = "Made up" }\n'

    changes = plan(zone(tmp_path / "before"), zone(tmp_path / "after", codes=codes))
    assert said(changes) == ["+ codes EthnicityCodes gains: ZZZZ"]


def test_calendars_that_come_change_or_go_are_named(tmp_path: Path) -> None:
    for name, files in (("before", {"820": "", "8209902": ""}), ("after", {"820": "inset = [2026-09-01]", "830": ""})):
        (tmp_path / name / "calendars").mkdir(parents=True)
        for calendar, content in files.items():
            (tmp_path / name / "calendars" / f"{calendar}.toml").write_text(f'title = "Schools"\n{content}')

    assert said(plan(zone(tmp_path / "before"), zone(tmp_path / "after"))) == [
        "~ calendars 820 has other days, or another title",
        "- calendars 8209902 is removed: its days are counted by another",
        '+ calendars 830 is new: "Schools"',
    ]


def test_that_transfers_are_no_longer_opened_is_said(tmp_path: Path) -> None:
    after = zone(tmp_path / "after", ZONE.replace("partitions = 4", "partitions = 4\ntransfers.enabled = false"))

    assert said(plan(zone(tmp_path / "before"), after)) == ["~ transfers.enabled is no instead of yes"]


@pytest.mark.parametrize("setting", ["partitions = 8", "gateway.port = 8080"])
def test_what_waits_for_the_next_start_is_marked(tmp_path: Path, setting: str) -> None:
    before, after = zone(tmp_path / "before"), zone(tmp_path / "after", ZONE.replace("partitions = 4", setting))

    assert [change.start for change in plan(before, after)] == [True]


def test_all_of_a_zone_is_new_when_nothing_is_in_force(tmp_path: Path) -> None:
    changes = plan(None, zone(tmp_path))

    assert said(changes)[0] == "+ zone quarrington is put in force for the first time"
    assert {change.name for change in changes} >= {"mis-1", "mis-2", "merlin", "gw-vle", "accounts"}
    assert Kind.LOSE not in {change.kind for change in changes}
    assert "S3CRET" not in repr(changes)


OBJECTS = ("LearnerPersonal", "SchoolInfo")
some_objects = st.lists(st.sampled_from(OBJECTS), unique=True)
agents = st.fixed_dictionaries({"publish": some_objects, "subscribe": some_objects, "request": some_objects})
zones = st.tuples(
    st.dictionaries(st.sampled_from(["mis-1", "mis-2", "merlin"]), agents),
    st.dictionaries(
        st.sampled_from(["one", "two"]),
        st.tuples(
            st.sampled_from(["mis-*", "mis-1", "*"]),
            st.sampled_from(["merlin", "*"]),
            st.sampled_from(['"@RefId"', '"@RefId", "PersonalInformation"', '"@RefId", "PersonalInformation/Name"']),
            st.sampled_from(["2027-08-31", "2028-08-31"]),
        ),
    ),
)
Made = tuple[dict[str, dict[str, list[str]]], dict[str, tuple[str, str, str, str]]]


def write(folder: Path, made: Made) -> Path:
    text = 'id = "quarrington"\n'
    for agent, may in made[0].items():
        text += f'[agents.{agent}]\nname = "{agent}"\npublish = {may["publish"]}\nsubscribe = {may["subscribe"]}\n'
        text += "".join(f'rights.{name} = ["request"]\n' for name in may["request"])
    (folder / "agreements").mkdir(parents=True, exist_ok=True)
    for old in (folder / "agreements").iterdir():
        old.unlink()
    (folder / "zone.toml").write_text(text)
    for name, (sender, recipient, share, expires) in made[1].items():
        head, objects, _ = AGREEMENT.partition("[objects.LearnerPersonal]")
        head = head.replace("mis-*", sender).replace("merlin", recipient).replace("2027-08-31", expires)
        content = f"{head.replace('accounts', name, 1)}{objects}\nshare = [{share}]\n"
        (folder / "agreements" / f"{name}.toml").write_text(content)
    return folder


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(made=zones, other=zones)
def test_what_one_plan_gives_the_way_back_takes(tmp_path: Path, made: Made, other: Made) -> None:
    first, second = load_zone(write(tmp_path / "first", made)), load_zone(write(tmp_path / "second", other))

    there, back = plan(first, second), plan(second, first)
    opposite = {Kind.GAIN: Kind.LOSE, Kind.LOSE: Kind.GAIN, Kind.CHANGE: Kind.CHANGE}
    assert Counter((change.name, change.kind) for change in there) == Counter(
        (change.name, opposite[change.kind]) for change in back
    )
    assert bool(there) == ((first.registry.agents, first.agreements) != (second.registry.agents, second.agreements))
    assert plan(first, first) == ()


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(made=zones, other=zones)
def test_after_applying_nothing_would_change(tmp_path: Path, made: Made, other: Made) -> None:
    for content in (made, other):
        folder = write(tmp_path / "zone", content)
        applied = apply_folder(folder)

        assert plan(applied_zone(folder), load_zone(folder)) == plan(applied, load_zone(folder)) == ()
