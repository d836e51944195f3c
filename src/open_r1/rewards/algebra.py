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

from open_r1.rewards.equivalence import are_equivalent
from open_r1.rewards.reasons import Reason

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

_PROBES = (0.7310585786300049, 1.324717957244746)
"""Where expressions with variables are compared by value: positive, irrational-like, inside most domains."""

NOISE = 1e-20

_VARIABLE = re.compile(r"(?<![A-Za-z\\])[A-Za-z](?![A-Za-z])")
_LONG_NUMERAL = re.compile(rf"\d{{{MAX_NUMERAL_DIGITS}}}")


class UnparsableError(Exception):
    """An expression that the algebra system can't read, or that is too large to be an answer."""

    def __init__(self, role: str) -> None:
        super().__init__(role)
        self.reason: Reason = "unparsable_gold" if role == "gold" else "unparsable_answer"


def check_pair(gold: str, answer: str, ordered: bool = False) -> Reason:
    """The verdict on one pair of canonical answers; never raises for what stands in them."""
    try:
        return "correct" if are_equivalent(gold, answer, settle, ordered) else "wrong"
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
    if _clearly_differ(gold_value, answer_value):
        return False
    return verify(gold_value, answer_value, allow_set_relation_comp=True, timeout_seconds=None, raise_on_error=True)


@lru_cache(maxsize=4096)
def parse_expression(text: str) -> Any | None:
    """`text` as a sympy object; None when it can't be read or is too large to be an answer."""
    if is_too_large(text):
        return None
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
    """Whether `text` is nested too deep, holds a numeral of thousands of digits or a tower of powers."""
    depth = deepest = 0
    for character in text:
        depth += (character in "{[(") - (character in "}])")
        deepest = max(deepest, depth)
    return deepest > MAX_DEPTH or bool(_LONG_NUMERAL.search(text)) or bool(_TOWER.search(text))


def _clearly_differ(gold: Any, answer: Any) -> bool:
    """Whether two expressions differ in value at a point; far cheaper than failing to simplify their difference.

    It also catches constants below 1e-15, whose difference math-verify takes for zero. False when in doubt.
    Percentages, which math-verify keeps unevaluated, are left to it.
    """
    if not all(isinstance(value, Expr) and not value.has(UnevaluatedExpr) for value in (gold, answer)):
        return False
    if not gold.free_symbols and not answer.free_symbols:
        return _are_apart(_value_at(gold, 0.0), _value_at(answer, 0.0))
    return any(_are_apart(_value_at(gold, probe), _value_at(answer, probe)) for probe in _PROBES)


def _value_at(expression: Expr, probe: float) -> complex | None:
    """The value with each variable, by name, at its own multiple of `probe`; None when there is no finite value."""
    names = sorted(str(symbol) for symbol in expression.free_symbols)
    symbols = {str(symbol): symbol for symbol in expression.free_symbols}
    point = {symbols[name]: Float(probe * (1 + _spread(name)), 30) for name in names}
    try:
        value = complex(expression.subs(point).evalf(30))
    except (ArithmeticError, AttributeError, TypeError, ValueError):
        return None
    return value if abs(value) < float("inf") else None


def _spread(name: str) -> float:
    """A number in [0, 1) that belongs to a variable's name."""
    return sum(ord(character) * 0.618033988749895 ** (position + 1) for position, character in enumerate(name)) % 1


def _are_apart(first: complex | None, second: complex | None) -> bool:
    if first is None or second is None:
        return False
    smaller, larger = sorted((abs(first), abs(second)))
    if smaller < NOISE <= larger:
        return larger > 1e-6  # a zero found numerically is never quite zero
    return abs(first - second) > 1e-4 * larger


def _is_undefined(value: Any) -> bool:
    return isinstance(value, Expr) and value.has(zoo, nan)
