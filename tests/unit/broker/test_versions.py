"""Items of version lists: what each covers, and what may be one."""

import pytest

from broker.protocol.versions import covers, is_item
from broker.zone_status import SUPPORTED_VERSIONS


@pytest.mark.parametrize(
    ("item", "covered", "others"),
    [
        ("*", ["1.1", "2.0", "2.0r1", "2.4", "10.3"], []),
        ("2.*", ["2.0", "2.0r1", "2.4", "2.10"], ["1.1", "1.5r1", "3.2", "20.1", "12.0"]),
        ("2.0r*", ["2.0", "2.0r1", "2.0r12"], ["2.1", "2.1r1", "2.00", "12.0r1", "2.01"]),
        ("2.4", ["2.4"], ["2.40", "2.4r1", "2.5", "12.4"]),
        ("2.0r1", ["2.0r1"], ["2.0", "2.0r2", "2.0r10"]),
        ("1.5r1", ["1.5r1"], ["1.5", "1.1", "2.0r1"]),
    ],
)
def test_an_item_covers_what_the_standard_says_and_no_more(item: str, covered: list[str], others: list[str]) -> None:
    assert [version for version in covered if not covers(item, version)] == []
    assert [version for version in others if covers(item, version)] == []


@pytest.mark.parametrize("text", ["*", "1.1", "1.5r1", "2.*", "2.0r*", "2.0r1", "2.10"])
def test_a_version_or_one_with_a_wildcard_may_stand_in_a_list(text: str) -> None:
    assert is_item(text)


@pytest.mark.parametrize("text", ["", "2", "2.", "**", ".*", "r*", "2.4.*", "2.0r", "2.0r1r*", "2.x", "v2.4", " 2.4"])
def test_nothing_else_may(text: str) -> None:
    assert not is_item(text)


def test_the_zone_lists_its_own_versions_without_wildcards() -> None:
    assert [version for version in SUPPORTED_VERSIONS if "*" in version or not is_item(version)] == []
