"""What ``sifzone quality`` shows of the faults of records, and to whom: its files are their owner's alone."""

import csv
import stat
from datetime import date, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from broker.cli import app
from broker.storage import Batch, FlawRow, JudgedRow, make_key, open_store
from tests.faults.zones import make_zone

TODAY = date.today()  # noqa: DTZ011  # the zone's own calendar
UPN = FlawRow("UPN", "upn-check-letter", "warn", "UPN has a check letter that does not fit: correct it.")
REF = FlawRow("@RefId", "value", "refuse", "RefId is not the right form: correct it.")


@pytest.fixture
def zone(tmp_path: Path) -> Path:
    """A zone in which one school has a warning and another, since yesterday, a refusal."""
    made = make_zone(tmp_path / "zone")
    made.state.mkdir(mode=0o700)
    make_key(made.key_file)
    whole = frozenset({""})
    with open_store(made.database_url, made.key_file) as store:
        old = JudgedRow("mis-2", "SchoolInfo", "B" * 32, "8209902", "", whole, (REF,))
        store.commit(Batch(judged=[old], day=TODAY - timedelta(1)))
        new = JudgedRow("mis-1", "LearnerPersonal", "A" * 32, "8209901", "7-1", whole, (UPN,))
        store.commit(Batch(judged=[new], day=TODAY))
    return made.folder


def run(zone: Path, *arguments: str) -> str:
    result = CliRunner().invoke(app, ["quality", "--zone", str(zone), *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_faults_are_counted_by_school_and_rule_with_a_trend(zone: Path) -> None:
    said = run(zone, "--days", "2")

    assert "upn-check-letter" in said
    assert f"{TODAY - timedelta(1)} │       1 │         0" in said
    assert f"{TODAY} │       1 │         1" in said


def test_each_record_is_named_by_the_schools_id_and_without_one_by_its_key(zone: Path) -> None:
    said = run(zone, "--records")

    assert "7-1" in said
    assert "B" * 32 in said
    assert "A" * 32 not in said


@pytest.mark.parametrize(
    "arguments", [("--school", "8209901"), ("--agent", "mis-1"), ("--rule", "upn-check-letter")], ids=lambda a: a[0]
)
def test_only_what_is_asked_for_is_shown(arguments: tuple[str, str], zone: Path) -> None:
    said = run(zone, "--records", *arguments)

    assert "7-1" in said
    assert "B" * 32 not in said


def test_no_cell_of_a_csv_file_is_a_formula(zone: Path) -> None:
    rows = list(csv.DictReader(run(zone, "--csv", "-").splitlines()))

    assert [row["pupil_or_record_id"] for row in rows] == ["7-1", "B" * 32]
    assert [row["field"] for row in rows] == ["UPN", "'@RefId"]


@pytest.mark.parametrize("kind", ["--csv", "--html"])
@pytest.mark.parametrize("is_there", [False, True])
def test_a_file_is_its_owners_alone_even_one_that_was_there(
    kind: str, zone: Path, tmp_path: Path, *, is_there: bool
) -> None:
    file = tmp_path / "report"
    if is_there:
        file.touch(0o644)

    said = run(zone, kind, str(file))

    assert said.startswith(f"{file}: 2 faults")
    assert "7-1" in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
