"""The command line of certifying: an agent's file needs no command's name before it; errors are sentences."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from agents.certify.cli import app
from agents.certify.outcomes import Check, Stage
from agents.certify.signing import public_text, usual_key
from tests.unit.agents.certify.certificates import signed

RUNNER = CliRunner()


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where keys are looked for: not where those of the person are who runs the tests."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config"


def test_the_file_of_an_agent_comes_right_after_the_command_and_options_may_come_before_it() -> None:
    for words in (["missing.toml"], ["--quick", "missing.toml"], ["run", "missing.toml"]):
        result = RUNNER.invoke(app, words)
        assert (result.exit_code, "there is no such file" in result.output) == (2, True), words


def test_an_agent_that_neither_reads_nor_writes_cannot_be_certified(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text('id = "mis-1"\n')

    result = RUNNER.invoke(app, [str(file)])
    assert result.exit_code == 2
    assert "agents.testing.Zone" in result.output


def test_a_mapping_that_is_wrong_is_told_before_anything_is_started(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text('object = "LearnerPersonal"\nkey = ["UPN"]\n[fields]\n"UPNN" = "UPN"\n')
    file = tmp_path / "agent.toml"
    file.write_text('id = "mis-1"\n[[source]]\nconnector = "csv"\npath = "*.csv"\nmapping = ["own.toml"]\n')

    result = RUNNER.invoke(app, [str(file)])
    assert result.exit_code == 2
    assert "did you mean 'UPN'?" in result.output


@pytest.mark.parametrize("words", [["--rabbitmq", "amqp://a:b@host"], ["--management", "http://host"]])
def test_one_address_of_a_rabbitmq_alone_is_refused(tmp_path: Path, words: list[str]) -> None:
    result = RUNNER.invoke(app, [str(tmp_path / "agent.toml"), *words])

    assert (result.exit_code, "name both addresses" in result.output) == (2, True)


def test_the_key_is_made_at_first_use_and_it_is_said_where(tmp_path: Path) -> None:
    RUNNER.invoke(app, [str(tmp_path / "missing.toml")])
    assert usual_key() == tmp_path / "config" / "sifzone" / "certify.key"
    assert usual_key().exists()

    again = RUNNER.invoke(app, [str(tmp_path / "missing.toml")])
    assert "Made a key" not in again.output


@pytest.mark.parametrize("place", ["a-file", "a-file/in-it"])
def test_a_place_that_cannot_hold_the_certificate_is_told_before_anything_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    def too_late(*_: object, **__: object) -> None:
        pytest.fail("it was begun")

    monkeypatch.setattr("agents.certify.running.certify", too_late)
    (tmp_path / "a-file").touch()
    file = tmp_path / "agent.toml"
    file.write_text('id = "mis-1"\n[[source]]\nconnector = "csv"\npath = "*.csv"\nmapping = ["csv/school"]\n')

    result = RUNNER.invoke(app, [str(file), "--quick", "--out", str(tmp_path / place)])
    assert result.exit_code == 2
    assert "name another with --out" in result.output


@pytest.mark.parametrize("changed", ["agent.toml", "own.toml", None])
def test_what_is_changed_while_it_is_certified_gets_no_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str | None
) -> None:
    def changing(*_: object, **__: object) -> Iterator[Stage]:
        yield Stage("publishing", "Publishing in a zone", (Check("All is well", "pass"),))
        if changed is not None:
            (tmp_path / changed).write_text((tmp_path / changed).read_text() + "# changed\n")

    monkeypatch.setattr("agents.certify.running.certify", changing)
    (tmp_path / "own.toml").write_text('base = "csv/school"\n')
    file = tmp_path / "agent.toml"
    file.write_text('id = "mis-1"\n[[source]]\nconnector = "csv"\npath = "*.csv"\nmapping = ["own.toml"]\n')

    result = RUNNER.invoke(app, [str(file), "--quick", "--out", str(tmp_path / "out")])
    assert result.exit_code == (0 if changed is None else 2), result.output
    assert (tmp_path / "out" / "certificate.json").exists() is (changed is None)


def test_verifying_ends_with_0_only_for_what_was_signed(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    file = signed(tmp_path, key)
    right = RUNNER.invoke(app, ["verify", str(file), "--key", public_text(key)])
    unknown = RUNNER.invoke(app, ["verify", str(file)])
    file.write_text(file.read_text().replace("mis-1", "mis-2"))
    wrong = RUNNER.invoke(app, ["verify", str(file)])

    assert (right.exit_code, unknown.exit_code, wrong.exit_code) == (0, 0, 1)
    assert "shows only that nothing was changed" in unknown.output
    assert "shows only" not in right.output
    assert "not what was signed" in wrong.output
