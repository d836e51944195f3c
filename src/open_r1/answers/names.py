r"""Names before a value: `x = 5`, `AB = 5`, `f(3) = 5`, `\text{Area} = 5`, `m+n = 5`; and chains that end in one.

`x+y = 5` and `3x = 6` are equations that are still to be solved and name nothing.
"""

from __future__ import annotations

import re

from open_r1.answers.equality import are_equal
from open_r1.answers.evaluation import real_value
from open_r1.answers.formula import read_formula
from open_r1.answers.reasons import NoValueError

_INDEX = r"(?:_\{[^{}]*\}|_[A-Za-z0-9])"
_GREEK = "alpha|beta|gamma|delta|theta|lambda|mu|phi|varphi|omega|sigma|rho|tau|ell|Delta|Omega"
_LETTER = rf"(?:[A-Za-z]|\\(?:{_GREEK})(?![A-Za-z])){_INDEX}?'*"
_POINTS = (
    r"(?:\\(?:angle|triangle|overline|overrightarrow|widehat|vec|measuredangle|arc)\s*)*\{?[A-Z](?:\s*[A-Z]){1,4}\}?"
)
NAME = re.compile(
    rf"{_LETTER}(?:(?:\^\{{-1\}})?\([^()=]{{0,40}}\))?|\\frac\{{d[A-Za-z]?\}}\{{d[A-Za-z]\}}"
    rf"|\|?(?:{_POINTS})\|?|\\angle\s*[A-Z]|m\s*\\angle\s*[A-Z]+"
    rf"|[A-Z]{{1,2}}{_INDEX}|S_\{{[^{{}}]*\}}|\|[A-Za-z](?:_\{{\w+\}})?\|"
    rf"|\(\s*[A-Za-z]{_INDEX}?(?:,[A-Za-z]{_INDEX}?)+\s*\)"
    rf"|\\(?:max|min|lim|gcd|sup|inf)(?:_\{{[^{{}}]*\}})?\s*(?:{_LETTER}(?:\([^()]*\))?)?"
    r"|(?i:(?:the\s+)?[A-Za-z]{3,}(?:\s+[A-Za-z]+){0,3})"
)
_SUM_OF_NAMES = re.compile(r"[A-Za-z](?:_\{\w+\})?(?:[+\-][A-Za-z](?:_\{\w+\})?){1,5}")
_UNKNOWNS = re.compile(r"[xyzuvwt]")
_FUNCTION_WORD = re.compile(r"(?:sin|cos|tan|cot|log|ln|exp|sqrt|lim|max|min)\b.*")
_EQUALS = re.compile(r"(?<![\\<>!])=")
_CURRENCY = re.compile(r"[$€£¥₹]")


def is_name(text: str) -> bool:
    """Whether `text` names a quantity and is not itself something to be solved or worked out."""
    if _SUM_OF_NAMES.fullmatch(text):
        return not _UNKNOWNS.search(text)
    if text.isalpha() and not text.strip("xyzuvwt") and len(text) > 1:
        return False  # a product of unknowns
    return NAME.fullmatch(text) is not None and not _FUNCTION_WORD.match(text)


def split_name(text: str) -> tuple[str, str] | None:
    r"""The name and the value of `x = 5`, `x\in A`, `5 = x`; None where there is no such pair."""
    members = _EQUALS.split(text)
    if len(members) == 1:
        head, mark, value = text.partition(r"\in")
        return (head.strip(), value.strip()) if mark and value[:1] not in "ft" and is_name(head.strip()) else None
    if len(members) == 2:
        left, right = (member.strip() for member in members)
        if is_name(left) and right:
            return left, right
        if re.fullmatch(_LETTER, right) and left and not re.search(r"[A-Za-z]", left):
            return right, left
    return None


def _is_near(exact: str, rounded: str) -> bool:
    """Whether `\\sqrt2 \\approx 1.41` is true, as far as both can be read."""
    values = [real_value(node) for text in (exact, rounded) if (node := read_formula(text))]
    known = [value for value in values if value is not None]
    return len(known) < 2 or abs(known[0] - known[1]) * 20 <= abs(known[0])


def value_of_name(answer: str) -> str:
    r"""What `x = 5`, `7+5 = 12` and `x = 8/2 = 4` say in the end; the text itself where it isn't such a chain.

    The members of a chain that have a value must have the same: `7+6 = 12` says nothing.
    """
    exact, _, rounded = (part.strip() for part in answer.partition(r"\approx"))
    if not exact or not _is_near(exact, rounded):
        return answer
    if named := split_name(exact):
        return named[1]
    if "=" not in exact:
        return exact
    members = [member.strip() for member in _EQUALS.split(exact)]
    values = [read_formula(_CURRENCY.sub("", member)) for member in members[is_name(members[0]) :]]
    known = [value for value in values if value is not None and not value.symbols()]
    if len(known) < len(values):
        return answer
    try:
        is_true = all(are_equal(known[-1], value) for value in known[:-1])
    except NoValueError:
        return answer
    return members[-1] if is_true else answer
