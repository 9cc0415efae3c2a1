"""Secrets of an agent: named in its file, read where they are, and never repeated."""

import os
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from agents.connectors.contract import SourceError
from agents.credentials import AgentFile, Secret
from agents.settings import explain
from broker.protocol.errors import ConfigurationError


class Options(BaseModel):
    password: Secret
    key_file: AgentFile | None = None


def options(folder: Path, **values: str) -> Options:
    return Options.model_validate(values, context={"folder": folder})


def secret(folder: Path, written: str) -> Secret:
    return options(folder, password=written).password


def test_a_secret_is_read_from_the_environment_each_time_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = secret(tmp_path, "env:MIS_PASSWORD")

    monkeypatch.setenv("MIS_PASSWORD", "tin whistle")
    assert found.reveal() == "tin whistle"
    monkeypatch.setenv("MIS_PASSWORD", "penny")
    assert found.reveal() == "penny"


def test_a_secret_is_read_from_a_file_beside_the_agents_file_without_its_line_end(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("tin whistle\r\n")
    (tmp_path / "password").chmod(0o600)

    assert secret(tmp_path, "file:password").reveal() == "tin whistle"


@pytest.mark.parametrize(
    "written", ["tin whistle", "", "env:", "env:A B", "file:", "ENV:NAME", "env:NAME\n", "file:a\x00"]
)
def test_a_secret_in_the_agents_file_is_refused_in_words_that_do_not_repeat_it(tmp_path: Path, written: str) -> None:
    with pytest.raises(ValidationError) as caught:
        secret(tmp_path, written)

    words = explain("option", caught.value, Options)
    assert words.startswith('option: password: a secret does not belong in this file: write "env:NAME"')
    assert "tin whistle" not in words


def test_a_secret_is_shown_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIS_PASSWORD", "tin whistle")
    made = options(tmp_path, password="env:MIS_PASSWORD")

    made.password.reveal()

    assert "tin whistle" not in f"{made!r} {made} {made.model_dump()} {made.model_dump_json()}"
    assert made.model_dump(mode="json")["password"] == "env:MIS_PASSWORD"
    assert Options.model_json_schema()["properties"]["password"]["type"] == "string"


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [
        (b"tin whistle", 0o640, "chmod 600"),
        (b"tin whistle", 0o604, "chmod 600"),
        (b"", 0o600, "is empty"),
        (b"tin\nwhistle\n", 0o600, "more than one line"),
        (b"tin\xffwhistle", 0o600, "not UTF-8"),
        (b"tin whistle" * 10_000, 0o600, "larger than"),
    ],
    ids=["group", "others", "empty", "lines", "bytes", "large"],
)
def test_a_file_that_is_not_one_secret_for_its_owner_alone_is_refused(
    tmp_path: Path, content: bytes, mode: int, words: str
) -> None:
    (tmp_path / "password").write_bytes(content)
    (tmp_path / "password").chmod(mode)

    with pytest.raises(SourceError, match=words) as caught:
        secret(tmp_path, "file:password").reveal(SourceError)

    assert "whistle" not in str(caught.value)


def test_a_pipe_is_no_file_with_a_secret_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "password", 0o600)

    with pytest.raises(SourceError, match="is empty"):
        secret(tmp_path, "file:password").reveal(SourceError)


@pytest.mark.parametrize(
    ("written", "words"),
    [("env:SIFZONE_NOT_SET", "is not set"), ("file:nowhere", "no such file"), ("file:.", "no such")],
)
def test_what_is_missing_is_told_with_the_place_to_put_it(tmp_path: Path, written: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        secret(tmp_path, written).reveal()


def test_a_file_option_is_found_beside_the_agents_file_or_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("")

    assert options(tmp_path, password="env:A", key_file="key").key_file == tmp_path / "key"
    with pytest.raises(ValidationError, match="no such file"):
        options(tmp_path, password="env:A", key_file="keys")
