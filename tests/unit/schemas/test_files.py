"""The XSD files: sound by themselves, in step with the code lists, and judged alike by a second engine."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import xmlschema
from lxml import etree

import schemas
from schemas import source
from schemas.tree import TreeReader
from schemas.variant import Variant

Parse = Callable[[str], etree._Element]
Sample = Callable[[str], str]

ROOT = Path(schemas.__file__).parent
FILES = sorted(ROOT.rglob("*.xsd"))
OBJECT_FOLDERS = (ROOT / "sif_uk_1", ROOT / "looked_after_1")
SHARED = ROOT / "common"
HEAD = etree.tostring(source.empty_like(source.read(ROOT / "sif_uk_1", SHARED))).decode()
NAMES = [str(file.relative_to(ROOT)) for file in FILES]


@pytest.mark.parametrize("file", FILES, ids=NAMES)
def test_each_file_is_accepted_by_xmllint(file: Path, tmp_path: Path) -> None:
    (tmp_path / "other.xml").write_text("<other/>")

    said = subprocess.run(
        ["xmllint", "--nonet", "--noout", "--schema", str(file), str(tmp_path / "other.xml")],
        capture_output=True,
        text=True,
        check=False,
    ).stderr

    assert "fails to validate" in said, said  # the document is no object; a bad schema would not come so far
    assert "failed to compile" not in said


@pytest.mark.parametrize("file", FILES, ids=NAMES)
def test_each_file_is_accepted_by_xmlschema(file: Path) -> None:
    xmlschema.XMLSchema10(str(file), allow="local")


@pytest.mark.parametrize("name", schemas.load().objects)
def test_each_object_has_a_file_of_its_name(name: str) -> None:
    (file,) = [folder / f"{name}.xsd" for folder in OBJECT_FOLDERS if (folder / f"{name}.xsd").exists()]

    declared = etree.parse(file).getroot().findall(f"{source.XS}element")

    assert [element.get("name") for element in declared] == [name]


@pytest.mark.parametrize("file", FILES, ids=NAMES)
def test_every_element_and_attribute_says_what_it_means(file: Path) -> None:
    root = etree.parse(file).getroot()
    parts = [part for kind in ("element", "attribute") for part in root.iter(f"{source.XS}{kind}") if part.get("name")]
    if file.name == "xml.xsd":
        parts = []  # XML's own attributes

    assert [p.get("name") for p in parts if not p.findtext(f"{source.XS}annotation/{source.XS}documentation")] == []


def test_closed_lists_enumerate_the_codes_of_the_data_and_open_ones_none(
    documents: dict[str, etree._Element],
) -> None:
    in_files = {
        str(note.get("list")): [
            e.get("value")
            for e in note.iterancestors(f"{source.XS}simpleType").__next__().iter(f"{source.XS}enumeration")
        ]
        for document in documents.values()
        for note in document.iter(f"{source.Z}codes")
    }
    in_data = {
        name: [] if (code_list := schemas.codes(name)).open else list(code_list.labels)
        for name in schemas.code_list_names()
    }

    assert in_files == in_data


def test_files_of_other_namespaces_are_not_joined(tmp_path: Path) -> None:
    (tmp_path / "a.xsd").write_text(HEAD)
    (tmp_path / "b.xsd").write_text(HEAD.replace("urn:sifzone:schema:1.0", "urn:other"))

    with pytest.raises(schemas.BadSchema, match=r"b\.xsd"):
        source.read(tmp_path)


def test_folder_without_schema_is_refused(tmp_path: Path) -> None:
    with pytest.raises(schemas.BadSchema, match=r"no \.xsd file"):
        source.read(tmp_path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param('<xs:sequence><xs:element ref="Nothing"/></xs:sequence>', "Nothing", id="element"),
        pytest.param('<xs:assert test="true()"/>', "assert", id="later-version"),
        pytest.param('<xs:sequence><xs:element name="B" type="Nothing"/></xs:sequence>', "Nothing", id="type"),
    ],
)
def test_schema_that_the_tree_cannot_show_whole_is_refused(content: str, says: str, tmp_path: Path) -> None:
    note = '<xs:annotation><xs:appinfo><z:object key="@RefId"/></xs:appinfo></xs:annotation>'
    element = f'<xs:element name="A">{note}<xs:complexType>{content}</xs:complexType></xs:element>'
    (tmp_path / "a.xsd").write_text(HEAD.replace("/>", f">{element}</xs:schema>"))

    with pytest.raises(schemas.BadSchema, match=says):
        TreeReader(source.read(tmp_path)).read("A")


def test_object_without_a_note_on_its_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.xsd").write_text(HEAD.replace("/>", '><xs:element name="A"/></xs:schema>'))

    with pytest.raises(schemas.BadSchema, match="say what its key is"):
        source.object_note(source.read(tmp_path)[0])


def test_choice_makes_no_part_mandatory_and_no_order_told(tmp_path: Path) -> None:
    inside = '<xs:choice maxOccurs="9"><xs:element name="B" type="xs:date"/><xs:element name="C"/></xs:choice>'
    element = f'<xs:element name="A"><xs:complexType>{inside}</xs:complexType></xs:element>'
    (tmp_path / "a.xsd").write_text(HEAD.replace("/>", f">{element}</xs:schema>"))

    tree = TreeReader(source.read(tmp_path)).read("A")

    assert not tree.ordered
    assert [(c.name, c.type, c.mandatory, c.repeatable) for c in tree.children] == [
        ("B", "xs:date", False, True),
        ("C", "xs:anyType", False, True),
    ]


def test_second_engine_judges_instances_alike(
    documents: dict[str, etree._Element], schema: schemas.SchemaSet, sample: Sample, parse: Parse
) -> None:
    engines = {
        namespace: (
            xmlschema.XMLSchema10(etree.tostring(document).decode(), allow="none"),
            xmlschema.XMLSchema10(etree.tostring(source.partial(document)).decode(), allow="none"),
        )
        for namespace, document in documents.items()
    }
    for name in schema.objects:
        whole, part = engines[schema.namespace_of(name)]
        for instance in (
            sample(name),
            sample(f"{name}.minimal"),
            sample(f"{name}.minimal").replace("RefId=", "Refid="),
        ):
            element = parse(instance)
            assert whole.is_valid(element) == (schema.check(element, partial=False) == ()), name
            assert part.is_valid(element) == (schema.check(element, partial=True) == ()), name


def test_full_and_partial_trees_differ_in_what_is_mandatory_only(documents: dict[str, etree._Element]) -> None:
    for document in documents.values():
        full, part = Variant(document), Variant(source.partial(document))
        for name in full.declarations:
            assert list(full.nodes(name)) == list(part.nodes(name))
            kept = {node.path for node in part.nodes(name).values() if node.mandatory and node.kind == "element"}
            assert kept == {key for key in schemas.load().keys(name) if not key.startswith("@")} | {""}


@pytest.mark.parametrize("edition", schemas.EDITIONS)
def test_every_edition_compiles_whole_and_in_part(
    edition: schemas.Edition, documents: dict[str, etree._Element]
) -> None:
    for document in documents.values():
        at_that_time = source.in_edition(document, edition)
        etree.XMLSchema(at_that_time)
        etree.XMLSchema(source.partial(at_that_time))
