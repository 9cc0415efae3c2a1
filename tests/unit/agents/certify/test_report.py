"""The certificate: what it says, what it never says, and the page for people."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from lxml import etree

from agents.certify.outcomes import Check, Outcome, Stage
from agents.certify.prepared import Prepared, prepare
from agents.certify.report import certificate, write
from agents.certify.signing import public_text, verify
from agents.settings import read_settings

KEY = Ed25519PrivateKey.generate()
AT = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)


@pytest.fixture
def prepared(tmp_path: Path) -> Prepared:
    """An agent with a mapping of its own, and things in its file that are nobody's business."""
    (tmp_path / "mappings").mkdir()
    (tmp_path / "mappings" / "own.toml").write_text('base = "csv/learner"\n[fields]\n"LocalId" = "Number"\n')
    file = tmp_path / "agent.toml"
    file.write_text(
        'id = "mis-1"\nname = "Hidden Primary School"\nzone = "amqp://mis-1:hidden-password@hidden-host/zone"\n'
        '[[source]]\nconnector = "csv"\npath = "hidden-exports/*.csv"\nmapping = ["mappings/own.toml"]\n'
        'constants = { "LA Number" = "820" }\n'
    )
    return prepare(read_settings(file), quick=True)


def certified(prepared: Prepared, *outcomes: Outcome, stage: str = "publishing") -> dict[str, object]:
    """Return a certificate of one stage with these outcomes."""
    checks = tuple(Check(f"check <{number}>", outcome, "why & how") for number, outcome in enumerate(outcomes))
    return certificate(prepared, [Stage(stage, "Stage one", checks)], AT, AT, KEY, quick=False)


@pytest.mark.parametrize(
    ("outcomes", "passed"),
    [
        (["pass"], True),
        (["pass", "not applicable"], True),
        (["not applicable"], False),
        (["pass", "fail"], False),
        ([], False),
    ],
)
def test_it_has_passed_when_it_was_tried_in_a_zone_and_nothing_has_failed(
    prepared: Prepared, outcomes: list[Outcome], *, passed: bool
) -> None:
    assert certified(prepared, *outcomes)["passed"] is passed
    assert certified(prepared, *outcomes, stage="settings")["passed"] is False


def test_it_names_versions_connectors_and_mappings_and_nothing_of_the_place(prepared: Prepared) -> None:
    values = certified(prepared, "pass")
    text = json.dumps(values)

    assert values["agent"] == "mis-1"
    assert values["public_key"] == public_text(KEY)
    assert '"connector": "csv", "package": "sifzone"' in text
    assert "hidden" not in text.casefold()
    assert str(prepared.settings.folder) not in text


def test_its_digest_of_a_mapping_changes_with_the_mapping(prepared: Prepared) -> None:
    before = certified(prepared, "pass")["sources"]
    file = prepared.settings.folder / "mappings" / "own.toml"
    file.write_text(file.read_text() + '"HomeLA" = "Home Authority"\n')
    after = certified(prepare(prepared.settings, quick=True), "pass")["sources"]

    assert before != after


def test_what_is_written_is_verified_and_the_page_shows_all_of_it(prepared: Prepared, tmp_path: Path) -> None:
    values = certified(prepared, "pass", "fail", "not applicable")
    write(tmp_path / "out", values, KEY)

    assert verify(tmp_path / "out" / "certificate.json", public_text(KEY)).values == values
    assert (tmp_path / "out" / "certificate.html").exists()
    page = etree.HTML((tmp_path / "out" / "certificate.html").read_text(encoding="utf-8"))
    text = "".join(str(part) for part in page.itertext())
    assert "Not passed: 1 checks that apply failed." in " ".join(text.split())
    assert "check <1>" in text
    assert page.xpath("//script | //link | //img | //@src") == []
