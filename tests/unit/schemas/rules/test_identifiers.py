"""Pupil and learner numbers: the published ones, and what makes a number look like one."""

import pytest
from stdnum.gb.upn import calc_check_digit

from schemas.rules import RuleSet
from tests.unit.schemas.rules.cases import Known, learner, parse


def rules_broken(inside: str) -> set[str]:
    rules = RuleSet({"upn-authority": "warn"})
    return {finding.rule for finding in rules.check("LearnerPersonal", parse(learner(inside)), Known())}


@pytest.mark.parametrize(
    ("upn", "broken"),
    [
        pytest.param("B801200005001", set(), id="published"),
        pytest.param("A801200005001", {"upn-check-letter"}, id="published-as-wrong"),
        pytest.param("H801200001001", set(), id="ends-with-digits"),
        pytest.param("P207000016049", set(), id="misprinted-elsewhere"),
        pytest.param("Q207000016049", {"upn-check-letter"}, id="the-misprint"),
        pytest.param("X00180001701A", {"temporary-upn"}, id="temporary"),
        pytest.param("J93899992301A", {"temporary-upn"}, id="temporary-made-up"),
        pytest.param("A123456789012", {"upn-authority"}, id="no-such-authority"),
        pytest.param(" B801200005001\n", set(), id="blanks-around"),
        pytest.param("B80120000500S", {"upn-form"}, id="letter-never-used"),
        pytest.param("B8012000050011", {"upn-form"}, id="too-long"),
        pytest.param("B8012\u06600005001", {"upn-form"}, id="digit-of-another-script"),
        pytest.param("UN3", {"upn-form"}, id="code-of-the-social-care-return"),
        pytest.param("", set(), id="empty"),
    ],
)
def test_upn(upn: str, broken: set[str]) -> None:
    assert rules_broken(f"<UPN>{upn}</UPN>") == broken


@pytest.mark.parametrize("authority", ["001", "820", "674", "838", "943"])
def test_authorities_that_lists_of_2011_lack_are_known(authority: str) -> None:
    rest = f"{authority}990119017"

    assert rules_broken(f"<UPN>{calc_check_digit(rest)}{rest}</UPN>") == set()


def test_former_upn_may_be_temporary_or_wrong_in_its_check_letter() -> None:
    former = "<FormerUPNList><UPN>X00180001701A</UPN><UPN>A801200005001</UPN></FormerUPNList>"

    assert rules_broken(f"<UPN>B801200005001</UPN>{former}") == set()


def test_former_upns_can_be_judged_without_the_present_one() -> None:
    assert rules_broken("<FormerUPNList><UPN>B801200005001</UPN><UPN>none</UPN></FormerUPNList>") == {"former-upn"}


@pytest.mark.parametrize(
    ("uln", "broken"),
    [
        pytest.param("9276308686", set(), id="published"),
        pytest.param("1000000027", set(), id="made-up"),
        pytest.param("1234567899", set(), id="remainder-one"),
        pytest.param("1234567890", {"uln-check-digit"}, id="as-in-the-official-sample"),
        pytest.param("123", set(), id="form-is-for-the-schema"),
    ],
)
def test_uln(uln: str, broken: set[str]) -> None:
    assert rules_broken(f"<ULN>{uln}</ULN>") == broken
