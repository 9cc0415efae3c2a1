"""Rules that XSD cannot say: check digits, sums, dates in order, references; a zone sets what each of them does."""

from schemas.rules.care import FLAG_AGREES
from schemas.rules.facts import Care, Facts, NothingKnown, TwoWords
from schemas.rules.rule import Fault, Rule
from schemas.rules.ruleset import RULES, RuleSet, Setting, UnknownRule, UnknownSetting

__all__ = [
    # checking an object
    "RuleSet",
    "Setting",
    # what the zone knows
    "Care",
    "Facts",
    "NothingKnown",
    "TwoWords",
    # the rules themselves
    "FLAG_AGREES",
    "RULES",
    "Fault",
    "Rule",
    # errors
    "UnknownRule",
    "UnknownSetting",
]
