"""The pages as people meet them: in a real browser, from a folder, with and without script, wide and narrow."""

from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import NARROW, WIDE, Opened

KINDS: Final = {
    "index": "index.html",
    "object": "objects/LearnerPersonal.html",
    "code list": "code-lists/EthnicityCodes.html",
    "agreement": "agreements/merlin-accounts.html",
    "hostile agreement": "agreements/script*.html",
}


@pytest.fixture(params=[*KINDS, "quality"])
def file(request: pytest.FixtureRequest, dictionary: Path, quality: Path) -> Path:
    """A page of each kind."""
    if request.param == "quality":
        return quality
    (found,) = dictionary.glob(KINDS[request.param])
    return found


def test_a_page_loads_files_only_and_complains_of_nothing(opened: Opened, file: Path) -> None:
    watched = opened()
    watched.open(file)

    assert watched.complaints == []
    assert watched.requests
    assert all(url.startswith("file:") for url in watched.requests)


def test_a_page_is_styled(opened: Opened, file: Path) -> None:
    page = opened().open(file)

    assert page.locator("h1").evaluate("h => getComputedStyle(h).fontFamily").startswith("arial")


def test_a_page_says_what_it_is_and_has_its_landmarks(opened: Opened, file: Path) -> None:
    page = opened().open(file)

    assert page.locator("html").get_attribute("lang") == "en"
    assert page.title()
    for landmark in ("banner", "main", "contentinfo"):
        expect(page.get_by_role(landmark)).to_have_count(1)
    expect(page.get_by_role("heading", level=1)).to_have_count(1)


def test_the_first_stop_of_the_keyboard_skips_to_the_content(opened: Opened, file: Path) -> None:
    page = opened().open(file)
    page.keyboard.press("Tab")

    expect(page.get_by_role("link", name="Skip to main content")).to_be_focused()
    assert page.locator("#main-content").count() == 1


def test_axe_finds_nothing(opened: Opened, file: Path) -> None:
    watched = opened()
    watched.open(file)

    assert watched.violations() == []


def test_what_scrolls_on_a_narrow_page_is_for_the_keyboard_too(opened: Opened, file: Path) -> None:
    watched = opened(width=NARROW)
    watched.open(file)

    assert watched.violations("scrollable-region-focusable") == []


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
def test_no_page_is_wider_than_the_window(opened: Opened, file: Path, script: bool) -> None:
    page = opened(script=script).open(file)
    for width in (WIDE, 1024, 768, NARROW):
        page.set_viewport_size({"width": width, "height": 800})

        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_wide_table_scrolls_in_its_own_box_by_keyboard(opened: Opened, dictionary: Path) -> None:
    page = opened(width=NARROW).open(dictionary / KINDS["object"])
    box = page.get_by_role("region", name="Elements and attributes of LearnerPersonal")

    box.focus()
    page.keyboard.press("ArrowRight")

    page.wait_for_function("box => box.scrollLeft > 0", arg=box.element_handle())


def test_typing_leaves_what_matches_and_says_how_much(opened: Opened, dictionary: Path) -> None:
    page = opened().open(dictionary / "index.html")
    page.get_by_role("searchbox", name="Search").fill("birth  DATE")

    row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="BirthDate", exact=True))
    expect(row).to_be_visible()
    expect(page.get_by_role("heading", name="Agreements")).to_be_hidden()
    expect(page.get_by_role("rowheader", name="TermInfo")).to_be_hidden()
    expect(page.get_by_role("status")).to_contain_text("rows match")


def test_what_is_cleared_shows_everything_again(opened: Opened, dictionary: Path) -> None:
    page = opened().open(dictionary / "index.html")
    search = page.get_by_role("searchbox", name="Search")

    search.fill("quetzalcoatl")
    expect(page.get_by_role("status")).to_contain_text("0 of ")
    search.fill("")

    expect(page.get_by_role("rowheader", name="TermInfo")).to_be_visible()
    expect(page.get_by_role("status")).to_have_text("")


def test_links_lead_from_the_index_to_an_element_its_codes_and_back(opened: Opened, dictionary: Path) -> None:
    page = opened().open(dictionary / "index.html")

    page.get_by_role("link", name="LearnerPersonal", exact=True).first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("LearnerPersonal")
    page.get_by_role("link", name="Gender", exact=True).first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Gender")
    page.get_by_role("link", name="PersonalInformation/Demographics/Gender").first.click()
    expect(page.locator("tr:target")).to_be_in_viewport()
    page.get_by_role("navigation", name="Breadcrumb").get_by_role("link").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Data dictionary")


def test_an_element_leads_to_the_agreement_under_which_it_is_shared(opened: Opened, dictionary: Path) -> None:
    page = opened().open(dictionary / KINDS["object"])
    page.locator("tr[id='PersonalInformation/Name']").get_by_role("link", name="merlin-accounts").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Accounts on the learning platform")


def test_the_filter_of_an_object_finds_by_path(opened: Opened, dictionary: Path) -> None:
    page = opened().open(dictionary / KINDS["object"])
    page.get_by_role("searchbox").fill("Name/FamilyName")

    expect(page.locator("tr[id='PersonalInformation/Name/FamilyName']")).to_be_visible()
    expect(page.locator("tr[id='UPN']")).to_be_hidden()


def test_the_filter_of_data_quality_finds_a_school_and_hides_the_others(opened: Opened, quality: Path) -> None:
    page = opened().open(quality)
    page.get_by_role("searchbox").fill("thornwick")

    expect(page.get_by_role("heading", name="Thornwick Academy")).to_be_visible()
    expect(page.get_by_role("heading", name="Larkrise Primary School")).to_be_hidden()
    expect(page.get_by_role("status")).to_have_text("2 of 4 rows match")


def test_without_script_everything_is_shown_and_nothing_waits_to_be_typed_into(opened: Opened, file: Path) -> None:
    page = opened(script=False).open(file)

    assert page.locator("[data-filter-row]").count() > 0
    assert page.locator("[data-filter-row]:visible").count() == page.locator("[data-filter-row]").count()
    expect(page.get_by_role("searchbox")).to_have_count(0)


def test_the_chart_is_one_picture_with_a_name(opened: Opened, quality: Path) -> None:
    page = opened().open(quality)

    expect(page.get_by_role("img", name="Faults open at the end of each day, refused and warned of")).to_be_visible()
    expect(page.locator("svg.app-chart rect").first).to_be_visible()


def test_on_paper_there_is_no_filter_and_nothing_is_cut_off(opened: Opened, file: Path) -> None:
    page = opened().open(file)
    page.emulate_media(media="print")

    expect(page.get_by_role("searchbox")).to_have_count(0)
    assert page.locator(".app-scroll").evaluate_all(
        "all => all.every(box => getComputedStyle(box).overflowX !== 'auto')"
    )
