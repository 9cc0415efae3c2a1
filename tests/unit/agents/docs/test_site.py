"""The integrators' pages: whole, linked, safe, with everything that the program knows of itself in them."""

import re
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from lxml import html
from typer.testing import CliRunner

from agents import connectors, fetchers
from agents.docs import site as site_module
from agents.docs.cli import app
from agents.docs.markdown import fences, render
from agents.docs.site import GENERATOR, Page, build, faults, page_text, write_site
from broker.protocol import errors
from broker.protocol.errors import ConfigurationError, ZoneError
from mappings.packs import packs
from mappings.shelves import LIBRARY


@pytest.fixture(scope="module")
def site() -> dict[str, str]:
    """The files of the site."""
    return dict(build())


@pytest.fixture(scope="module")
def documents(site: dict[str, str]) -> dict[str, html.HtmlElement]:
    """Its pages, read as a browser does."""
    return {name: html.document_fromstring(text) for name, text in site.items() if name.endswith(".html")}


def texts(elements: list[html.HtmlElement]) -> list[str]:
    return [" ".join(element.text_content().split()) for element in elements]


def page(name: str, text: str) -> Page:
    return Page(name, render(text))


def test_each_page_has_a_language_a_title_one_first_heading_landmarks_and_a_way_past_the_menu(
    documents: dict[str, html.HtmlElement],
) -> None:
    assert len(documents) == len(site_module.PAGES)
    for name, document in documents.items():
        titles = texts(document.xpath("//h1"))
        assert len(titles) == 1, name
        assert document.get("lang") == "en-GB"
        assert document.findtext(".//title") == f"{titles[0]} - sifzone for integrators"
        assert document.xpath("//a[@class='govuk-skip-link']/@href") == ["#main-content"]
        landmarks = [one.tag for one in document.iter("header", "main", "footer")]
        assert landmarks == ["header", "main", "footer"]
        assert document.get_element_by_id("main-content").tag == "main"
        assert texts(document.xpath("//nav[@aria-label='Pages']//a[@aria-current='page']")) == titles
        ids = [element.get("id") for element in document.iter() if element.get("id")]
        assert len(ids) == len(set(ids))


def test_each_link_leads_to_a_page_and_a_heading_of_the_site(
    site: dict[str, str], documents: dict[str, html.HtmlElement]
) -> None:
    seen = 0
    for name, document in documents.items():
        for href in document.xpath("//@href"):
            file, _, anchor = href.partition("#")
            if not href.startswith("https://"):
                seen += 1
                assert (file or name) in site
                assert not anchor or documents[file or name].get_element_by_id(anchor) is not None
    assert seen > 100


def test_pages_ask_nothing_of_the_network_and_run_nothing(documents: dict[str, html.HtmlElement]) -> None:
    for document in documents.values():
        assert document.xpath("//script|//img|//iframe|//form|//@style|//@*[starts-with(name(), 'on')]") == []
        assert document.xpath("//link/@href") == ["style.css"]
        (policy,) = document.xpath("//meta[@http-equiv='Content-Security-Policy']/@content")
        assert policy.startswith("default-src 'none'")


def test_the_menu_names_the_pages_in_their_order(documents: dict[str, html.HtmlElement]) -> None:
    for document in documents.values():
        assert document.xpath("//nav[@aria-label='Pages']//a/@href") == [f"{name}.html" for name in site_module.PAGES]


def test_every_connector_and_fetcher_is_there_with_each_option_and_what_it_means(
    documents: dict[str, html.HtmlElement],
) -> None:
    text = documents["connectors.html"]
    known = [connectors.find(name) for name in connectors.connector_names()]
    known += [fetchers.find(name) for name in fetchers.fetcher_names()]
    headings = texts(text.xpath("//h3"))
    rows = {row[0].text_content(): row[-1].text_content() for row in text.xpath("//tbody/tr")}
    options = [(name, one) for each in known for name, one in each.Options.model_fields.items() if not one.exclude]

    assert set(headings) == {*connectors.connector_names(), *fetchers.fetcher_names()}
    assert {one.alias or name for name, one in options} <= set(rows)
    assert all(rows.values())
    assert "`" not in "".join(rows.values())


def test_every_command_for_integrators_is_there_with_its_options(documents: dict[str, html.HtmlElement]) -> None:
    document = documents["commands.html"]
    (mapping,) = entry_points(group="sifzone.commands", name="mapping")
    names = [f"sifzone mapping {command.name or ''}".strip() for command in mapping.load().registered_commands]
    options = " ".join(texts(document.xpath("//li/code")))

    assert len(names) > 5
    assert {name for name in names if not name.endswith("mapping")} <= set(texts(document.xpath("//h3")))
    assert "--library" in options
    assert "--install-completion" not in options


def test_every_shipped_pack_is_there_with_its_mappings(documents: dict[str, html.HtmlElement]) -> None:
    document = documents["packs.html"]
    known = [pack for pack in packs().values() if pack.folder.is_relative_to(LIBRARY)]
    named = " ".join(texts(document.xpath("//td[3]/code"))).split()

    assert {pack.name for pack in known} <= set(texts(document.xpath("//h3")))
    assert {name for pack in known for source in pack.sources for name in source.mapping} == set(named)


def test_each_refusal_that_the_zone_sends_is_explained(documents: dict[str, html.HtmlElement]) -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ZoneError)]
    (table,) = documents["problems.html"].xpath("//table[thead//th[.='Error']]")
    explained = {code for cell in table.xpath("tbody/tr/td[1]") for code in cell.text_content().split(", ")}

    assert {f"{kind.category}/{kind.code}" for kind in kinds} == explained


def test_the_markup_of_a_page_is_shown_and_not_obeyed() -> None:
    made = render(
        '# A <b>\n\n<script>alert(1)</script>\n\n[x](javascript:alert(1))\n\n```toml title="a<b"\n<c>\n```\n'
    ).html

    assert not {element.tag for element in html.fromstring(made).iter()} & {"script", "c", "b"}
    assert "href" not in made


def test_a_heading_has_the_anchor_that_code_hosts_give_it_and_two_of_a_name_differ() -> None:
    made = render("# Both ways\n\n## The agent's `[[source]]`\n\n## Same\n\n## Same\n")

    assert [one.anchor for one in made.headings] == ["both-ways", "the-agents-source", "same", "same-1"]


def test_a_table_scrolls_by_itself_and_an_empty_heading_is_none() -> None:
    made = html.fromstring(render("# T\n\n| a | |\n|---|---|\n| 1 | 2 |\n").html)

    assert made.xpath("//div[@tabindex='0' and @aria-label='Table: T']/table/thead//th/@scope") == ["col"]
    assert texts([*made.iter("td")])[0] == ""


def test_a_block_tells_its_language_file_text_and_line() -> None:
    (block,) = fences('# T\n\n```toml title="codes/x.toml"\na = 1\n```\n')

    assert (block.language, block.title, block.text, block.line) == ("toml", "codes/x.toml", "a = 1\n", 3)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("# A\n\n[x](nowhere.md)\n", "'nowhere.html' leads to no page"),
        ("# A\n\n[x](b.md#gone)\n", "'b.html#gone' leads to no heading"),
        ("# A\n\n[x](#gone)\n", "'#gone' leads to no heading"),
        ("# A\n\n[x](http://example.org/)\n", "leads to no page"),
        ("# A\n\n[x](../secret.html)\n", "leads to no page"),
        ("# A\n\n# B\n", "2 headings of the first level"),
        ("text\n", "0 headings of the first level"),
    ],
)
def test_a_broken_link_or_heading_is_found(text: str, fault: str) -> None:
    (found,) = faults((page("a", text), page("b", "# B\n\n## There\n\n[x](a.md)\n")))

    assert fault in found


def test_sound_links_are_no_fault() -> None:
    text = "# A\n\n[x](b.md#there) [y](#a) [z](https://example.org/x) [f](asyncapi.json)\n"

    assert [*faults((page("a", text), page("b", "# B\n\n## There\n")), frozenset({"asyncapi.json"}))] == []


def test_a_broken_link_fails_the_build_and_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site_module, "page_text", lambda name: page_text(name) + "\n[x](nowhere.md)\n")
    out = tmp_path / "site"

    result = CliRunner().invoke(app, ["build", "--out", str(out)])

    assert result.exit_code == 2
    assert "packs: the link 'nowhere.html' leads to no page" in result.output
    assert not out.exists()


def test_a_build_replaces_its_own_pages_and_leaves_other_files_and_folders_alone(
    tmp_path: Path, site: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site_module, "build", lambda: site)
    write_site(tmp_path / "site")
    (tmp_path / "site/old.html").write_text(f'<meta name="generator" content="{GENERATOR}">')
    (tmp_path / "site/mine.html").write_text("<p>mine</p>")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/index.html").write_text("<p>another site</p>")

    written = write_site(tmp_path / "site")

    assert written[0] == tmp_path / "site/index.html"
    assert {path.name for path in (tmp_path / "site").iterdir()} == {*site, "mine.html"}
    with pytest.raises(ConfigurationError, match="holds other files"):
        write_site(tmp_path / "other")
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["index.html"]


def test_a_sample_is_copied_whole_and_never_over_another_file(tmp_path: Path) -> None:
    runner = CliRunner()
    target = tmp_path / "contacts.csv"

    first = runner.invoke(app, ["sample", "sims-like", "contacts.csv", "--out", str(tmp_path)])
    again = runner.invoke(app, ["sample", "sims-like", "--out", str(target)])
    unknown = runner.invoke(app, ["sample", "sims-lik"])
    escape = runner.invoke(app, ["sample", "sims-like", "../pack.toml", "--out", str(tmp_path / "x")])

    assert (first.exit_code, again.exit_code, unknown.exit_code, escape.exit_code) == (0, 2, 2, 2)
    assert target.read_bytes().count(b"\n") > 5
    assert "is there already" in again.output
    assert "did you mean 'sims-like'?" in unknown.output
    assert not (tmp_path / "x").exists()


def test_styles_are_those_of_the_console_and_load_nothing(site: dict[str, str]) -> None:
    style = site["style.css"]

    assert ".govuk-skip-link" in style
    assert ".app-scroll" in style
    assert ".app-code" in style
    assert re.search(r"url\((?!['\"]?data:)|@import", style) is None
