"""The demo's people are made up, plausible, the same for the same seed, and as many as announced."""

import json
import re
import subprocess
import sys
from collections import Counter
from datetime import date
from pathlib import Path

import pytest
from stdnum.gb.upn import calc_check_digit

from deploy.demo.authority import AUTHORITY, build, ordinary
from deploy.demo.changes import CHANGES, changed_pupil, leavers
from deploy.demo.changes import next_day as day_after
from deploy.demo.faults import FAULTS, ODDITIES, faulty, with_faults
from deploy.demo.generate import DEFAULT_SEED, write
from deploy.demo.people import Pupil, School
from tests.unit.demo.conftest import ROOT

SCHOOLS, JOINERS = build(DEFAULT_SEED)
PUPILS = tuple(pupil for school in SCHOOLS for pupil in school.pupils)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("changed", [False, True], ids=["first-day", "next-day"])
def test_the_same_seed_gives_the_same_bytes(tmp_path: Path, changed: bool) -> None:
    write(tmp_path / "a", 7, changed=changed)
    write(tmp_path / "b", 7, changed=changed)

    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_another_seed_gives_other_people() -> None:
    assert [p.email for p in PUPILS] != [p.email for school in build(DEFAULT_SEED + 1)[0] for p in school.pupils]


@pytest.mark.parametrize("seed", range(5))
def test_every_seed_gives_whole_exports(tmp_path: Path, seed: int) -> None:
    expected = write(tmp_path, seed)

    assert len(expected["looked_after"]) == 14
    assert sum(school["pupils"] for school in expected["schools"].values()) == 604


def test_it_runs_as_a_script(tmp_path: Path) -> None:
    subprocess.run([sys.executable, ROOT / "deploy" / "demo" / "generate.py", tmp_path, "--seed", "3"], check=True)

    assert json.loads((tmp_path / "expected.json").read_text("utf-8"))["seed"] == 3


def test_no_unfinished_file_stays_behind(tmp_path: Path) -> None:
    write(tmp_path)

    assert not list(tmp_path.rglob("*.part"))


def test_the_next_day_comes_beside_the_first_and_replaces_reports(tmp_path: Path) -> None:
    write(tmp_path)
    before = contents(tmp_path)
    write(tmp_path, changed=True)
    after = contents(tmp_path)

    assert {path for path in after if path not in before} == {
        "schools/8209901/exports/8209901_CTF_8209901_002.xml",
        "schools/8209902/exports/8209902_CTF_8209902_002.xml",
    }
    changed = {path for path in before if after[path] != before[path]} - {"expected.json"}
    assert changed == {path for path in before if path.startswith("schools/") and path.endswith(".csv")}


def test_every_upn_has_its_check_letter() -> None:
    assert {p.upn[0] == calc_check_digit(p.upn[1:]) for p in PUPILS} == {True}


@pytest.mark.parametrize("school", SCHOOLS, ids=lambda school: school.establishment)
def test_odd_upns_are_the_listed_ones(school: School) -> None:
    typed = with_faults(school).pupils
    odd = {p.number for p in typed if not p.upn or p.upn[-1].isalpha() or p.upn[0] != calc_check_digit(p.upn[1:])}

    assert odd == {pupil.number for _, pupil in faulty(school, ODDITIES)}
    assert all(p.upn[0] == calc_check_digit(p.upn[1:]) for p in typed if p.upn and p.upn[-1].isalpha())


def test_every_uln_has_its_check_digit() -> None:
    ulns = [p.uln for p in PUPILS if p.uln]

    assert len(ulns) == len(set(ulns)) > 100
    assert all(sum(w * int(c) for w, c in zip(range(10, 0, -1), uln, strict=True)) % 11 == 10 for uln in ulns)


def test_nobody_shares_a_upn_an_email_or_a_name() -> None:
    everybody = (*PUPILS, *JOINERS)

    for of in (lambda p: p.upn, lambda p: p.email, lambda p: (p.surname, p.forename)):
        assert max(Counter(map(of, everybody)).values()) == 1


def test_ages_fit_the_year_groups() -> None:
    for pupil in (*PUPILS, *JOINERS):
        started = 2026 - (0 if pupil.year == "R" else int(pupil.year))
        assert date(started - 5, 9, 1) <= pupil.birth <= date(started - 4, 8, 31)
        assert pupil.birth < pupil.entry <= date(2026, 11, 23)


def test_fourteen_are_looked_after_by_the_authority_and_two_by_another() -> None:
    found = Counter((p.establishment, p.care_authority) for p in PUPILS if p.care_authority)

    assert found == {
        ("8209901", "820"): 4,
        ("8209902", "820"): 5,
        ("8209902", "836"): 1,
        ("8209903", "820"): 5,
        ("8209903", "836"): 1,
    }


def test_nobody_in_care_is_faulty_odd_leaving_or_joining() -> None:
    touched = [p for s in SCHOOLS for _, p in faulty(s, (*FAULTS, *ODDITIES))]
    touched += [p for s in SCHOOLS for p in leavers(s)]

    assert {p.care_authority for p in (*touched, *JOINERS)} == {""}


def test_nobody_is_faulty_and_changed_at_once() -> None:
    places = [(f.establishment, f.place) for f in (*FAULTS, *ODDITIES)]
    places += [(c.establishment, c.place) for c in CHANGES if not c.in_care]
    places += [(s.establishment, ordinary(s).index(p)) for s in SCHOOLS for p in leavers(s)]

    assert len(places) == len(set(places))


def test_five_change_two_join_one_leaves_and_care_stays() -> None:
    changed: list[Pupil] = []
    left: list[Pupil] = []
    for school in SCHOOLS:
        after = day_after(school, JOINERS)
        for before, now in zip(school.pupils, after.pupils, strict=False):
            assert before.care_authority == now.care_authority
            if now.leaving != before.leaving:
                left.append(before)
            elif now != before:
                changed.append(before)

    schools = {school.establishment: school for school in SCHOOLS}
    assert len(changed) == len(CHANGES) == 5
    assert {p.upn for p in changed} == {changed_pupil(schools[c.establishment], c).upn for c in CHANGES}
    assert len(left) == 1
    assert sorted(p.establishment for p in JOINERS) == ["8209901", "8209903"]


def test_attendance_adds_up() -> None:
    for pupil in PUPILS:
        found = pupil.attendance
        assert found.attended + found.authorised + found.unauthorised == found.possible
        assert min(found.attended, found.authorised, found.unauthorised) >= 0


def test_names_are_awkward_in_every_way_that_real_ones_are() -> None:
    names = {p.surname for p in PUPILS} | {p.forename for p in PUPILS}

    for sign in ("'", "-", " ", ".", "ø", "é", "Ż"):
        assert any(sign in name for name in names), sign


def test_nothing_could_reach_a_real_person(tmp_path: Path) -> None:
    write(tmp_path)
    text = b"\n".join(contents(tmp_path).values()).decode()

    assert set(re.findall(r"@([\w.-]+)", text)) <= {
        "example.org",
        "pupils.example.org",
        "staff.example.org",
        *(f"{school.host}.example.org" for school in SCHOOLS),
    }
    assert all(n.startswith(("01632960", "07700900")) for n in re.findall(r"\b0\d{10}\b", text.replace(" ", "")))
    assert set(re.findall(r"\b([A-Z]{2})\d ?\d[A-Z]{2}\b", text)) == {"QZ"}
    assert {school.establishment for school in SCHOOLS} == {f"{AUTHORITY}990{n}" for n in (1, 2, 3)}
