"""What somebody who tries an agent is told of its rows; the trial in a zone of its own is tests/integration's."""

from pathlib import Path

import pytest

from agents.testing import Agreement, Zone, ZoneAgent
from agents.tryout import Looks, report

AGENTS = (ZoneAgent("mis-1", publish=["LearnerPersonal"]), ZoneAgent("reader", subscribe=["LearnerPersonal"]))
ALL = Agreement({"LearnerPersonal": ["*"]}, ["reader"])
HEADINGS = "UPN,Legal Surname,Legal Forename,DOB,Sex\n"
MANY_WARNINGS = "".join(f"Z82099012{number:04},Quill,Ann,01/09/2014,Z\n" for number in range(30))


def flowing(file: Path, rows: str) -> bool:
    """Tell what is found of a file with these rows; return whether rows are flowing."""
    (file.parent / "exports").mkdir()
    (file.parent / "exports" / "pupils.csv").write_text(HEADINGS + rows)
    file.write_text('id = "mis-1"\n[[source]]\nconnector = "csv"\npath = "exports/*.csv"\nmapping = ["csv/learner"]\n')
    with Zone(AGENTS, [ALL]) as zone:
        agent = zone.agent(file)
        zone.run_until_quiet()
        learners = zone.objects("reader", "LearnerPersonal")
        arrived = {("LearnerPersonal", str(number)): each for number, each in enumerate(learners)}
        return report(agent.settings.state_folder, arrived, agent.settings, Looks())


def test_rows_of_which_nothing_is_made_come_first_and_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert flowing(tmp_path / "agent.toml", f"{MANY_WARNINGS}M820990119001,,Bob,02/09/2014,M\n")
    said = capsys.readouterr().out

    assert "Rows are flowing: 30 objects of 31 rows reached the recipient." in said
    assert "Of 1 row something was not made: why, and what to do, is in the table of problems." in said
    table = said[said.index("Problems, by row: 31") :].splitlines()
    first, second = [line for line in table if "│ pupils.csv" in line][:2]
    assert ("row 32" in first, "not made" in first, "fill Legal Surname" in first) == (True, True, True)
    assert "made, with this" in second
    assert "Quill" not in said


def test_that_no_row_flows_is_said_with_the_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert not flowing(tmp_path / "agent.toml", "M820990119001,,Bob,02/09/2014,M\n")
    said = capsys.readouterr().out

    assert "NO rows are flowing: of 1 row no object reached the recipient." in said
    assert "Of 1 row something was not made" in said
