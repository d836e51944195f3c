"""The comparison that needs a computer algebra system: math-verify, on canonical text.

Does: parse and compare expressions with math-verify, and refuse what would only waste time. Does not: limit time or
memory; it runs in a verifier process (`verifier`), which can be killed. Importing this module imports sympy.
"""

from __future__ import annotations

import logging
import re
from functools import lru_cache
from typing import Any

from latex2sympy2_extended.math_normalization import NormalizationConfig
from math_verify import LatexExtractionConfig, parse, verify
from sympy import Expr, Float, UnevaluatedExpr, nan, zoo

from open_r1.answers.reasons import Reason

MAX_DEPTH = 60
"""Brackets nested deeper than this are no answer; the parser's time grows with the square of the depth."""

MAX_NUMERAL_DIGITS = 1000

_EXTRACTION = (
    LatexExtractionConfig(
        boxed_match_priority=0,
        normalization_config=NormalizationConfig(basic_latex=True, nits=True, boxed="last"),
    ),
)
_TOWER = re.compile(r"\^\{?[^{}]*\d[^{}]*\^\{?[^{}]*\d")
logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns that its own time limit is off; ours is on

_PROBES = (0.7310585786300049, 1.324717957244746, -0.5671432904097838)
"""Where expressions with variables are compared by value: nothing that an answer would hold by chance."""

PRECISION = 60
"""Decimal digits of a value."""

EQUAL = Float("1e-50", PRECISION)
APART = Float("1e-4", PRECISION)
"""Relative differences below which values are equal, and above which rounding can't explain them."""

NOISE, ZERO = Float("1e-20", PRECISION), Float("1e-45", PRECISION)
"""A zero that was found numerically is never quite zero, but smaller than the first, and mostly than the second."""

_NUMBER_BEFORE_BRACKET = re.compile(r"(?<=[\d)])\((?=[-+\d.\\])")
"""`3(29)` is a product; the parser takes it for a mixed number, 3 + 29."""

_VARIABLE = re.compile(r"(?<![A-Za-z\\])[A-Za-z](?![A-Za-z])")
_LONG_NUMERAL = re.compile(rf"\d{{{MAX_NUMERAL_DIGITS}}}")


class UnparsableError(Exception):
    """An expression that the algebra system can't read, or that is too large to be an answer."""

    def __init__(self, role: str) -> None:
        super().__init__(role)
        self.reason: Reason = "unparsable_gold" if role == "gold" else "unparsable_answer"


def check_pair(gold: str, answer: str, ordered: bool = False) -> Reason:
    """The verdict on one pair of canonical answers; never raises for their content."""
    try:
        return "correct" if settle(gold, answer) else "wrong"
    except UnparsableError as error:
        return error.reason
    except (MemoryError, RecursionError):
        return "unparsable_answer"
    except Exception:  # noqa: BLE001  recorded as data: a fault in the algebra system leaves the sample unscored
        return "error"


def settle(gold: str, answer: str) -> bool:
    """Whether two expressions are equal by algebra. UnparsableError names the one that can't be read."""
    both_cases = letters_in_both_cases(gold)
    gold_value = parse_expression(mark_capitals(gold, both_cases))
    answer_value = parse_expression(mark_capitals(answer, both_cases))
    if gold_value is None:
        raise UnparsableError("gold")
    if answer_value is None:
        raise UnparsableError("answer")
    by_value = compare_by_value(gold_value, answer_value)
    if by_value is not None:
        return by_value
    return verify(gold_value, answer_value, allow_set_relation_comp=True, timeout_seconds=None, raise_on_error=True)


@lru_cache(maxsize=4096)
def parse_expression(text: str) -> Any | None:
    """`text` as a sympy object; None when it can't be read or is too large to be an answer."""
    if is_too_large(text):
        return None
    text = _NUMBER_BEFORE_BRACKET.sub(r"\\cdot(", text)
    try:
        parsed = parse(
            rf"\boxed{{{text}}}",
            extraction_config=_EXTRACTION,
            fallback_mode="no_fallback",
            parsing_timeout=None,  # pyright: ignore[reportArgumentType]  None is how math-verify turns signals off
            raise_on_error=True,
        )
    except (ArithmeticError, AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError):
        return None
    return parsed[0] if parsed and not _is_undefined(parsed[0]) else None


def letters_in_both_cases(text: str) -> frozenset[str]:
    """The letters that `text` uses as a small and as a capital variable, as in `R^2-r^2`."""
    letters = set(_VARIABLE.findall(text))
    return frozenset(letter for letter in letters if letter.isupper() and letter.lower() in letters)


def mark_capitals(text: str, capitals: frozenset[str]) -> str:
    """`text` with those capital variables marked by an index, since math-verify reads every letter as a small one."""
    if not capitals:
        return text
    return _VARIABLE.sub(lambda match: f"{match[0]}_{{0}}" if match[0] in capitals else match[0], text)


def is_too_large(text: str) -> bool:
    """Whether `text` is nested too deep, contains a numeral of thousands of digits or a tower of powers."""
    depth = deepest = 0
    for character in text:
        depth += (character in "{[(") - (character in "}])")
        deepest = max(deepest, depth)
    return deepest > MAX_DEPTH or bool(_LONG_NUMERAL.search(text)) or bool(_TOWER.search(text))


def compare_by_value(gold: Any, answer: Any) -> bool | None:
    """Whether two expressions are the same function, by their values at a few points; None when that can't tell.

    Far cheaper than simplifying their difference, and right where math-verify is not: it leaves some fractions
    unevaluated, and takes constants below 1e-15 for zero. They are different when they are apart at a positive point;
    the same when equal to 50 digits at all points, the negative one included, so `|x|` is not `x`. In between,
    roundings and choices of branch are left to math-verify, as percentages are, which it keeps unevaluated.
    """
    if not all(isinstance(value, Expr) and not value.has(UnevaluatedExpr) for value in (gold, answer)):
        return None
    probes = _PROBES if gold.free_symbols or answer.free_symbols else _PROBES[:1]
    values = [(probe, _value_at(gold, probe), _value_at(answer, probe)) for probe in probes]
    if any(_are_apart(first, second) for probe, first, second in values if probe > 0):
        return False
    return True if all(_are_equal(first, second) for _, first, second in values) else None


def _value_at(expression: Expr, probe: float) -> Expr | None:
    """The value with each variable, by its name, at its own multiple of `probe`; None when it has no finite value."""
    point = [(symbol, Float(probe * (1 + _spread(str(symbol))), PRECISION)) for symbol in expression.free_symbols]
    try:
        value = expression.subs(point).evalf(PRECISION)
        return value if value.is_number and abs(complex(value)) < float("inf") else None
    except (ArithmeticError, AttributeError, TypeError, ValueError):
        return None


def _spread(name: str) -> float:
    """A number in [0, 1) that belongs to a variable's name."""
    return sum(ord(character) * 0.618033988749895 ** (position + 1) for position, character in enumerate(name)) % 1


def _are_apart(first: Expr | None, second: Expr | None) -> bool:
    if first is None or second is None:
        return False
    smaller, larger = sorted((abs(first), abs(second)))
    if larger < ZERO:
        return False
    if smaller < NOISE <= larger:
        return bool(larger > 1e-6)
    return bool(abs(first - second) > APART * larger)


def _are_equal(first: Expr | None, second: Expr | None) -> bool:
    if first is None or second is None:
        return False
    return bool(abs(first - second) <= EQUAL * max(abs(first), abs(second)))


def _is_undefined(value: Any) -> bool:
    return isinstance(value, Expr) and value.has(zoo, nan)
