"""Files of any size piece by piece: which objects are found, what of their message is known, and what is refused."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest
from lxml import etree

import schemas
from broker.documents import FoundObject, objects_in
from broker.protocol import documents
from broker.protocol.documents import MAX_MESSAGE_BYTES, MAX_PROLOG_BYTES
from broker.protocol.envelope import LOOKED_AFTER, NAMESPACE, Action, build_event, local_name
from broker.protocol.errors import NotWellFormed
from schemas.model import line_of
from tests.unit.broker.builders import event, header

XMLNS = f'xmlns="{NAMESPACE}"'
SECRET = "Zephyrine"
TAGS = frozenset(f"{{{schemas.load().namespace_of(name)}}}{name}" for name in schemas.load().objects)
ROOM = 64 * 1024
"""More than is read at once: what is that far apart is seen in different pieces."""


def term(number: int, inside: str = "", xmlns: str = "") -> str:
    return f'<TermInfo{xmlns} RefId="{number}">{inside}</TermInfo>'


def sif_message(inside: str, version: str = "2.1", xmlns: str = XMLNS) -> str:
    return f'<SIF_Message {xmlns} Version="{version}">{inside}</SIF_Message>'


def response(inside: str) -> str:
    return sif_message(f"<SIF_Response><SIF_Header/><SIF_ObjectData>{inside}</SIF_ObjectData></SIF_Response>", "2.3")


def of_event(inside: str, action: str = "Add", version: str = "2.1") -> str:
    objects = f'<SIF_EventObject ObjectName="TermInfo" Action="{action}">{inside}</SIF_EventObject>'
    return sif_message(f"<SIF_Event><SIF_Header/><SIF_ObjectData>{objects}</SIF_ObjectData></SIF_Event>", version)


class Reader:
    """Reads a file and keeps what was told of it, since an element is gone once the next is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.read = 0

    def write(self, content: str | bytes) -> None:
        self.path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def objects(self, content: str | bytes) -> Iterator[FoundObject]:
        self.write(content)
        return objects_in(self.path, TAGS.__contains__, self._advance)

    def told(self, content: str | bytes) -> list[tuple[str, str, Action | None, str]]:
        return [_told(found) for found in self.objects(content)]

    def ids(self, content: str | bytes) -> list[str]:
        return [told[1] for told in self.told(content)]

    def until_refused(self, content: str | bytes) -> tuple[list[str], NotWellFormed]:
        """Return the RefIds that came before the refusal, and the refusal."""
        found: list[str] = []
        with pytest.raises(NotWellFormed) as caught:
            found.extend(_told(each)[1] for each in self.objects(content))
        return found, caught.value

    def _advance(self, more: int) -> None:
        assert more >= 0
        self.read += more


def _told(found: FoundObject) -> tuple[str, str, Action | None, str]:
    return local_name(found.element), found.element.get("RefId", ""), found.action, found.version


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(tmp_path / "objects.xml")


# which objects are found


def test_bare_object_is_found_whole(reader: Reader) -> None:
    for found in reader.objects(term(1, "<TermCode>AUT</TermCode><Description>Autumn</Description>", f" {XMLNS}")):
        assert _told(found) == ("TermInfo", "1", None, "")
        assert [local_name(part) for part in found.element] == ["TermCode", "Description"]
        assert [part.text for part in found.element] == ["AUT", "Autumn"]
    assert reader.read == reader.path.stat().st_size


def test_object_on_a_looked_after_child_is_found(reader: Reader) -> None:
    text = f'<LearnerLookedAfter xmlns="{LOOKED_AFTER}" RefId="1"/>'

    assert reader.told(text) == [("LearnerLookedAfter", "1", None, "")]


@pytest.mark.parametrize("action", Action)
def test_event_tells_action_and_version(action: Action, reader: Reader) -> None:
    assert reader.told(of_event(term(1), action)) == [("TermInfo", "1", action, "2.1")]


def test_each_object_of_an_event_has_its_action(reader: Reader) -> None:
    several = build_event(
        header(),
        (
            ("TermInfo", Action.ADD, term(1, xmlns=f" {XMLNS}").encode()),
            ("TermInfo", Action.DELETE, term(2, xmlns=f" {XMLNS}").encode()),
        ),
    )

    assert reader.told(several) == [("TermInfo", "1", Action.ADD, "2.4"), ("TermInfo", "2", Action.DELETE, "2.4")]
    assert reader.told(of_event(term(1) + term(2), "Change")) == [
        ("TermInfo", "1", Action.CHANGE, "2.1"),
        ("TermInfo", "2", Action.CHANGE, "2.1"),
    ]


def test_action_that_there_is_not_is_none(reader: Reader) -> None:
    assert reader.told(of_event(term(1), "Added")) == [("TermInfo", "1", None, "2.1")]


def test_objects_of_a_response_have_a_version_and_no_action(reader: Reader) -> None:
    assert reader.told(response(term(1) + term(2))) == [("TermInfo", "1", None, "2.3"), ("TermInfo", "2", None, "2.3")]
    assert reader.told(response("")) == []


def test_object_of_an_example_is_found(reader: Reader) -> None:
    query = f"<SIF_QueryObject ObjectName='TermInfo'/><SIF_Example>{term(1)}</SIF_Example>"
    text = sif_message(f"<SIF_Request><SIF_Header/><SIF_Query>{query}</SIF_Query></SIF_Request>")

    assert reader.told(text) == [("TermInfo", "1", None, "2.1")]
    assert [found.example for found in reader.objects(text)] == [True]
    assert [found.example for found in reader.objects(response(term(1)))] == [False]


def test_object_of_a_message_in_a_message_has_the_version_of_the_inner_one(reader: Reader) -> None:
    data = f"<SIF_Data>{of_event(term(1), 'Delete', '2.3')}</SIF_Data>"
    text = sif_message(f"<SIF_Ack><SIF_Header/><SIF_Status>{data}</SIF_Status></SIF_Ack>", "2.4")

    assert reader.told(text) == [("TermInfo", "1", Action.DELETE, "2.3")]


def test_message_without_objects_has_none(reader: Reader) -> None:
    assert reader.told(sif_message("<SIF_Unregister><SIF_Header/></SIF_Unregister>")) == []
    assert reader.told(sif_message("")) == []


@pytest.mark.parametrize("wrapper", [f"TermInfos {XMLNS}", "export xmlns:s='urn:s'", f"SIF_ObjectData {XMLNS}"])
def test_objects_of_a_wrapper_of_any_name_are_found(wrapper: str, reader: Reader) -> None:
    text = "".join(term(number, xmlns=f" {XMLNS}") for number in range(2_000))

    told = reader.told(f"<{wrapper}>\n{text}</{wrapper.partition(' ')[0]}>")

    assert told == [("TermInfo", str(number), None, "") for number in range(2_000)]


def test_messages_in_a_wrapper_are_each_looked_into(reader: Reader) -> None:
    text = of_event(term(1), "Change") + term(2, xmlns=f" {XMLNS}") + response(term(3) + term(4)) + of_event(term(5))

    assert reader.told(f"<export>{text}</export>") == [
        ("TermInfo", "1", Action.CHANGE, "2.1"),
        ("TermInfo", "2", None, ""),
        ("TermInfo", "3", None, "2.3"),
        ("TermInfo", "4", None, "2.3"),
        ("TermInfo", "5", Action.ADD, "2.1"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("<export><Nonsense RefId='1'/></export>", id="wrapper"),
        pytest.param(of_event("<Nonsense RefId='1'/>"), id="event"),
        pytest.param(response("<Nonsense RefId='1'/>"), id="response"),
        pytest.param(of_event("<Nonsense xmlns='urn:nonsense' RefId='1'/>"), id="another namespace"),
    ],
)
def test_what_stands_in_the_place_of_an_object_is_found_whatever_it_is(text: str, reader: Reader) -> None:
    assert reader.ids(text) == ["1"]


def test_root_that_is_no_object_is_a_wrapper(reader: Reader) -> None:
    assert reader.told(f"<Nonsense {XMLNS} RefId='1'/>") == []
    assert reader.ids(term(1)) == [], "without its namespace it is no object"


@pytest.mark.parametrize("around", [lambda t: t, of_event, lambda t: f"<w>{t}</w>"], ids=["bare", "event", "wrapper"])
def test_object_in_extended_elements_is_not_taken_for_one(around: Callable[[str], str], reader: Reader) -> None:
    inner = of_event(term(2)) + response(term(3)) + term(4)
    extended = f"<SIF_ExtendedElements><SIF_ExtendedElement>{inner}</SIF_ExtendedElement></SIF_ExtendedElements>"

    assert reader.ids(around(term(1, extended, f" {XMLNS}"))) == ["1"]


def test_same_object_in_itself_is_one(reader: Reader) -> None:
    assert reader.ids(f"<w>{term(1, term(2, term(3)), f' {XMLNS}')}{term(4, xmlns=f' {XMLNS}')}</w>") == ["1", "4"]


def test_comments_and_instructions_between_change_nothing(reader: Reader) -> None:
    noise = "<!-- <TermInfo RefId='9'/> --><?a <TermInfo RefId='9'/> ?>text "
    inside = noise.join(("", term(1, f"{noise}<TermCode>AUT</TermCode>{noise}"), term(2), ""))

    assert reader.ids(f"<?xml version='1.0'?>{noise[:-5]}<w {XMLNS}>{inside}</w>{noise[:-5]}") == ["1", "2"]
    assert reader.ids(of_event(inside)) == ["1", "2"]


@pytest.mark.parametrize("start", ["\ufeff", "\ufeff<?xml version='1.0' encoding='UTF-8'?>\n", "\n \n"])
def test_start_that_the_zone_reads_is_read(start: str, reader: Reader) -> None:
    assert reader.ids(start + term(1, xmlns=f" {XMLNS}")) == ["1"]


def test_lines_are_those_of_the_file(reader: Reader) -> None:
    text = f"<w {XMLNS}>\n" + "\n".join(term(number, "x" * 10_000) for number in range(50)) + "</w>"

    assert [line_of(found.element) for found in reader.objects(text)] == list(range(2, 52))


def test_object_is_gone_once_the_next_is_asked_for(reader: Reader) -> None:
    kept: list[etree._Element] = []
    for found in reader.objects(f"<w {XMLNS}>{term(1, '<TermCode/>')}{term(2, '<TermCode/>')}</w>"):
        assert len(found.element) == 1
        kept.append(found.element)
    assert [len(element) for element in kept] == [0, 0]


def test_progress_is_told_piece_by_piece(reader: Reader) -> None:
    text = f"<w {XMLNS}>" + term(1, "x" * ROOM) * 20 + "</w>"
    told = [reader.read for _ in reader.objects(text)]

    assert told == sorted(told)
    assert len(set(told)) > 10
    assert reader.read == len(text)


# what is refused


@pytest.mark.parametrize(
    "prolog",
    ["", "\ufeff", "<?xml version='1.0'?>\n", "<!-- a -->", "<!-- " + "a" * (ROOM + 10) + " -->", " " * (ROOM - 4)],
    ids=["at once", "byte order mark", "declaration", "comment", "in the next piece", "across two pieces"],
)
def test_doctype_is_refused(prolog: str, reader: Reader) -> None:
    found, refusal = reader.until_refused(f"{prolog}<!DOCTYPE TermInfo>{term(1, xmlns=f' {XMLNS}')}")

    assert found == []
    assert "DOCTYPE" in str(refusal)


def test_entities_of_a_doctype_after_a_long_prolog_are_not_read(reader: Reader, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text(SECRET)
    doctype = f'<!DOCTYPE w [<!ENTITY a SYSTEM "{(tmp_path / "secret.txt").as_uri()}">]>'

    found, refusal = reader.until_refused(f"<!--{'a' * 5 * ROOM}-->{doctype}<w {XMLNS}>{term(1, '&a;')}</w>")

    assert found == []
    assert SECRET not in str(refusal)


def test_prolog_that_is_too_long_is_refused_and_a_long_one_is_not(reader: Reader) -> None:
    bare = term(1, xmlns=f" {XMLNS}")

    assert reader.ids(f"<!--{'a' * (MAX_PROLOG_BYTES - 100)}-->{bare}") == ["1"]
    found, refusal = reader.until_refused(f"<!--{'a' * 10 * MAX_PROLOG_BYTES}-->{bare}")
    assert found == []
    assert str(refusal) == "the document has over 64 KiB before its first element: leave the comments out"
    assert reader.read < 5 * MAX_PROLOG_BYTES


@pytest.mark.parametrize(
    ("end", "says"),
    [
        pytest.param("<TermInfo RefId='3'><TermCode>AU", r"cut short|cannot be read|nothing", id="cut in a text"),
        pytest.param("<TermInfo RefId='3'><TermCo", r"cut short|cannot be read|nothing", id="cut in a tag"),
        pytest.param("", r"cut short|cannot be read|nothing", id="wrapper not closed"),
        pytest.param("<TermInfo RefId='3'></TermCode></w>", r"does not match", id="tags that do not match"),
        pytest.param("<TermInfo RefId='3'>&zephyrine;</TermInfo></w>", r"an entity", id="entity"),
        pytest.param("</w><w/>", r"more after the end", id="two roots"),
    ],
)
@pytest.mark.parametrize("room", [0, ROOM], ids=["in one piece", "in two pieces"])
def test_objects_before_a_fault_are_found(end: str, says: str, room: int, reader: Reader) -> None:
    found, refusal = reader.until_refused(f"<w {XMLNS}>{term(1)}\n{term(2)}{' ' * room}\n{end}")

    assert found == ["1", "2"]
    assert re.search(says, str(refusal))
    assert refusal.line in (0, 3)
    assert SECRET.casefold() not in str(refusal).casefold()


def test_fault_is_told_however_much_comes_after_it(reader: Reader) -> None:
    after = term(3, "x" * 1_000_000) * 10

    found, refusal = reader.until_refused(f"<w {XMLNS}>{term(1)}\n{term(2, '&nbsp;')}{after}</w>")

    assert found == ["1"]
    assert str(refusal) == (
        "line 2: the message has an entity that XML itself does not define: check the system that wrote it"
    )
    assert reader.read <= ROOM


def test_bytes_that_are_not_utf_8_are_refused_with_their_line(reader: Reader) -> None:
    text = f"<w {XMLNS}>{term(1)}\n{term(2, 'é')}</w>".encode("latin-1")

    found, refusal = reader.until_refused(text)

    assert found == ["1"]
    assert (refusal.line, "not UTF-8" in str(refusal)) == (2, True)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(b"", "no XML at all", id="empty"),
        pytest.param(b" \n", r"no XML at all|nothing", id="blanks"),
        pytest.param(b"Dear zone", r"no XML at all|cannot be read", id="text"),
        pytest.param(b"<!-- a", r"cannot be read|nothing", id="unfinished comment"),
        pytest.param("<w/>".encode("utf-16"), "not UTF-8", id="utf-16"),
        pytest.param(b"<?xml version='1.0' encoding='latin-1'?><w/>", "another encoding", id="another encoding"),
        pytest.param(b"<w>" + b"<a>" * 300, "256 deep", id="too deep"),
    ],
)
def test_file_that_is_no_document_is_refused(content: bytes, says: str, reader: Reader) -> None:
    found, refusal = reader.until_refused(content)

    assert found == []
    assert re.search(says, str(refusal))


@pytest.mark.parametrize("around", [("", ""), ("<w>", "</w>")], ids=["bare", "in a wrapper"])
def test_object_that_is_larger_than_a_message_is_refused(around: tuple[str, str], reader: Reader) -> None:
    first = term(1, xmlns=f" {XMLNS}") if around[0] else ""
    large = term(2, "<TermCode>AUT</TermCode>".join("x" * 1_000_000 for _ in range(9)), f" {XMLNS}")

    found, refusal = reader.until_refused(around[0] + first + large + around[1])

    assert found == (["1"] if first else [])
    assert str(refusal) == f"an object has more than the {MAX_MESSAGE_BYTES:,} bytes of a message: send less in one"


def test_many_large_objects_are_each_taken(reader: Reader) -> None:
    large = "<TermCode>AUT</TermCode>".join("x" * 1_000_000 for _ in range(7))

    assert reader.ids(f"<w {XMLNS}>{term(1, large)}{term(2, large)}{term(3, large)}</w>") == ["1", "2", "3"]


def test_object_of_too_many_parts_is_refused(monkeypatch: pytest.MonkeyPatch, reader: Reader) -> None:
    monkeypatch.setattr(documents, "MAX_MARKS", 20_000)
    many = "<a/>" * 60_000

    found, refusal = reader.until_refused(f"<w {XMLNS}>{term(1)}{term(2, many)}</w>")

    assert found == ["1"]
    assert "an object has more than 20,000 tags and attributes" in str(refusal)


def test_many_objects_may_have_many_parts_together(monkeypatch: pytest.MonkeyPatch, reader: Reader) -> None:
    monkeypatch.setattr(documents, "MAX_MARKS", 40_000)

    assert len(reader.ids(f"<w {XMLNS}>{term(1, '<a/>' * 1_000) * 100}</w>")) == 100


def test_file_that_is_not_there_is_an_error_of_the_system(reader: Reader) -> None:
    with pytest.raises(FileNotFoundError):
        list(objects_in(reader.path, TAGS.__contains__, lambda _: None))


# memory

_CHILD = """
    import sys
    from pathlib import Path
    from broker.documents import objects_in

    def peak():  # of this process alone: what getrusage says is inherited from the one that started it
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) // 1024

    before = peak()
    count = sum(1 for _ in objects_in(Path(sys.argv[1]), lambda tag: False, lambda more: None))
    print(count, before, peak())
"""


@pytest.mark.parametrize("kind", ["objects", "messages"])
def test_memory_does_not_grow_with_the_file(kind: str, tmp_path: Path) -> None:
    extended = f"<SIF_ExtendedElement Name='A'>{'x' * 5_000}</SIF_ExtendedElement>"
    inside = f"<SIF_ExtendedElements>{extended}</SIF_ExtendedElements>"
    one = term(1, inside, f" {XMLNS}") if kind == "objects" else of_event(term(1, inside))
    piece = f"\n<!-- one more -->\n{one}" * 100
    pieces = 60 * 1024 * 1024 // len(piece)
    path = tmp_path / "large.xml"
    with path.open("w") as file:
        file.write("<w>")
        file.writelines(piece for _ in range(pieces))
        file.write("</w>")

    done = subprocess.run(
        [sys.executable, "-c", dedent(_CHILD), path], capture_output=True, text=True, check=False, timeout=60
    )

    assert done.returncode == 0, done.stderr
    count, before, peak = map(int, done.stdout.split())
    assert count == pieces * 100
    assert peak < 150
    assert peak - before < 40


def test_event_that_the_zone_itself_builds_is_read(reader: Reader) -> None:
    body = event(("TermInfo", Action.ADD, term(1)), ("TermInfo", Action.CHANGE, term(2)))

    assert [(told[1], told[2]) for told in reader.told(body)] == [("1", Action.ADD), ("2", Action.CHANGE)]
