"""The XSD files: sound by themselves, in step with the code lists, and judged alike by a second engine."""

from collections.abc import Callable
from pathlib import Path

import pytest
import xmlschema
from lxml import etree

import schemas
from schemas import source
from schemas.variant import Variant

Parse = Callable[[str], etree._Element]
Sample = Callable[[str], str]

FOLDER = Path(schemas.__file__).parent / "sif_uk_1"
SHARED = FOLDER.parent / "shared"
FILES = sorted([*FOLDER.glob("*.xsd"), *SHARED.glob("*.xsd")], key=lambda file: file.name)
HEAD = etree.tostring(source.empty_like(source.read(FOLDER, SHARED))).decode()


@pytest.fixture(scope="module")
def document() -> etree._Element:
    return source.read(FOLDER, SHARED)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_file_compiles_with_what_it_includes(file: Path) -> None:
    etree.XMLSchema(file=str(file))


@pytest.mark.parametrize("name", schemas.load().objects)
def test_each_object_has_a_file_of_its_name(name: str) -> None:
    declared = etree.parse(FOLDER / f"{name}.xsd").getroot().findall(f"{source.XS}element")

    assert [element.get("name") for element in declared] == [name]


def test_every_element_and_attribute_says_what_it_means(document: etree._Element) -> None:
    parts = [*document.iter(f"{source.XS}element"), *document.iter(f"{source.XS}attribute")]

    assert [p.get("name") for p in parts if not p.findtext(f"{source.XS}annotation/{source.XS}documentation")] == []


def test_closed_lists_enumerate_the_codes_of_the_data_and_open_ones_none(document: etree._Element) -> None:
    in_files = {
        str(note.get("list")): [
            e.get("value")
            for e in note.iterancestors(f"{source.XS}simpleType").__next__().iter(f"{source.XS}enumeration")
        ]
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
        schemas.SchemaSet(tmp_path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param("<xs:choice/>", "choice", id="choice"),
        pytest.param('<xs:sequence><xs:element name="B" type="Nothing"/></xs:sequence>', "Nothing", id="type"),
    ],
)
def test_schema_that_the_tree_cannot_show_whole_is_refused(content: str, says: str, tmp_path: Path) -> None:
    note = '<xs:annotation><xs:appinfo><z:object key="@RefId"/></xs:appinfo></xs:annotation>'
    element = f'<xs:element name="A">{note}<xs:complexType>{content}</xs:complexType></xs:element>'
    (tmp_path / "a.xsd").write_text(HEAD.replace("/>", f">{element}</xs:schema>"))

    with pytest.raises(schemas.BadSchema, match=says):
        schemas.SchemaSet(tmp_path).tree("A")


def test_object_without_a_note_on_its_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.xsd").write_text(HEAD.replace("/>", '><xs:element name="A"/></xs:schema>'))

    with pytest.raises(schemas.BadSchema, match="say what its key is"):
        schemas.SchemaSet(tmp_path).keys("A")


def test_second_engine_judges_instances_alike(
    document: etree._Element, schema: schemas.SchemaSet, sample: Sample, parse: Parse
) -> None:
    whole = xmlschema.XMLSchema10(etree.tostring(document).decode(), allow="none")
    part = xmlschema.XMLSchema10(etree.tostring(source.partial(document)).decode(), allow="none")
    for name in schema.objects:
        for instance in (
            sample(name),
            sample(f"{name}.minimal"),
            sample(f"{name}.minimal").replace("RefId=", "Refid="),
        ):
            element = parse(instance)
            assert whole.is_valid(element) == (schema.check(element, partial=False) == ()), name
            assert part.is_valid(element) == (schema.check(element, partial=True) == ()), name


def test_full_and_partial_trees_differ_in_what_is_mandatory_only(document: etree._Element) -> None:
    full, part = Variant(document), Variant(source.partial(document))

    for name in full.declarations:
        assert list(full.nodes(name)) == list(part.nodes(name))
        kept = {node.path for node in part.nodes(name).values() if node.mandatory and node.kind == "element"}
        assert kept == {key for key in schemas.load().keys(name) if not key.startswith("@")} | {""}
