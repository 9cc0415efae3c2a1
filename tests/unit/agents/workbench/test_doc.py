"""The page that says where each target comes from: in words, with lines and codes, escaped, in one file."""

import json
import re
from pathlib import Path

from lxml import html
from typer.testing import CliRunner

from agents.workbench.cli import app
from agents.workbench.doc import PLAIN_WORDS, WORDS_OF, describe, in_words
from mappings import converter_names, load
from tests.unit.agents.workbench.pupils import MAPPING, write_mapping


def page(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["doc", *map(str, arguments)])
    assert result.exit_code == 0
    return result.stdout


def test_a_line_says_what_is_filled_from_where_how_and_in_which_line(tmp_path: Path) -> None:
    rows = html.fromstring(page(write_mapping(tmp_path))).iter("tr")
    texts = [" ".join("".join(str(part) for part in row.itertext()).split()) for row in rows]

    assert next(text for text in texts if "FamilyName" in text) == (
        "Legal family name Name, birth and ways to reach the person \u203a Name (Current legal name) "
        "PersonalInformation/Name[@Type='C']/FamilyName Surname "
        "Yes: without it the whole object is not made ours.toml:7"
    )
    assert "a date written dd/mm/yyyy" in next(text for text in texts if "BirthDate" in text)
    assert any(text == "boy M Male" for text in texts)


def test_every_converter_has_words() -> None:
    names = {name for name in converter_names() if name in {*PLAIN_WORDS, *(f"{each}:" for each in WORDS_OF)}}

    assert names == set(converter_names())
    assert in_words("date:%d/%m/%Y") == "a date written dd/mm/yyyy"
    assert in_words("theirs:x") == "by the converter 'theirs:x'"


def test_the_page_loads_nothing_and_runs_nothing() -> None:
    text = page("csv/learner", "oneroster/users", "ctf/contact")

    assert "<script" not in text
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!#)|@import|url\(""", text)
    assert "default-src 'none'" in text
    ids = re.findall(r' id="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert {*re.findall(r'href="#([^"]+)"', text)} <= {*ids}


def test_what_a_mapping_says_is_escaped(tmp_path: Path) -> None:
    hostile = MAPPING.replace('"Adno"', "'<script>alert(1)</script>'").replace("our.csv", "</title><b>")

    assert "<script" not in page(write_mapping(tmp_path, hostile))
    assert "<b>" not in page(write_mapping(tmp_path, hostile))


def test_every_mapping_of_the_library_can_be_described() -> None:
    listed = json.loads(CliRunner().invoke(app, ["list", "--json"]).stdout)
    pages = [describe(load(one["name"])) for one in listed if not one["problems"]]

    assert len(pages) > 30
    assert all(each.rows for each in pages)


def test_the_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    out = tmp_path / "doc.html"
    result = CliRunner().invoke(app, ["doc", "csv/school", "--out", str(out)])

    assert result.exit_code == 0
    assert out.read_text("utf-8") == page("csv/school")
    assert [path.name for path in tmp_path.iterdir()] == ["doc.html"]
    assert CliRunner().invoke(app, ["doc", "csv/school", "--out", str(tmp_path / "none" / "x.html")]).exit_code == 2
