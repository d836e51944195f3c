"""The comparison that needs a computer algebra system: math-verify, on canonical text.

It runs in a verifier process (`verifier`), which can be killed, and limits neither time nor memory. Importing this module
imports sympy.
"""

from __future__ import annotations

import logging
import re
from functools import lru_cache
from typing import Any

from latex2sympy2_extended.math_normalization import NormalizationConfig
from math_verify import LatexExtractionConfig, parse, verify
from sympy import Expr, nan, zoo

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

_NUMBER_BEFORE_BRACKET = re.compile(r"(?<=[\d)])\((?=[-+\d.\\])")
"""`3(29)` is a product; the parser takes it for a mixed number, 3 + 29."""

_LONG_NUMERAL = re.compile(rf"\d{{{MAX_NUMERAL_DIGITS}}}")


def check_pair(gold: str, answer: str, ordered: bool = False) -> Reason:
    """The verdict on one pair of canonical answers; never raises for their content."""
    try:
        gold_value, answer_value = parse_expression(gold), parse_expression(answer)
        if gold_value is None:
            return "unparsable_gold"
        if answer_value is None:
            return "unparsable_answer"
        is_equal = verify(
            gold_value, answer_value, allow_set_relation_comp=True, timeout_seconds=None, raise_on_error=True
        )
        return "correct" if is_equal else "wrong"
    except (MemoryError, RecursionError):
        return "unparsable_answer"
    except Exception:  # noqa: BLE001  recorded as data: a fault in the algebra system leaves the sample unscored
        return "error"


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
    if not parsed or (isinstance(parsed[0], Expr) and parsed[0].has(zoo, nan)):
        return None
    return parsed[0]


def is_too_large(text: str) -> bool:
    """Whether `text` is nested too deep, contains a numeral of thousands of digits or a tower of powers."""
    depth = deepest = 0
    for character in text:
        depth += (character in "{[(") - (character in "}])")
        deepest = max(deepest, depth)
    return deepest > MAX_DEPTH or bool(_LONG_NUMERAL.search(text)) or bool(_TOWER.search(text))
