"""What the READMEs of mappings say is what the mappings do."""

import re
from pathlib import Path

import pytest

import mappings
from mappings import InwardMapping, MappingError, OutwardMapping, load

FOLDER = Path(mappings.__file__).parent
COLUMNS = (FOLDER / "library/csv/README.md").read_text("utf-8")
REPORTS = dict(re.findall(r"^## ([\w-]+\.csv) \((.*?)\)", COLUMNS, re.MULTILINE))


def _headings(report: str) -> set[str]:
    text = COLUMNS.split(f"## {report} ")[1].split("\n## ")[0]
    cells = re.findall(r"^\| ([^|]+) \|", text, re.MULTILINE)
    return {heading.strip() for cell in cells for heading in cell.split(",")}


@pytest.mark.parametrize("report", REPORTS)
def test_a_mapping_reads_only_columns_that_its_report_is_said_to_have(report: str) -> None:
    for name in re.findall(r"`(csv/[a-z-]+)`", REPORTS[report]):
        mapping = load(name)
        assert isinstance(mapping, InwardMapping)
        fallback = {"Legal Surname", "Legal Forename", "DOB"}  # of the learner's key: only pupils.csv has them
        assert mapping.sources - fallback <= _headings(report)


def test_every_csv_mapping_is_described() -> None:
    described = {name for mappings in REPORTS.values() for name in re.findall(r"`(csv/[a-z-]+)`", mappings)}

    assert described == {name for name in mappings.shipped_names() if name.startswith("csv/")}


def test_the_examples_of_the_readme_can_be_loaded(tmp_path: Path) -> None:
    blocks = re.findall(r"```toml\n(.*?)```", (FOLDER / "README.md").read_text("utf-8"), re.DOTALL)
    inward, outward = tmp_path / "inward.toml", tmp_path / "outward.toml"
    inward.write_text(blocks[0], "utf-8")
    outward.write_text(blocks[-1], "utf-8")

    assert isinstance(load(inward), InwardMapping)
    assert isinstance(load(outward), OutwardMapping)


def test_a_problem_reads_as_one_line_that_an_editor_can_jump_to(tmp_path: Path) -> None:
    file = tmp_path / "ours.toml"
    file.write_text('object = "TermInfo"\nkey = ["A"]\n[fields]\n"TermCod" = "B"\n', "utf-8")

    with pytest.raises(MappingError) as caught:
        load(file)

    assert f"{file}:4:1: TermInfo has no 'TermCod'; did you mean 'TermCode'?" in str(caught.value).splitlines()
