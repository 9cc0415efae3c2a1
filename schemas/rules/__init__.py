"""Rules that XSD cannot say: check digits, sums, dates in order, references; a zone sets what each of them does."""

from schemas.rules.facts import Facts, NothingKnown
from schemas.rules.rule import Fault, Rule
from schemas.rules.ruleset import RULES, RuleSet, Setting, UnknownRule, UnknownSetting

__all__ = [
    # checking an object
    "RuleSet",
    "Setting",
    # what the zone knows
    "Facts",
    "NothingKnown",
    # the rules themselves
    "RULES",
    "Fault",
    "Rule",
    # errors
    "UnknownRule",
    "UnknownSetting",
]
