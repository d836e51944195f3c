r"""Whether an answer is only the problem's own formula handed back.

"Evaluate $17\cdot23$" is not answered by `17\cdot23`, nor "Factor $x^2-1$" by `x^2-1`, though both are equal to the gold.
The caller asks only about answers that equal their gold by value and not by their writing.

    >>> is_copied(r"17\cdot 23", r"Evaluate $17 \times 23 + 0$."), is_copied("391", "Is it $391$?")
    (True, False)
"""

from __future__ import annotations

import math
import re
from functools import lru_cache

from open_r1.answers.latex import MAX_CHARS, canonical

MAX_PROBLEM_CHARS = 100_000
"""Characters of a problem that are searched, from its end, where the question is."""

_FORMULA = re.compile(
    r"\$\$([^$]+)\$\$|\$((?:\\.|[^$\\])+)\$|\\\(((?:(?!\\\)).){1,4000})\\\)|\\\[((?:(?!\\\]).){1,4000})\\\]", re.DOTALL
)
_ENVIRONMENT = re.compile(r"\\(?:begin|end)\{(?:align|equation|gather|eqnarray|split|multline)(?:ed)?\*?\}")
_NUMERAL = re.compile(r"[-+]?(?:\d+(?:[.,]\d+)*|\.\d+)(?:\\?%)?")
_FRACTION = re.compile(r"-?(?:\\frac\{-?(\d+)\}\{(\d+)\}|(\d+)/(\d+))")
_WORD_OR_LETTER = re.compile(r"[^\W\d_]+(?:[\s'’.-]+[^\W\d_]+)*")
_GLUE = re.compile(r"[A-Za-z0-9.]")
_POINTLESS = re.compile(r"\\left|\\right|[\s{}&]|\\cdot(?![A-Za-z])")


def is_copied(answer: str, problem: str) -> bool:
    """Whether `answer` is in `problem` as a formula, whole or as a part of one.

    Never for a bare numeral, a fraction in lowest terms, a word or a letter: they are answers wherever they stand.
    """
    spelled = canonical(answer[:MAX_CHARS])
    if not spelled or is_bare(spelled):
        return False
    sought = _squeezed(spelled)
    return any(_stands_in(sought, formula) for formula in _formulas(problem[-MAX_PROBLEM_CHARS:]))


def is_bare(answer: str) -> bool:
    """Whether a canonical answer is a numeral, a fraction in lowest terms, a word or a letter."""
    if _NUMERAL.fullmatch(answer) or _WORD_OR_LETTER.fullmatch(answer):
        return True
    if not (match := _FRACTION.fullmatch(answer)):
        return False
    top, bottom = (int(digits) for digits in match.groups() if digits)
    return bottom > 1 and math.gcd(top, bottom) == 1


@lru_cache(maxsize=1024)
def _formulas(problem: str) -> tuple[str, ...]:
    r"""The formulas of a problem, squeezed: what is between `$`, `\(` and `\[`; the whole text where none does."""
    found = ["".join(filter(None, match.groups())) for match in _FORMULA.finditer(problem)] or [problem]
    pieces = [piece[:MAX_CHARS] for formula in found for piece in _ENVIRONMENT.split(formula)]
    return tuple(dict.fromkeys(_squeezed(canonical(piece)) for piece in pieces if piece.strip()))


def _squeezed(spelled: str) -> str:
    """A spelling without what people leave out or put in: braces, spaces, the sign of a product."""
    return _POINTLESS.sub("", spelled)


def _stands_in(sought: str, formula: str) -> bool:
    start = formula.find(sought)
    while start >= 0:
        before, after = formula[start - 1 : start], formula[start + len(sought) : start + len(sought) + 1]
        if not (_is_glued(before, sought[0]) or _is_glued(sought[-1], after)):
            return True
        start = formula.find(sought, start + 1)
    return False


def _is_glued(left: str, right: str) -> bool:
    return bool(_GLUE.fullmatch(left) and _GLUE.fullmatch(right) and left.isalpha() == right.isalpha())
