"""Files of a return that are broken or hostile: what is refused, why, and that nothing of them is repeated."""

import subprocess
import sys
from pathlib import Path

import pytest

from agents.connectors.contract import SourceError
from agents.connectors.ssda903 import Ssda903Options, Ssda903Source
from tests.unit.agents.ssda903_files import CHILD, DATA, EPISODES, HEADER, Return, episode, write

ROOT = Path(__file__).parents[3]
ROW = episode("01/09/2025", "S")
GOOD = f"{EPISODES}\n{ROW}\n"
XML = (DATA / "return.xml").read_text()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (GOOD.encode("utf-16"), "UTF-16"),
        (GOOD.encode("utf-16-le"), "NUL"),
        (GOOD.replace("WBRI", "é").replace("QZ7", "é").encode("cp1252"), "UTF-8"),
        (GOOD.replace("QZ7", "Q\0").encode(), "NUL"),
        (GOOD.replace("QZ7 3CC", "Q" * 2_000).encode(), "quotation mark"),
        (GOOD.replace("QZ7 3CC", "Q" * 200_000).encode(), "quotation mark"),
        (GOOD.replace("QZ7 3CC", '"QZ7').encode() + b"MADEUP22,x\nMADEUP23,y\n", "quotation mark"),
        (GOOD.replace("CIN,", "DEC,", 1).encode(), "headed DEC"),
        (GOOD.replace("DEC,REC", "DEC,END").encode(), "of no file"),
        (ROW.encode(), "of no file"),
        ((",".join(f"C{n}" for n in range(500))).encode(), "columns"),
        (f"{HEADER},{EPISODES.partition(',')[2]}\n".encode(), "of several files"),
    ],
    ids=[
        "empty", "utf-16", "utf-16-without-mark", "cp1252", "nul", "long-cell", "huge-cell", "open-quote",
        "double-column", "column-missing", "no-headings", "wide", "two-in-one",
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_refused_with_the_reason(tmp_path: Path, content: bytes, words: str) -> None:
    path = write(tmp_path, ROW)
    path.write_bytes(content)

    with pytest.raises(SourceError, match=words) as caught:
        Return(path)

    assert "MADEUP" not in str(caught.value)


def test_a_return_without_header_or_episodes_gives_nothing_and_says_what_is_wrong_with_them(tmp_path: Path) -> None:
    path = write(tmp_path, ROW)
    path.write_bytes(GOOD.encode("utf-16"))

    with pytest.raises(SourceError, match=r"no Episodes file .* \(episodes.csv is not read: UTF-16"):
        Return(tmp_path / "header.csv")


def test_two_files_of_one_kind_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, ROW, old=GOOD)

    with pytest.raises(SourceError, match=r"episodes.csv and old.csv both .* Episodes"):
        Return(path)


def test_another_file_that_cannot_be_read_is_reported_and_nothing_concluded_from_it(tmp_path: Path) -> None:
    read = Return(write(tmp_path, ROW, uasc="CHILD,NAME\nMADEUP21,x\n"))

    assert [(p.position, p.rule, p.incomplete) for p in read.problems] == [("uasc.csv", "file-not-read", True)]
    assert "UASC" not in read.one()


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        ("=cmd|'/c calc'!A0" + ROW.partition(",")[2], "formula"),
        (ROW.replace("U6", "+1"), "formula"),
        (ROW.replace("U6", "@x"), "formula"),
        (ROW + ",,x", "ragged-row"),
        ("MADEUP21,01/09/2025,S,C2,N1,U6,PR1", "short-row"),
        (ROW.replace("MADEUP21", ""), "missing"),
        (ROW.replace("MADEUP21", "M" * 21), "child-id"),
        (ROW.replace("MADEUP21", "MADEUP99"), "no-header"),
    ],
    ids=["formula", "plus", "at", "long", "short", "nobody", "long-id", "no-header"],
)
def test_a_bad_row_is_reported_and_the_others_go_on(tmp_path: Path, row: str, rule: str) -> None:
    other = episode("01/07/2025", "S", child="MADEUP22")
    header = CHILD + "\n" + CHILD.replace("21,", "22,", 1).replace("Q821990112001", "UN5")
    read = Return(write(tmp_path, f"{row}\n{other}", header))

    assert ("episodes.csv row 2", rule) in read.rules
    assert read.one("MADEUP22")["Current"] == "Yes"
    assert all(rows == known for rows, known in read.sums())
    assert "MADEUP" not in repr(read.problems)


def test_a_row_that_lacks_only_what_nobody_needs_is_used(tmp_path: Path) -> None:
    path = write(tmp_path, "MADEUP21,01/09/2025,S,C2,N1,U6,PR1,,", CHILD.rstrip(","))

    assert Return(path).rules == []
    assert Return(path).one()["Current"] == "Yes"


def test_columns_that_are_not_of_the_return_are_reported_and_not_read(tmp_path: Path) -> None:
    path = write(tmp_path, ROW)
    path.write_text(f"{EPISODES},LA,née\n{ROW},x,y\n")

    messages = [problem.message for problem in Return(path).problems]

    assert messages == [
        "the column LA is not one of Episodes, and is not read",
        "column 15 is not one of Episodes, and is not read",
    ]


def test_more_rows_than_allowed_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "\n".join([ROW] * 20))

    with pytest.raises(SourceError, match="max_rows"):
        Return(path, max_rows=20)
    with pytest.raises(SourceError, match="max_bytes"):
        Return(path, max_bytes=100)
    with pytest.raises(SourceError, match="max_rows"):
        Return(DATA / "return.xml", max_rows=9)
    with pytest.raises(SourceError, match="max_bytes"):
        Return(DATA / "return.xml", max_bytes=100)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (XML.replace("?>", '?><!DOCTYPE EXPSSDA903 [<!ENTITY a "aaaa">]>', 1), "DOCTYPE"),
        (XML.replace("?>", "?><!-- a --><!DOCTYPE EXPSSDA903 SYSTEM 'file:///etc/passwd'>", 1), "DOCTYPE"),
        (XML[:-40], "cut short"),
        (XML.replace("WBRI", "&secret;", 1), "well-formed"),
        (XML.replace("EXPSSDA903", "OTHER"), "no SSDA903 return"),
        ("<OTHER/>", "not an SSDA903 return"),
        (XML.replace("<EXPSSDA903>", "<EXPSSDA903 xmlns='urn:x'>"), "not an SSDA903 return"),
        (XML.replace("<EXPSSDA903>", "<EXPSSDA903><MORE>").replace("</EXPSSDA903>", "</MORE></EXPSSDA903>"), "not in"),
        (XML.replace("UTF-8", "iso-8859-1"), "UTF-8"),
        (XML.replace("WBRI", "<a>" * 5000 + "</a>" * 5000, 1), "well-formed"),
        (XML.replace("WBRI", "<a/>" * 30_000, 1), "more than"),
        (XML.replace("<EXPSSDA903>", "<EXPSSDA903 " + " ".join(f"a{n}='1'" for n in range(300)) + ">"), "attributes"),
    ],
    ids=[
        "entity", "external", "cut", "undeclared", "other-root", "no-return", "namespace", "nested", "latin", "deep",
        "many", "attributes",
    ],
)  # fmt: skip
def test_xml_that_is_no_whole_return_gives_nothing_at_all(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "return.xml"
    path.write_text(content)
    items = Ssda903Source(Ssda903Options(authority="821")).read(path)

    with pytest.raises(SourceError, match=words) as caught:
        next(items)

    assert "MADEUP" not in str(caught.value)


def test_two_children_with_one_id_in_xml_are_both_refused(tmp_path: Path) -> None:
    path = tmp_path / "return.xml"
    path.write_text(XML.replace("MADEUP03", "MADEUP01"))
    read = Return(path)

    assert {record.fields["CHILD"] for record in read.records} == {"MADEUP07"}
    assert {rule for position, rule in read.rules if "child 1," in position or "child 2," in position} == {
        "child-twice"
    }
    assert all(rows == known for rows, known in read.sums())


def test_an_element_that_is_not_of_the_return_is_reported_once(tmp_path: Path) -> None:
    path = tmp_path / "return.xml"
    path.write_text(XML.replace("<ETHNIC>", "<NAME>Quill</NAME><ETHNIC>"))
    read = Return(path)

    assert [rule for _, rule in read.rules].count("element") == 1
    assert "Quill" not in repr(read.items)


MEASURE = """
import sys
from pathlib import Path
from agents.connectors.ssda903 import Ssda903Options, Ssda903Source
count = sum(1 for _ in Ssda903Source(Ssda903Options(authority="821", as_at="2025-10-06")).read(Path(sys.argv[1])))
print(count, int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]))
"""


def peak(path: Path) -> tuple[int, int]:
    """Return how many items a process of its own read, and its peak memory in KiB."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    count, memory = done.stdout.split()
    return int(count), int(memory)


def test_memory_does_not_grow_with_a_file_of_xml(tmp_path: Path) -> None:
    head, _, rest = XML.partition("<CHILD>")
    one = "<CHILD>" + rest.partition("</CHILD>")[0] + "</CHILD>\n"
    small, large = tmp_path / "small.xml", tmp_path / "large.xml"
    for path, count in ((small, 100), (large, 10_000)):
        path.write_text(head + "".join(one.replace("MADEUP01", f"M{n}") for n in range(count)) + "</EXPSSDA903>")

    (few, before), (many, after) = peak(small), peak(large)

    assert many - few == 9_900
    assert after - before < 12 * 1024


def test_twenty_thousand_episodes_fit_into_little_memory(tmp_path: Path) -> None:
    children = [f"M{n}" for n in range(10_000)]
    header = "\n".join(CHILD.replace("MADEUP21", child) for child in children)
    both = (("01/08/2025", "S", "01/09/2025", "X1"), ("01/09/2025", "P", "", ""))
    path = write(tmp_path, "\n".join(episode(*dates, child=child) for dates in both for child in children), header)

    _, memory = peak(path)

    assert memory < 200 * 1024
