"""The data dictionary is whole, right about who gets what, and harmless whatever an agreement says."""

import os
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pytest

import schemas
from broker.console import write_dictionary
from tests.unit.console.reading import Pages
from tests.unit.console.samples import HOSTILE, MERLIN, VIRTUAL

LEARNER = "objects/LearnerPersonal.html"
COMMON = ("SIF_Metadata", "SIF_ExtendedElements")


def below(object_type: str) -> list[schemas.Node]:
    """Return the elements and attributes of an object in the order of its page: its own, then the common ones."""

    def walk(node: schemas.Node) -> list[schemas.Node]:
        return [one for child in node.children for one in (child, *walk(child))]

    return sorted(walk(schemas.load().tree(object_type)), key=lambda node: node.path.partition("/")[0] in COMMON)


@pytest.fixture(scope="module")
def merlins(tmp_path_factory: pytest.TempPathFactory) -> Pages:
    """A dictionary with one agreement."""
    folder = tmp_path_factory.mktemp("merlins")
    return Pages(folder, write_dictionary(folder, schemas.load(), (MERLIN,)))


@pytest.mark.parametrize("name", schemas.load().objects)
def test_every_object_has_a_page_with_all_its_elements(pages: Pages, name: str) -> None:
    page = pages[f"objects/{name}.html"]

    assert page.one("//h1") == name
    assert page.strings("//tr/@id") == [node.path for node in below(name)]


@pytest.mark.parametrize("name", schemas.code_list_names())
def test_every_code_list_has_a_page_with_all_its_codes(pages: Pages, name: str) -> None:
    code_list = schemas.codes(name)
    page = pages[f"code-lists/{name}.html"]

    expected = [[" ".join(text.split()) for text in code] for code in code_list.labels.items()]
    assert page.rows(f"Codes of {name}") == expected
    assert {code_list.source, str(code_list.year)} <= set(page.strings("//dd"))


def test_the_index_leads_to_every_page(pages: Pages) -> None:
    linked = {urldefrag(link)[0] for link in pages["index.html"].links}

    assert set(pages.names) - {"index.html"} <= linked


def test_every_link_leads_to_a_page_and_a_place_that_are_there(pages: Pages) -> None:
    ids = {name: set(page.ids) for name, page in pages.items()}
    for name, page in pages.items():
        for link in page.links:
            target, place = urldefrag(link)
            assert not urlsplit(target).scheme, f"{name} links to {link}"
            found = os.path.normpath(Path(name).parent / unquote(target)) if target else name
            assert (pages.folder / found).is_file(), f"{name} links to {link}"
            assert not place or unquote(place) in ids[found], f"{name} links to {link}"


def test_no_page_gives_an_id_twice(pages: Pages) -> None:
    for name, page in pages.items():
        assert len(page.ids) == len(set(page.ids)), name


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param("@RefId", ["merlin merlin-accounts"], id="an attribute that is named"),
        pytest.param("PersonalInformation/Name", ["merlin merlin-accounts"], id="an element that is named"),
        pytest.param("PersonalInformation/Name/FamilyName", ["merlin merlin-accounts"], id="an element below"),
        pytest.param("PersonalInformation/Name/@Type", ["merlin merlin-accounts"], id="an attribute below"),
        pytest.param("PersonalInformation", ["merlin, in part merlin-accounts"], id="an element above, in part"),
        pytest.param("PersonalInformation/OtherNames", ["Nobody"], id="an element beside"),
        pytest.param("PersonalInformation/OtherNames/Name", ["Nobody"], id="a path that only ends alike"),
        pytest.param("UPN", ["Nobody"], id="an element elsewhere"),
    ],
)
def test_who_gets_an_element(merlins: Pages, path: str, expected: list[str]) -> None:
    assert merlins[LEARNER].who_gets(path) == expected


def test_an_object_that_is_shared_whole_is_shared_with_all_its_elements(pages: Pages) -> None:
    for node in below("SchoolInfo"):
        assert pages["objects/SchoolInfo.html"].who_gets(node.path) == ["merlin merlin-accounts"]


def test_every_agreement_that_shares_an_element_is_named_at_it(pages: Pages) -> None:
    assert pages[LEARNER].who_gets("@RefId") == [
        "merlin merlin-accounts",
        "virtual-school, virtual-school-archive virtual-school",
    ]


def test_an_agreements_page_says_what_it_is_for_and_links_to_each_element(pages: Pages) -> None:
    page = pages["agreements/merlin-accounts.html"]

    assert page.strings("//dd")[:9] == [
        "merlin-accounts",
        "mis-*",
        "merlin",
        MERLIN.purpose,
        MERLIN.lawful_basis,
        "1 September 2026",
        "31 August 2027",
        "Learners enrolled at a school that the recipient serves",
        "Left out",
    ]
    assert f"../{LEARNER}#PersonalInformation/Name" in page.links
    assert page.rows("What is shared of SchoolInfo") == [["Everything", "The whole object"]]


def test_hostile_text_stays_text(pages: Pages) -> None:
    (hostile,) = (page for name, page in pages.items() if name.startswith("agreements/") and "script" in name)

    assert hostile.one("//h1") == HOSTILE
    assert HOSTILE in hostile.one("//title")
    for name, page in pages.items():
        assert page.is_harmless, name


def test_no_name_leads_out_of_the_folder(pages: Pages) -> None:
    assert all(path.resolve().is_relative_to(pages.folder.resolve()) for path in pages.written)
    assert {path.parent.name for path in pages.written[2:]} == {"objects", "code-lists", "agreements"}


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    once = write_dictionary(tmp_path / "1", schemas.load(), (MERLIN, VIRTUAL))
    again = write_dictionary(tmp_path / "2", schemas.load(), (VIRTUAL, MERLIN))

    assert [p.relative_to(tmp_path / "1") for p in once] == [p.relative_to(tmp_path / "2") for p in again]
    assert [p.read_bytes() for p in once] == [p.read_bytes() for p in again]


def test_what_an_earlier_run_left_is_removed_and_other_files_are_kept(tmp_path: Path) -> None:
    write_dictionary(tmp_path, schemas.load(), (MERLIN, VIRTUAL))
    (tmp_path / "agreements" / "notes.html").write_text("<p>ours")

    write_dictionary(tmp_path, schemas.load(), (VIRTUAL,))

    assert sorted(p.name for p in (tmp_path / "agreements").iterdir()) == ["notes.html", "virtual-school.html"]


def test_no_page_asks_anything_of_the_network(pages: Pages) -> None:
    css = (pages.folder / "style.css").read_text(encoding="utf-8")

    assert not [word for word in ("url(", "@import", "@font-face", "GDS Transport") if word in css]
    for name, page in pages.items():
        policy = page.one("//meta[@http-equiv='Content-Security-Policy']/@content")
        assert policy.startswith("default-src 'none'; "), name
        assert "unsafe" not in policy


def test_without_agreements_nobody_gets_anything(tmp_path: Path) -> None:
    pages = Pages(tmp_path, write_dictionary(tmp_path, schemas.load(), (), title="What we hold"))

    assert pages["index.html"].one("//h1") == "What we hold"
    assert {line for node in below("LearnerPersonal") for line in pages[LEARNER].who_gets(node.path)} == {"Nobody"}


def test_nobody_gets_what_steers_the_zone(tmp_path: Path) -> None:
    whole = replace(MERLIN, shares={"LearnerLookedAfter": ("*",)})

    page = Pages(tmp_path, write_dictionary(tmp_path, schemas.load(), (whole,)))["objects/LearnerLookedAfter.html"]

    assert MERLIN.id in " ".join(page.strings("//tr[@id='CareStatus']//a"))
    assert page.strings("//tr[@id='ShieldCode']//a[contains(@href, 'agreements')]") == []
