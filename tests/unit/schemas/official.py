"""Schema files in the manner of the official ones, made from our own: the official files are not ours to copy."""

from collections.abc import Iterator
from copy import deepcopy
from importlib.resources import files
from pathlib import Path
from typing import Final

from lxml import etree

from schemas import source
from schemas.source import XS, Z

NAMESPACE: Final = "http://www.sifinfo.org/uk/infrastructure/2.x"
ROOT: Final = f"""<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"
  xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:sif="{NAMESPACE}"
  targetNamespace="{NAMESPACE}" elementFormDefault="qualified" attributeFormDefault="unqualified" version="1.3">
"""
HEAD: Final = f"<!-- SIF UK, as its tools write it -->\n{ROOT}"
IMPORT: Final = '<xs:import namespace="http://www.w3.org/XML/1998/namespace" schemaLocation="imports/xml/xml.xsd"/>\n'
TAIL: Final = "</xs:schema>\n"
ENVELOPE: Final = """
<xs:element name="SIF_Message">
  <xs:complexType>
    <xs:choice minOccurs="0">
      <xs:element name="SIF_Ack" type="sif:SIF_AckType"/>
      <xs:element name="SIF_Response" type="sif:SIF_ResponseType"/>
    </xs:choice>
    <xs:attribute name="Version" use="required">
      <xs:simpleType>
        <xs:union>
          <xs:simpleType><xs:restriction base="xs:token"><xs:enumeration value="2.4"/></xs:restriction></xs:simpleType>
          <xs:simpleType>
            <xs:restriction base="xs:token"><xs:pattern value="2[.][0-9]r?[0-9]*"/></xs:restriction>
          </xs:simpleType>
        </xs:union>
      </xs:simpleType>
    </xs:attribute>
  </xs:complexType>
</xs:element>
<xs:complexType name="SIF_AckType">
  <xs:sequence>
    <xs:element name="SIF_Header" type="sif:SIF_HeaderType"/>
    <xs:choice>
      <xs:sequence>
        <xs:element name="SIF_Status" type="xs:token"/>
        <xs:element name="SIF_Desc" type="xs:string"/>
      </xs:sequence>
      <xs:sequence>
        <xs:element name="SIF_Error" type="xs:token"/>
        <xs:element name="SIF_Desc" type="xs:string"/>
      </xs:sequence>
    </xs:choice>
  </xs:sequence>
</xs:complexType>
<xs:complexType name="SIF_HeaderType">
  <xs:sequence>
    <xs:element name="SIF_MsgId" type="sif:RefId"/>
    <xs:any processContents="lax" minOccurs="0"/>
  </xs:sequence>
</xs:complexType>
<xs:complexType name="SIF_ResponseType">
  <xs:sequence>
    <xs:element name="SIF_Data">
      <xs:complexType>
        <xs:sequence><xs:element ref="sif:SIF_Message" maxOccurs="unbounded"/></xs:sequence>
      </xs:complexType>
    </xs:element>
  </xs:sequence>
</xs:complexType>
"""
_NAMES: Final = ("type", "base", "ref", "memberTypes")
_DEFINITIONS: Final = f"{XS}restriction|{XS}union|{XS}list".split("|")


def official_text(*, all_optional: bool = False) -> str:
    """Return one file with all SIF UK objects.

    Args:
        all_optional: Whether it is as 1.2 and 1.3 are: every part may be left out or be nil.
    """
    return HEAD + IMPORT + "".join(_parts(all_optional=all_optional)) + ENVELOPE + TAIL


def write_official(folder: Path, *, all_optional: bool = False) -> Path:
    """Write one file into a folder, and return the folder."""
    (folder / "SIF_Message.xsd").write_text("\ufeff" + official_text(all_optional=all_optional), encoding="utf-8")
    return folder


def write_split(folder: Path) -> Path:
    """Write the same as an envelope that includes files in sub-folders, which include each other."""
    (folder / "objects").mkdir()
    (folder / "common").mkdir()
    parts = list(_parts(all_optional=False))
    objects = {part.split('"')[1]: part for part in parts if part.startswith("<xs:element")}
    types = "".join(part for part in parts if not part.startswith("<xs:element"))
    for name, part in objects.items():
        include = '<xs:include schemaLocation="../common/types.xsd"/>'
        (folder / "objects" / f"{name}.xsd").write_text(ROOT + include + part + TAIL)
    (folder / "common" / "types.xsd").write_text(
        f'{ROOT}<xs:include schemaLocation="../SIF_Message.xsd"/>{IMPORT}{types}{TAIL}'
    )
    includes = "".join(f'<xs:include schemaLocation="objects/{name}.xsd"/>\n' for name in objects)
    (folder / "SIF_Message.xsd").write_text(HEAD + includes + ENVELOPE + TAIL)
    return folder


def _parts(*, all_optional: bool) -> Iterator[str]:
    """Yield what is global in the schema, each as text without namespaces of its own."""
    schema = _converted()
    if all_optional:
        for element in schema.iter(XS + "element"):
            if element.getparent() is not schema:
                element.set("minOccurs", "0")
                element.set("nillable", "true")
    for part in schema:
        part.tail = "\n"
        text = etree.tostring(part, encoding="unicode")
        for declaration in (
            ' xmlns:xs="http://www.w3.org/2001/XMLSchema"',
            f' xmlns:z="{Z[1:-1]}"',
            f' xmlns="{NAMESPACE}"',
        ):
            text = text.replace(declaration, "", 1)
        # the tool that writes the official files declares the prefix once more at each facet
        for facet in ("maxLength", "pattern", "length", "maxInclusive"):
            text = text.replace(f"<xs:{facet} ", f'<xs:{facet} xmlns:xs="http://www.w3.org/2001/XMLSchema" ')
        yield text


def _converted() -> etree._Element:
    folder = files("schemas")
    schema = source.read(folder / "sif_uk_1", folder / "common")
    for note in list(schema.iter(XS + "annotation")):
        parent = note.getparent()
        assert parent is not None
        parent.remove(note)
        if not len(parent):
            parent.text = None
    for part in schema.iter():
        for name in [str(name) for name in part.attrib if str(name).startswith(Z)]:
            del part.attrib[name]
    _name_members_of_lists(schema)
    _expand_groups(schema)
    _inline_simple_types(schema)
    _type_objects(schema)
    complex_types = {part.get("name", "") for part in schema.iterfind(XS + "complexType")}
    for part in schema.iter():
        for attribute in _NAMES:
            if part.get(attribute):
                names = (_official_name(name, complex_types) for name in part.get(attribute, "").split())
                part.set(attribute, " ".join(names))
    for part in schema.iterfind(XS + "complexType"):
        part.set("name", f"{part.get('name')}Type")
        if part.get("name") in ("PersonalInformationType", "AddressType"):
            etree.SubElement(part, XS + "attribute", {"ref": "xml:lang"})
    type_names = [part.get("name") for part in schema if part.tag != XS + "element"]
    assert len(type_names) == len(set(type_names))
    return schema


def _official_name(name: str, complex_types: set[str]) -> str:
    if name.startswith(("xs:", "xml:", "sif:")):
        return name
    return f"sif:{name}Type" if name in complex_types else f"sif:{name}"


def _name_members_of_lists(schema: etree._Element) -> None:
    """Let the rules that members of a list differ name the members."""
    types = {part.get("name"): part for part in schema.iterfind(XS + "complexType")}
    for selector in schema.iter(XS + "selector"):
        declaration = next(selector.iterancestors(XS + "element"))
        inline = declaration.find(XS + "complexType")
        holder = types[declaration.get("type")] if inline is None else inline
        (member,) = holder.findall(f"{XS}sequence/{XS}element")
        selector.set("xpath", f"sif:{member.get('name')}")


def _expand_groups(schema: etree._Element) -> None:
    groups = {group.get("name"): group for group in schema.findall(XS + "group")}
    for number, use in enumerate(list(schema.iter(XS + "group"))):
        parent = use.getparent()
        if parent is None or use.get("ref") is None:
            continue
        for member in deepcopy(groups[use.get("ref")][0]):
            for unique in member.iter(XS + "unique"):
                unique.set("name", f"{unique.get('name')}.{number}")
            use.addprevious(member)
        parent.remove(use)
    for group in groups.values():
        schema.remove(group)


def _inline_simple_types(schema: etree._Element) -> None:
    """Put simple types where they are used, inside each other, too; those that complex types extend stay."""
    simple = {part.get("name", ""): part for part in schema.iterfind(XS + "simpleType")}

    def inlined(name: str) -> etree._Element:
        if name not in simple:  # a built-in one: narrowed by nothing
            made = etree.Element(XS + "simpleType")
            etree.SubElement(made, XS + "restriction", {"base": name})
            return made
        made = deepcopy(simple[name])
        del made.attrib["name"]
        definition = next(child for child in made if child.tag in _DEFINITIONS)
        for attribute in ("base", "memberTypes"):
            names = definition.get(attribute, "").split()
            if attribute == "memberTypes" or (names and names[0] in simple):
                definition.attrib.pop(attribute, "")
                for index, each in enumerate(names):
                    definition.insert(index, inlined(each))
        return made

    for part in list(schema.iter(XS + "element", XS + "attribute")):
        if part.get("type", "") in simple:
            part.insert(0, inlined(part.get("type", "")))
            del part.attrib["type"]


def _type_objects(schema: etree._Element) -> None:
    """Give the type of each object a name."""
    for declaration in schema.findall(XS + "element"):
        complex_type = declaration.find(XS + "complexType")
        if complex_type is not None:
            complex_type.set("name", declaration.get("name", ""))
            declaration.set("type", declaration.get("name", ""))
            declaration.addnext(complex_type)
            declaration.text = None
