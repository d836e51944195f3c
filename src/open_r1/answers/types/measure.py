r"""A number as people write it, with what it counts: `-3`, `50%`, `5 km`, `$1.5 billion`, `twenty-one`, `2 h 30 min`.

Does: read one as an exact formula without variables, a unit and the way it was written. The types "number", "complex"
and "quantity" compare what is read here. Does not: read variables, equations or lists.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

from open_r1.answers.formula import Node, number, read_formula
from open_r1.answers.units import CURRENCIES, UNITS, Unit, read_unit
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
