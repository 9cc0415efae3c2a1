"""zone.toml is read strictly: the file, the key and the nearest right name are in every refusal."""

from datetime import timedelta
from pathlib import Path

import pytest

from broker.calendars import Calendars
from broker.protocol.errors import ConfigurationError
from broker.protocol.identifiers import AgentId, Context
from broker.registry import Role, Topic
from broker.settings import Zone, configuration_files, load_zone
from tests.unit.broker.builders import agent

GOOD = """
id = "quarrington"
name = "Quarrington Council children's services"
authority = "820"

[agents.mis-8209901]
name = "Larkrise MIS"
establishments = ["820/9901"]
publish = ["LearnerPersonal", "SchoolInfo"]

[agents.virtual-school]
name = "Virtual school"
authority = "820"
subscribe = ["LearnerPersonal"]
"""
NAME = "Larkrise MIS"


@pytest.fixture(autouse=True)
def no_database_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIFZONE_DATABASE", raising=False)


def folder_with(tmp_path: Path, text: str) -> Path:
    (tmp_path / "zone.toml").write_text(text, encoding="utf-8")
    return tmp_path


def fault(tmp_path: Path, old: str, new: str) -> str:
    assert old in GOOD
    with pytest.raises(ConfigurationError) as caught:
        load_zone(folder_with(tmp_path, GOOD.replace(old, new, 1)))
    assert str(caught.value).startswith(f"{tmp_path / 'zone.toml'}: ")
    return str(caught.value)


def test_a_zone_is_what_its_folder_says(tmp_path: Path) -> None:
    zone = load_zone(folder_with(tmp_path, GOOD))

    mis = zone.registry.agents[AgentId("mis-8209901")]
    assert (zone.id, zone.settings.partitions, zone.agreements) == ("quarrington", 4, ())
    assert mis == agent("mis-8209901", publish=["LearnerPersonal", "SchoolInfo"], establishments=["8209901"], name=NAME)
    assert [agent.id for agent in zone.registry.subscribers("LearnerPersonal")] == ["virtual-school"]
    assert zone.registry.subscribers("SchoolInfo") == ()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        pytest.param('id = "quarrington"', "", ["id: "], id="no id"),
        pytest.param('"quarrington"', '"a zone"', ["id: ", "letters, digits"], id="id that no URL carries"),
        pytest.param('authority = "820"', "partitions = 0", ["partitions: "], id="too few partitions"),
        pytest.param('authority = "820"', "partitions = 65", ["partitions: "], id="too many partitions"),
        pytest.param('authority = "820"', 'authority = "82"', ["authority: "], id="authority"),
        pytest.param("[agents.mis-8209901]", '[agents."mis 1"]', ["agents.mis 1", "letters, digits"], id="agent id"),
        pytest.param("820/9901", "9901", ["agents.mis-8209901.establishments.0: "], id="establishment"),
        pytest.param(
            '"LearnerPersonal", "SchoolInfo"',
            '"LearnerPersonel"',
            ["agents.mis-8209901.publish: no schema has LearnerPersonel; did you mean LearnerPersonal?"],
            id="object to publish",
        ),
        pytest.param(
            'subscribe = ["LearnerPersonal"]',
            'subscribe = ["learnerpersonal"]',
            ["agents.virtual-school.subscribe: no schema has learnerpersonal; did you mean LearnerPersonal?"],
            id="object to subscribe to",
        ),
        pytest.param(
            "publish =", "publsh =", ["agents.mis-8209901.publsh: ", "did you mean publish?"], id="agent's key"
        ),
        pytest.param("authority =", "autority =", ["autority: ", "did you mean authority?"], id="zone's key"),
        pytest.param("[agents.mis-8209901]", "[agents.mis-8209901", ["cannot be read", "line"], id="syntax"),
        pytest.param(
            "[agents.virtual-school]", '[agents."zone.broker"]', ["agents.zone.broker", "choose another"], id="reserved"
        ),
    ],
)
def test_what_is_wrong_is_named_with_file_and_key(tmp_path: Path, old: str, new: str, says: list[str]) -> None:
    text = fault(tmp_path, old, new)

    assert [part for part in says if part not in text] == []


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    text = fault(tmp_path, 'authority = "820"', "partitions = 0\ncolour = 1")

    assert "partitions" in text
    assert "colour" in text


def test_a_value_is_never_repeated_for_it_may_be_a_password(tmp_path: Path) -> None:
    assert "S3CRET" not in fault(tmp_path, 'name = "Q', 'rabbitmq = ["amqp://zone:S3CRET@localhost"]\nname = "Q')


def test_a_folder_without_a_zone_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"has no zone\.toml") as caught:
        load_zone(tmp_path)

    assert str(tmp_path) in str(caught.value)


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "zone.toml").write_bytes(GOOD.encode("utf-16"))

    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_zone(tmp_path)


def test_a_faulty_agreement_stops_the_zone_with_the_agreements_path(tmp_path: Path) -> None:
    (tmp_path / "agreements").mkdir()
    (tmp_path / "agreements" / "a.toml").write_text('id = "a"')

    with pytest.raises(ConfigurationError, match=r"agreements/a\.toml"):
        load_zone(folder_with(tmp_path, GOOD))


def test_sqlite_is_in_the_zones_folder_and_other_databases_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone = load_zone(folder_with(tmp_path, GOOD))

    assert zone.database_url == f"sqlite:///{tmp_path.resolve()}/state/zone.db"
    monkeypatch.setenv("SIFZONE_DATABASE", "postgresql+psycopg://localhost/zone")
    assert zone.database_url == "postgresql+psycopg://localhost/zone"


def test_secrets_are_kept_below_state(tmp_path: Path) -> None:
    zone = load_zone(folder_with(tmp_path, GOOD))

    assert zone.key_file.parent == zone.state
    assert zone.credentials("merlin").is_relative_to(zone.state)


# --- rights ------------------------------------------------------------------------------------------------------

MORE = """
[agents.loans]
name = "Loans"
provide = ["SchoolInfo"]
[agents.loans.rights]
LearnerPersonal = ["request", "publish-change"]
TermInfo = { may = ["provide", "publish"], contexts = ["exams", "SIF_Default"] }
SIF_LogEntry = ["subscribe"]
"""
HERE, THERE = Topic("TermInfo"), Topic("TermInfo", Context("exams"))


def loaded(tmp_path: Path, more: str) -> Zone:
    return load_zone(folder_with(tmp_path, GOOD + more))


def test_rights_are_by_object_role_and_context_and_who_may_provide_may_respond(tmp_path: Path) -> None:
    loans = loaded(tmp_path, MORE).registry.agents[AgentId("loans")]

    assert loans.rights == {
        Role.PROVIDE: {Topic("SchoolInfo"), HERE, THERE},
        Role.RESPOND: {Topic("SchoolInfo"), HERE, THERE},
        Role.REQUEST: {Topic("LearnerPersonal")},
        Role.PUBLISH_ADD: {HERE, THERE},
        Role.PUBLISH_CHANGE: {Topic("LearnerPersonal"), HERE, THERE},
        Role.PUBLISH_DELETE: {HERE, THERE},
        Role.SUBSCRIBE: {Topic("SIF_LogEntry")},
    }


def test_what_is_provided_and_subscribed_to_stands_and_rights_alone_do_not(tmp_path: Path) -> None:
    registry = loaded(tmp_path, MORE).registry

    assert registry.agents[AgentId("loans")].standing == {Role.PROVIDE: {Topic("SchoolInfo")}}
    assert registry.provider(Topic("SchoolInfo")) == "loans"
    assert registry.provider(HERE) is None
    assert registry.subscribers("SIF_LogEntry") == ()


def test_contexts_of_a_zone_are_those_of_its_rights(tmp_path: Path) -> None:
    assert loaded(tmp_path, MORE).registry.contexts == {"SIF_Default", "exams"}


@pytest.mark.parametrize(
    ("more", "says"),
    [
        pytest.param(
            '[agents.loans]\nname = "L"\n[agents.loans.rights]\nTermInfos = ["request"]',
            "agents.loans.rights: no schema has TermInfos; did you mean TermInfo?",
            id="object",
        ),
        pytest.param(
            '[agents.loans]\nname = "L"\n[agents.loans.rights]\nTermInfo = ["read"]',
            "agents.loans.rights.TermInfo.may.0: ",
            id="word",
        ),
        pytest.param(
            '[agents.loans]\nname = "L"\n[agents.loans.rights]\nTermInfo = { may = ["request"], contexts = [] }',
            "agents.loans.rights.TermInfo.contexts: ",
            id="no context",
        ),
        pytest.param(
            '[agents.loans]\nname = "L"\n[agents.loans.rights]\nTermInfo = { may = ["request"], in = ["exams"] }',
            "agents.loans.rights.TermInfo.in: ",
            id="key",
        ),
        pytest.param(
            '[agents.loans]\nname = "L"\nprovide = ["TermInfos"]',
            "agents.loans.provide: no schema has TermInfos; did you mean TermInfo?",
            id="object to provide",
        ),
        pytest.param(
            '[agents.a]\nname = "A"\nprovide = ["TermInfo"]\n[agents.b]\nname = "B"\nprovide = ["TermInfo"]',
            "agents.b.provide: a provides TermInfo: leave one of them, the other may respond",
            id="two providers",
        ),
        pytest.param(
            '[agents.quarrington]\nname = "Q"', "agents.quarrington: this id is the broker's own", id="zone's id"
        ),
    ],
)
def test_what_is_wrong_with_rights_is_named(tmp_path: Path, more: str, says: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        loaded(tmp_path, more)

    assert says in str(caught.value)


def test_an_agent_that_provides_twice_is_one_provider(tmp_path: Path) -> None:
    twice = '[agents.a]\nname = "A"\nprovide = ["TermInfo", "TermInfo"]'

    assert loaded(tmp_path, twice).registry.provider(HERE) == "a"


# --- the gateway, and how long is waited -------------------------------------------------------------------------


def test_without_a_section_there_is_no_gateway_and_answers_may_take_a_day(tmp_path: Path) -> None:
    settings = loaded(tmp_path, "").settings

    assert (settings.gateway.port, settings.gateway.host, settings.gateway.insecure) == (None, "127.0.0.1", False)
    assert settings.requests.timeout == timedelta(days=1)


def test_an_agent_with_a_gateway_section_speaks_http_and_has_a_secret_unless_told_otherwise(tmp_path: Path) -> None:
    zone = loaded(tmp_path, '[agents.loans]\nname = "L"\n[agents.loans.gateway]\n')

    assert [agent for agent, record in zone.registry.agents.items() if record.gateway] == ["loans"]
    loans = zone.settings.agents["loans"].gateway
    assert loans is not None
    assert loans.credential == "secret"


@pytest.mark.parametrize(
    "lines",
    [
        'credential = "basic"',
        'credential = "certificate"\ncertificate = "loans.pem"',
        'credential = "certificate"\nca = "ca.pem"\nsubject = "loans.example"',
        'credential = "certificate"\nca = "ca.pem"\nfingerprint = "AB:CD"',
        'push = ["https://loans.example/"]',
    ],
)
def test_a_credential_is_named_one_way(tmp_path: Path, lines: str) -> None:
    zone = loaded(tmp_path, f'[agents.loans]\nname = "L"\n[agents.loans.gateway]\n{lines}')

    assert zone.registry.agents[AgentId("loans")].gateway


@pytest.mark.parametrize(
    "lines",
    [
        'credential = "password"',
        'certificate = "loans.pem"',
        'credential = "basic"\nca = "ca.pem"\nsubject = "loans.example"',
        'credential = "certificate"',
        'credential = "certificate"\nca = "ca.pem"',
        'credential = "certificate"\nsubject = "loans.example"',
        'credential = "certificate"\ncertificate = "loans.pem"\nca = "ca.pem"\nsubject = "loans.example"',
        'secret = "S3CRET"',
    ],
    ids=[
        "another kind",
        "certificate for a secret",
        "CA for a password",
        "no certificate",
        "any of a CA's",
        "a name without a CA",
        "both ways",
        "the secret itself",
    ],
)
def test_a_credential_that_would_let_others_in_is_refused(tmp_path: Path, lines: str) -> None:
    with pytest.raises(ConfigurationError, match=r"agents\.loans\.gateway") as caught:
        loaded(tmp_path, f'[agents.loans]\nname = "L"\n[agents.loans.gateway]\n{lines}')

    assert "S3CRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ("[gateway]\nport = 65536", "gateway.port: "),
        ('[gateway]\ncertificate = "zone.pem"', "certificate and key go together"),
        ('[gateway]\nkey = "zone.pem"', "certificate and key go together"),
        ("[gateway]\nprot = 1", "gateway.prot: "),
        ('[requests]\ntimeout = "0s"', "requests.timeout: "),
        ('[requests]\ntimeout = "31d"', "requests.timeout: "),
    ],
    ids=["port", "no key", "no certificate", "unknown key", "no time", "too long"],
)
def test_what_is_wrong_with_gateway_and_requests_is_named(tmp_path: Path, more: str, key: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        loaded(tmp_path, more)

    assert key in str(caught.value)


CALENDAR = 'title = "Schools of Quarrington"\ninset = [2026-09-01]\n'


def test_calendars_are_read_from_a_folder_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "calendars").mkdir()
    (tmp_path / "calendars" / "820.toml").write_text(CALENDAR)

    zone = load_zone(folder_with(tmp_path, GOOD))
    assert zone.calendars.of("8209901").title == "Schools of Quarrington"
    assert Path("calendars/820.toml") in configuration_files(tmp_path)


def test_without_calendars_only_bank_holidays_are_known(tmp_path: Path) -> None:
    assert load_zone(folder_with(tmp_path, GOOD)).calendars == Calendars()


def test_a_faulty_calendar_is_named_with_its_folder(tmp_path: Path) -> None:
    (tmp_path / "calendars").mkdir()
    (tmp_path / "calendars" / "820.toml").write_text(CALENDAR.replace("inset", "insets"))

    with pytest.raises(ConfigurationError) as caught:
        load_zone(folder_with(tmp_path, GOOD))
    assert str(caught.value).startswith(f"{tmp_path / 'calendars'}: 820: insets: ")


@pytest.mark.parametrize(("more", "enabled"), [("", True), ("[transfers]\nenabled = false", False)])
def test_a_zone_opens_transfers_by_itself_unless_told_not_to(tmp_path: Path, more: str, *, enabled: bool) -> None:
    assert loaded(tmp_path, more).settings.transfers.enabled is enabled


def test_a_transfer_setting_that_is_not_there_is_named_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"transfers\.enable: there is no such key; did you mean enabled"):
        loaded(tmp_path, "[transfers]\nenable = true")
