"""What all pages share: names of files that are safe anywhere, plain words, and who gets what."""

import re
from datetime import date
from importlib.resources import files

import pytest

import schemas
from broker.console import words
from broker.console.chart import HEIGHT, stacked
from broker.console.pages import file_names
from broker.console.sharing import grants
from tests.unit.console.samples import MERLIN, VIRTUAL

SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,70}\.html")


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "/root", "a\\b", ".hidden", "con", "LPT1", "", "a" * 300, "naïve", "a:b", "\ud800", "x\0y"],
    ids=ascii,
)
def test_a_strange_name_gets_a_safe_file_of_its_own(name: str) -> None:
    made = file_names([name, name + "2"])

    assert all(SAFE.fullmatch(file) for file in made.values())
    assert made[name] != made[name + "2"]
    assert made[name] != f"{name}.html"


def test_names_that_differ_in_case_alone_get_files_that_differ_in_more() -> None:
    made = file_names(["Gender", "gender", "UPN"])

    assert len({file.casefold() for file in made.values()}) == 3
    assert made["UPN"] == "UPN.html"


def test_grants_come_in_order_of_agreement() -> None:
    found = grants((VIRTUAL, MERLIN), "LearnerPersonal", "PersonalInformation")

    assert [(grant.agreement.id, grant.whole) for grant in found] == [
        ("merlin-accounts", False),
        ("virtual-school", True),
    ]
    assert grants((VIRTUAL, MERLIN), "TermInfo", "") == ()


def test_every_element_is_said_in_plain_words() -> None:
    schema = schemas.load()
    said = {words.type_of(node) for name in schema.objects for node in _below(schema.tree(name))}

    assert not [one for one in said if one.startswith("xs:") or not one[:1].isupper()]


@pytest.mark.parametrize(("amount", "top"), [(0, "4"), (3, "4"), (5, "8"), (21, "40"), (199, "200"), (1001, "2,000")])
def test_the_upright_axis_ends_at_a_round_number(amount: int, top: str) -> None:
    chart = stacked([(date(2026, 9, 1), amount, 0)])

    assert chart.amounts[-1].text == top
    assert len(chart.amounts) == 5


def test_bars_stand_on_each_other_and_a_missing_day_is_a_gap() -> None:
    chart = stacked([(date(2026, 9, 1), 1, 2), (date(2026, 9, 3), 0, 4)])
    refused, warned, later = chart.parts

    assert (refused.kind, warned.kind, later.kind) == ("refused", "warned", "warned")
    assert refused.y == pytest.approx(warned.y + warned.height, abs=0.2)
    assert later.x - warned.x == pytest.approx(2 * (warned.width / 0.8), abs=0.3)
    assert all(0 <= part.y <= part.y + part.height <= HEIGHT for part in chart.parts)


def test_the_styles_come_with_their_licence() -> None:
    static = files("broker.console") / "static"

    assert "MIT License" in (static / "govuk-frontend-LICENSE.txt").read_text(encoding="utf-8")


def _below(node: schemas.Node) -> list[schemas.Node]:
    return [one for child in node.children for one in (child, *_below(child))]
