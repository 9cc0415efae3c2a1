"""Settings of an agent: what its file may say, and how it is told what is wrong."""

from pathlib import Path

import pytest

from agents.settings import read_settings, zone_url
from broker.protocol.errors import ConfigurationError

WHOLE = """
id = "mis-8209901"
name = "A school"
zone = "amqp://mis-8209901:secret@127.0.0.1:5672/quarrington"
state = "state/mis"

[[source]]
connector = "csv"
path = "reports/pupils.csv"
mapping = ["csv/learner"]
every = "1h"
complete = true
max_deletes = "2.5%"
delimiter = ";"
"""


def write(folder: Path, content: str) -> Path:
    file = folder / "mis.toml"
    file.write_text(content)
    return file


def test_a_file_is_read_with_units_and_the_connectors_own_options(tmp_path: Path) -> None:
    settings = read_settings(write(tmp_path, WHOLE))

    (source,) = settings.sources
    assert source.every.total_seconds() == 3600
    assert source.max_deletes == 0.025
    assert dict(source.options) == {"delimiter": ";"}
    assert settings.state_folder == tmp_path / "state/mis"
    assert settings.pattern(source) == tmp_path / "reports/pupils.csv"


def test_one_source_may_be_a_table_and_state_has_a_default(tmp_path: Path) -> None:
    settings = read_settings(
        write(tmp_path, 'id="m"\n[source]\nconnector="ctf"\npath="*.xml"\nmapping=["ctf/learner"]')
    )

    assert len(settings.sources) == 1
    assert settings.state_folder == tmp_path / ".m"


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ('"1h"', '"1 hour"', ["source 1", "every", '"15m"']),
        ('"2.5%"', '"250%"', ["source 1", "max_deletes", '"10%"']),
        ('name = "A school"', 'nam = "A school"', ["nam", "did you mean 'name'"]),
        ('id = "mis-8209901"', 'id = "mis 8209901"', ["id", "letters"]),
        ("[[source]]", "[[source", ["not TOML", "line"]),
        ('connector = "csv"\n', "", ["source 1", "connector", "is missing"]),
        ('"reports/pupils.csv"', '"*/pupils.csv"', ["source 1", "path", "wildcards only"]),
        ("max_deletes", "file = 1\nmax_deletes", []),
    ],
    ids=["duration", "percent", "unknown", "id", "syntax", "missing", "wildcard", "option-named-file"],
)
def test_what_is_wrong_is_told_with_file_place_and_remedy(
    tmp_path: Path, before: str, after: str, words: list[str]
) -> None:
    file = write(tmp_path, WHOLE.replace(before, after))
    if not words:
        assert read_settings(file).sources[0].options["file"] == 1
        return

    with pytest.raises(ConfigurationError) as caught:
        read_settings(file)

    assert str(file) in str(caught.value)
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize(
    ("path", "more", "words"),
    [
        ("sftp://mis:guessed@office.example.org/out/*.csv", "", "has a password in it: take it out"),
        ("sftp://mis@office.example.org/o*t/pupils.csv", "", "wildcards only in the file's name"),
        ("sftp://mis@office.example.org/out/", "", "name machine and files: sftp://LOGIN@HOST"),
        ("sftp://office.example.org", "", "name machine and files"),
        ("out/*.csv", '[source.fetch]\npassword = "guessed"\n', "fetch: is for files of another machine"),
    ],
    ids=["password", "wildcard", "no-file", "no-folder", "fetch-without-machine"],
)
def test_a_path_on_another_machine_that_cannot_be_used_is_refused_without_showing_a_password(
    tmp_path: Path, path: str, more: str, words: str
) -> None:
    file = write(tmp_path, WHOLE.replace("reports/pupils.csv", path) + more)

    with pytest.raises(ConfigurationError) as caught:
        read_settings(file)
    assert f"{file}: source 1: " in str(caught.value)
    assert words in str(caught.value)
    assert "guessed" not in str(caught.value)


def test_files_of_another_machine_are_kept_in_a_folder_of_their_own_in_the_agents_state(tmp_path: Path) -> None:
    one, other = "sftp://mis@[2001:db8::1]:2222/out/*.csv", "sftp://mis@office.example.org/out/*.csv"
    patterns = []
    for url in (one, one, other):
        settings = read_settings(write(tmp_path, WHOLE.replace("reports/pupils.csv", url)))
        assert settings.sources[0].scheme == "sftp"
        patterns.append(settings.pattern(settings.sources[0]))

    assert patterns[0] == patterns[1] != patterns[2]
    assert {pattern.name for pattern in patterns} == {"*.csv"}
    assert {pattern.parents[1] for pattern in patterns} == {tmp_path / "state/mis/fetched"}


def test_all_faults_are_told_at_once_and_no_value_is_shown(tmp_path: Path) -> None:
    wrong = WHOLE.replace('"1h"', '"soon"').replace('"2.5%"', '"lots"').replace("zone =", "zones =")

    with pytest.raises(ConfigurationError) as caught:
        read_settings(write(tmp_path, wrong))

    assert len(str(caught.value).splitlines()) == 3
    assert "secret" not in str(caught.value)
    assert "soon" not in str(caught.value)


def test_a_url_of_the_environment_comes_before_the_files(tmp_path: Path) -> None:
    settings = read_settings(write(tmp_path, WHOLE))

    assert zone_url(settings, {}).endswith("@127.0.0.1:5672/quarrington")
    assert zone_url(settings, {"SIFZONE_URL": "amqps://mis-8209901:x@zone.example.org/z"}).startswith("amqps://")


def test_credentials_that_others_can_read_are_refused(tmp_path: Path) -> None:
    settings = read_settings(write(tmp_path, 'id = "mis-1"\ncredentials = "login.toml"'))
    login = tmp_path / "login.toml"
    login.write_text('url = "amqp://mis-1:secret@127.0.0.1/zone"')
    login.chmod(0o600)
    assert zone_url(settings, {}) == "amqp://mis-1:secret@127.0.0.1/zone"

    login.chmod(0o640)

    with pytest.raises(ConfigurationError, match="chmod 600"):
        zone_url(settings, {})


@pytest.mark.parametrize(
    "url",
    [
        "http://mis-1:secret@127.0.0.1/zone",
        "amqp://other:secret@127.0.0.1/zone",
        "amqp://mis-1:secret@h:port/zone",
        "x",
    ],
    ids=["scheme", "another-login", "port", "no-url"],
)
def test_a_url_that_cannot_work_is_refused_without_showing_its_password(tmp_path: Path, url: str) -> None:
    settings = read_settings(write(tmp_path, 'id = "mis-1"'))

    with pytest.raises(ConfigurationError) as caught:
        zone_url(settings, {"SIFZONE_URL": url})

    assert "secret" not in str(caught.value)


def test_an_agent_without_a_zone_is_told_how_to_name_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="SIFZONE_URL"):
        zone_url(read_settings(write(tmp_path, 'id = "mis-1"')), {})
