"""zone.toml is read strictly: the file, the key and the nearest right name are in every refusal."""

from pathlib import Path

import pytest

from broker.protocol.errors import ConfigurationError
from broker.protocol.identifiers import AgentId
from broker.settings import load_zone
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
