"""What the schema's types make of texts: the one value that a text can mean, or a refusal that says what to write."""

import pytest

import schemas
from mappings.checks import check_of
from mappings.values import UnusableError


def node_of(kind: str) -> schemas.Node:
    """Return the first element or attribute of any object that has a type."""
    schema = schemas.load()

    def find(node: schemas.Node) -> schemas.Node | None:
        is_it = bool(node.refs) if kind == "ref" else node.codes is None and node.type == f"xs:{kind}"
        return node if is_it else next((found for child in node.children if (found := find(child))), None)

    return next(found for name in schema.objects if (found := find(schema.tree(name))))


@pytest.mark.parametrize(
    ("kind", "text", "fits"),
    [
        ("ref", "0123456789abcdef0123456789ABCDEF", "0123456789ABCDEF0123456789ABCDEF"),
        ("dateTime", "2026-11-30T09:15:00Z", "2026-11-30T09:15:00Z"),
        ("dateTime", "2026-11-30 09:15", "2026-11-30T09:15:00"),
        ("boolean", "True", "true"),
        ("decimal", "51.50", "51.50"),
        ("decimal", "1,204.50", "1204.5"),
        ("integer", "-7", "-7"),
        ("integer", "1,204", "1204"),
        ("time", "09:15", "09:15:00"),
    ],
)
def test_a_text_that_can_mean_one_value_is_written_as_the_schema_wants_it(kind: str, text: str, fits: str) -> None:
    check = check_of(node_of(kind))
    assert check is not None
    assert check(text) == fits


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("ref", "A820990119007"),
        ("dateTime", "30/11/2026 09:15"),
        ("dateTime", "2026-02-30T09:15:00"),
        ("boolean", "perhaps"),
        ("decimal", "a lot"),
        ("integer", "1.5"),
        ("time", "25:00"),
        ("time", "quarter past nine"),
    ],
)
def test_any_other_is_refused_without_being_repeated(kind: str, text: str) -> None:
    check = check_of(node_of(kind))
    assert check is not None
    with pytest.raises(UnusableError) as refused:
        check(text)
    assert text not in str(refused.value)
