r"""Numbers and quantities as people write them: `42`, `\frac12`, `50%`, `1+i`, `5 km`, `$1.5 billion`, `2 h 30 min`.

A `Measure` is one read as an exact formula without variables, a unit and the way it was written; the three types at the end
compare measures. An answer is a number in any finished form.

Work that is left undone (`7+5`, `17(23)`, `\max(3,5)`) is not a number where the gold is a rational one, nor is anything
with a variable, an equation other than `name = value`, a list or a relation.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

from open_r1.answers.equality import are_equal as are_values_equal
from open_r1.answers.evaluation import DIGITS, evaluate, exact_value, real_value
from open_r1.answers.formula import Node, number, read_formula
from open_r1.answers.reasons import NotOfTypeError
from open_r1.answers.structure import value_of_name, without_brackets
from open_r1.answers.types.base import AnswerType, Comparison
from open_r1.answers.units import CURRENCIES, UNITS, Unit, agree, read_unit
from open_r1.answers.words import NOT_UNITS, SCALES, read_number_words

MAX_LONG_DIGITS = 4000
MAX_WORDED_CHARS = 300
"""The most characters of a number with its unit or in words."""

_DECIMAL = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)")
_NUMERAL = r"[-+]?(?:\d+\.?\d*|\.\d+)"
_ORDINAL = re.compile(r"(\d+)\s*(?:st|nd|rd|th)")
_CURRENCY_FIRST = re.compile(
    rf"(?P<sign>-?)\s*(?P<unit>[{CURRENCIES}]|(?:USD|EUR|GBP|RMB|CNY|US\$|Rs\.?)(?=\s*[-\d]))\s*(?P<rest>-?[\d.\\].*)"
)
_BELOW_ZERO = re.compile(
    r"(?P<rest>.*\d.*?)\s*(?P<unit>°[CF]?|degrees?(?: (?:celsius|fahrenheit))?)?\s*below zero", re.IGNORECASE
)
_SIGN_WORD = re.compile(r"(?:minus|negative|负)\s*(?P<rest>\d.*)", re.IGNORECASE)
_SCALE_NAMES = "|".join(sorted((re.escape(name) for name in SCALES), key=len, reverse=True))
_PART_NAMES = {
    **{"half": 2, "halves": 2, "third": 3, "thirds": 3, "quarter": 4, "quarters": 4, "fourths": 4, "fifths": 5},
    **{"sixths": 6, "sevenths": 7, "eighths": 8, "ninths": 9, "tenth": 10, "tenths": 10, "hundredths": 100},
    **{"thousandths": 1000},
}
_SCALED = re.compile(
    rf"(?P<number>{_NUMERAL})\s*(?P<scale>(?:{_SCALE_NAMES})(?![a-z\u4e00-\u9fff])s?|(?:{_SCALE_NAMES})(?=[元人个米块])"
    rf"|(?:{'|'.join(_PART_NAMES)})(?![a-z]))\s*(?P<rest>.*)"
)
_END_OF_NUMBER = re.compile(r"(?<=[\d)}\]!%i])(?P<space>\s*)(?=[A-Za-z°'µΩ¢$€£¥₹\u4e00-\u9fff])")
_COMMENT = re.compile(r"(?P<rest>.*[\d})])\s*\((?P<comment>[A-Za-z]+(?: [A-Za-z]+)*)\)")
_CHANGES = frozenset({"base", "mod", "or", "and", "not", "binary", "hex", "octal", "modulo", "approximately"}) | (
    NOT_UNITS - {"as", "the", "given", "by", "for", "all", "with", "from", "only", "is"}
)
_COMPOUND = re.compile(rf"(?:{_NUMERAL}\s*[A-Za-z]+\.?(?:\s*,?\s*(?:and)?\s*|$)){{2,4}}")
_COMPOUND_PART = re.compile(rf"(?P<number>{_NUMERAL})\s*(?P<unit>[A-Za-z]+)\.?")
_MIXED_SAID = re.compile(r"(?P<whole>\d+) and(?P<part>\\frac\{\d+\}\{\d+\})")
_MAX_SPLITS = 40


@dataclass(frozen=True)
class Measure:
    """A number without variables and what it counts; `decimals` is how many digits follow its point, if it is a decimal."""

    node: Node
    unit: Unit | None = None
    is_percent: bool = False
    decimals: int | None = None
    is_compound: bool = False


@lru_cache(maxsize=32768)
def read_measure(text: str) -> Measure | None:
    """The number that canonical `text` is, with its unit; None when it is anything else."""
    if _DECIMAL.fullmatch(text):
        return _read_decimal(text)
    if text.endswith("%") and (percent := _read_number(text[:-1].strip())):
        return replace(percent, is_percent=True)
    if text.endswith("‰") and (part := _read_number(text[:-1].strip())):
        return Measure(Node("div", (part.node, number(1000))))
    number_alone = _read_number(text)
    return number_alone if number_alone or len(text) > MAX_WORDED_CHARS else _read_with_words(text)


def _read_decimal(text: str) -> Measure | None:
    if len(text) > MAX_LONG_DIGITS:
        return None
    return Measure(number(Fraction(text)), decimals=len(text.partition(".")[2]) or None)


def _read_number(text: str) -> Measure | None:
    if _DECIMAL.fullmatch(text):
        return _read_decimal(text)
    if has_words(text):
        return None
    node = read_formula(text)
    if node is None or node.symbols():
        return None
    if node.kind == "degree":
        return Measure(node.args[0], UNITS["°"], is_compound=node.args[0].kind == "add")
    return Measure(node)


def has_words(text: str) -> bool:
    """Whether text has a run of letters that is not a product of variables, so that it can't be a formula."""
    return any(len(run) > 3 for run in re.findall(r"(?<![\\A-Za-z])[A-Za-z]+", re.sub(_FUNCTION_RUN, " ", text)))


_FUNCTION_RUN = re.compile(
    r"(?<![A-Za-z\\])(?:arc)?(?:sin|cos|tan|cot|sec|csc|exp|log|ln|sqrt|cis|sgn|max|min|gcd|lcm|floor|ceil)h?(?![A-Za-z])"
)


def _read_with_words(text: str) -> Measure | None:
    if match := _COMMENT.fullmatch(text):
        words = match["comment"].lower().split()
        if (not _CHANGES.intersection(words) and read_unit(match["comment"]) in (None,)) or len(words) > 1:
            inner = None if _CHANGES.intersection(words) else read_measure(match["rest"])
            if inner is not None:
                return inner
    if (value := read_number_words(text)) is not None:
        return Measure(number(value))
    if match := _MIXED_SAID.fullmatch(text):
        part = read_formula(match["part"])
        return Measure(Node("mixed", (number(int(match["whole"])), part))) if part else None
    if match := _ORDINAL.fullmatch(text):
        return Measure(number(int(match[1])))
    if match := _SIGN_WORD.fullmatch(text):
        return _negated(read_measure(match["rest"]))
    if match := _BELOW_ZERO.fullmatch(text):
        return _negated(read_measure(f"{match['rest']} {match['unit'] or ''}".strip()))
    return _read_with_unit(text)


def _negated(measure: Measure | None) -> Measure | None:
    return measure and replace(measure, node=Node("neg", (measure.node,)))


def _read_with_unit(text: str) -> Measure | None:
    if match := _CURRENCY_FIRST.fullmatch(text):
        return _with_currency(match)
    if match := _SCALED.fullmatch(text):
        return _scaled(match)
    if compound := _read_compound(text):
        return compound
    for index, match in enumerate(_END_OF_NUMBER.finditer(text)):
        if index > _MAX_SPLITS:
            return None
        unit = read_unit(text[match.end() :], is_spaced=bool(match["space"]) or not text[match.end()].isalpha())
        if unit is not None and (head := _read_plain_head(text[: match.start()])):
            return replace(head, unit=unit)
    return None


def _read_plain_head(text: str) -> Measure | None:
    head = read_measure(text) if text.endswith("%") else _read_number(text)
    return head if head is not None and (head.unit is None) else None


def _with_currency(match: re.Match[str]) -> Measure | None:
    inner = read_measure(match["rest"])
    if inner is None:
        return None
    name = match["unit"].rstrip(".").replace("US$", "$")
    unit = UNITS[name]
    if inner.unit is not None:
        if inner.unit.dimension == unit.dimension:
            unit = inner.unit
        elif not inner.unit.words:
            unit = unit * inner.unit
    measure = replace(inner, unit=unit)
    return _negated(measure) if match["sign"] else measure


def _scaled(match: re.Match[str]) -> Measure | None:
    name = match["scale"]
    scale = SCALES.get(name) or SCALES.get(name.removesuffix("s"))
    factor = Fraction(scale) if scale else Fraction(1, _PART_NAMES[name])
    unit = None if not match["rest"] else read_unit(match["rest"].removeprefix("of ")) or False
    if unit is False:
        return None
    return Measure(number(Fraction(match["number"]) * factor), unit)


def _read_compound(text: str) -> Measure | None:
    """`2 hours 30 minutes`, in the first unit."""
    if not _COMPOUND.fullmatch(text):
        return None
    parts = [(Fraction(part["number"]), UNITS.get(part["unit"].lower())) for part in _COMPOUND_PART.finditer(text)]
    first = parts[0][1]
    if first is None or any(unit is None or unit.dimension != first.dimension for _, unit in parts):
        return None
    total = sum((value * unit.factor for value, unit in parts if unit), Fraction(0))
    return Measure(number(total / first.factor), first, is_compound=True)


ROUNDED_DECIMALS = 6
"""A number without a finite decimal form equals itself rounded or cut off after so many decimals, and not after fewer."""

_BASE_TEN = re.compile(r"(?<=\d)_\{(?:10|ten)\}$")


def read_quantity(gold: str) -> Measure | None:
    """The number with its unit, if it has one; brackets around it don't count."""
    return read_measure(without_brackets(gold))


def read_complex(gold: str) -> Measure | None:
    """The number, real or complex; None where it has a unit."""
    measure = read_quantity(gold)
    return measure if measure is not None and measure.unit is None else None


def read_real(gold: str) -> Measure | None:
    """The number; None where it has a unit or is not known to be real."""
    measure = read_complex(gold)
    return measure if measure is not None and _is_real(measure.node) else None


def _is_real(node: Node) -> bool:
    may_be_complex = any(part.name in {"i", "cis"} or part.kind in {"root", "pow"} for part in node.walk())
    return not may_be_complex or exact_value(node) is not None or real_value(node) is not None


def are_equal(gold: Measure, answer: str, comparison: Comparison) -> bool:
    """Whether an answer is the number, with a unit that agrees where both have one."""
    found = read_quantity(_BASE_TEN.sub("", value_of_name(answer)))
    if found is None:
        raise NotOfTypeError
    if _is_undone(found.node, gold.node):
        return False
    if _compare(gold, found):
        return True
    evaluate(found.node, {}, DIGITS)  # raises where the answer has no value at all
    return False


def _compare(gold: Measure, answer: Measure) -> bool:
    if answer.is_compound and gold.unit is None and answer.unit != UNITS["°"]:
        return False  # in which of its units would it count?
    if gold.unit is not None and answer.unit is not None:
        if not agree(gold.unit, answer.unit):
            return False
        if gold.unit.factor == answer.unit.factor:
            return _same(gold, answer)
        return _same(_in_base_unit(gold), _in_base_unit(answer))
    if gold.is_percent != answer.is_percent and any(side.unit and side.unit.dimension for side in (gold, answer)):
        return False
    for degrees, radians in ((answer, gold), (gold, answer)):
        if degrees.unit == UNITS["°"] and any(part.name == "pi" for part in radians.node.walk()):
            return are_values_equal(radians.node, Node("degree", (degrees.node,)))
    return _same(gold, answer)


def _in_base_unit(measure: Measure) -> Measure:
    factor = measure.unit.factor if measure.unit else Fraction(1)
    if factor == 1:
        return measure
    return Measure(Node("mul", (measure.node, number(factor))), None, measure.is_percent, None)


def _same(gold: Measure, answer: Measure) -> bool:
    """The same value; a percent sign is a unit, so that `50%` equals both `50` and `1/2`."""
    if gold.is_percent == answer.is_percent:
        return _same_value(gold, answer)
    percent, other = (gold, answer) if gold.is_percent else (answer, gold)
    part = Node("div", (percent.node, number(100)))
    return are_values_equal(other.node, percent.node) or are_values_equal(other.node, part)


def _same_value(gold: Measure, answer: Measure) -> bool:
    if are_values_equal(gold.node, answer.node):
        return True
    for exact, written in ((gold, answer), (answer, gold)):
        if exact.decimals is None and (written.decimals or 0) >= ROUNDED_DECIMALS:
            return _is_rounded(
                exact.node, written.node.value if written.node.kind == "number" else None, written.decimals
            )
    return False


def _is_rounded(exact: Node, written: Fraction | None, decimals: int | None) -> bool:
    """Whether `written` is an endless decimal rounded or cut off after so many places."""
    value = exact_value(exact)
    if (
        written is None
        or decimals is None
        or decimals > 40
        or (value is not None and 10**400 % value.denominator == 0)
    ):
        return False
    if value is not None:
        scaled = value * 10**decimals
        nearest = {round(scaled), math.trunc(scaled)}
    elif (real := real_value(exact)) is not None:
        nearest = {int(real * 10**decimals), int(real * 10**decimals + (0.5 if real > 0 else -0.5))}
    else:
        return False
    return written * 10**decimals in nearest


def _is_undone(answer: Node, gold: Node) -> bool:
    """Whether an answer is work that is left to be done, where the gold is a number that needs none."""
    if any(part.kind == "task" or part.name == "abs" for part in answer.walk()):
        return not any(part.kind == "task" or part.name == "abs" for part in gold.walk())
    if exact_value(gold) is None or any(part.kind == "add" for part in gold.walk()) or _is_product_of_numerals(gold):
        return False
    return any(part.kind == "add" and part.name != "degrees" for part in answer.walk()) or _is_product_of_numerals(
        answer
    )


def _is_product_of_numerals(node: Node) -> bool:
    while node.kind == "neg":
        node = node.args[0]
    return node.kind == "mul" and all(part.kind in {"mul", "neg", "number"} for part in node.walk())


NUMBER = AnswerType("number", read_real, are_equal)
COMPLEX = AnswerType("complex number", read_complex, are_equal)
QUANTITY = AnswerType("quantity with unit", read_quantity, are_equal)
