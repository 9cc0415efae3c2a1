"""A zone sets what each rule does; what it gets is in order and bounded."""

import pytest

from schemas.rules import RULES, RuleSet, Setting, UnknownRule, UnknownSetting
from tests.unit.schemas.rules.cases import Known, learner, parse

WRONG = learner("<UPN>A801200005001</UPN>")


@pytest.mark.parametrize(
    ("severity", "rules"),
    [
        pytest.param("shadow", {"upn-authority", "attendance-gaps"}, id="counted-only"),
        pytest.param("refuse", set(), id="refuses"),
    ],
)
def test_other_rules_than_these_warn(severity: str, rules: set[str]) -> None:
    assert {rule.name for rule in RULES if rule.severity == severity} == rules


@pytest.mark.parametrize("setting", ["refuse", "warn", "shadow"])
def test_finding_has_the_severity_that_the_zone_has_set(setting: Setting) -> None:
    rules = RuleSet({"upn-check-letter": setting})

    (finding,) = rules.check("LearnerPersonal", parse(WRONG), Known())

    assert (finding.rule, finding.severity, finding.sif_code) == ("upn-check-letter", setting, 4)


def test_rule_that_is_off_does_not_run() -> None:
    assert RuleSet({"upn-check-letter": "off"}).check("LearnerPersonal", parse(WRONG), Known()) == ()


def test_with_all_rules_off_nothing_is_found() -> None:
    assert RuleSet({rule.name: "off" for rule in RULES}).check("LearnerPersonal", parse(WRONG), Known()) == ()


def test_unknown_rule_names_the_nearest_one() -> None:
    with pytest.raises(UnknownRule, match=r"no rule is named 'upn-checkletter': did you mean upn-check-letter\?") as it:
        RuleSet({"upn-checkletter": "warn"})

    assert (it.value.name, it.value.nearest) == ("upn-checkletter", "upn-check-letter")


def test_unknown_rule_that_is_like_none_lists_them_all() -> None:
    with pytest.raises(UnknownRule, match=r"the rules are upn-form, .*unknown-reference") as it:
        RuleSet({"???": "warn"})

    assert it.value.nearest is None


def test_unknown_setting_says_which_there_are() -> None:
    with pytest.raises(UnknownSetting, match=r"rule upn-form cannot be set to that: use one of refuse, warn, .* off"):
        RuleSet({"upn-form": "error"})  # type: ignore[dict-item]  # what is shown


def test_names_of_rules_differ() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)


@pytest.mark.parametrize("name", ["SchoolGroupType", "Lesson", "Nonsense"])
def test_objects_without_faults_or_rules_have_no_findings(name: str) -> None:
    assert RuleSet().check(name, parse(f"<{name}/>"), Known()) == ()


def test_findings_are_in_document_order_even_on_one_line() -> None:
    text = learner(
        '<PersonalInformation><Address Type="Current"><PostCode>none</PostCode></Address></PersonalInformation>'
        "<UPN>none</UPN><FormerUPNList><UPN>none</UPN></FormerUPNList><ULN>1000000028</ULN>"
    )

    found = RuleSet().check("LearnerPersonal", parse(text), Known())

    assert [finding.rule for finding in found] == ["postcode-form", "upn-form", "former-upn", "uln-check-digit"]


def test_lines_are_those_of_the_document() -> None:
    (finding,) = RuleSet().check("LearnerPersonal", parse(WRONG.replace("<UPN>", "\n\n<UPN>")), Known())

    assert finding.line == 3


def test_no_more_than_a_hundred_findings_are_given() -> None:
    text = learner(f"<FormerUPNList>{'<UPN>none</UPN>' * 300}</FormerUPNList><ULN>1000000028</ULN>")

    assert len(RuleSet().check("LearnerPersonal", parse(text), Known())) == 100


def test_objects_of_either_namespace_are_judged_by_one_set() -> None:
    rules = RuleSet()
    text = "<LearnerTransfer><UPNAtNewSchool>A801200005001</UPNAtNewSchool></LearnerTransfer>"

    assert [f.path for f in rules.check("LearnerPersonal", parse(WRONG), Known())] == ["UPN"]
    assert [f.path for f in rules.check("LearnerTransfer", parse(text), Known())] == ["UPNAtNewSchool"]
