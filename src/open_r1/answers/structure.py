r"""The outer structure of canonical text: brackets, the parts of a list with their separators, and names before a value.

A name is in `x = 5`, `AB = 5`, `f(3) = 5`, `\text{Area} = 5`, `m+n = 5`, and chains that end in one; `x+y = 5` and `3x = 6`
are equations that are still to be solved and name nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from open_r1.answers.equality import are_equal
from open_r1.answers.evaluation import real_value
from open_r1.answers.formula import read_formula
from open_r1.answers.latex import canonical
from open_r1.answers.reasons import NoValueError

BRACKETS = {"(": ")", "[": "]", r"\{": r"\}", r"\langle": r"\rangle"}

MAX_BRACKETS = 8
"""So many brackets around one thing are taken off."""

_TOKEN = re.compile(
    r"\\[{}|]|\\langle(?![a-z])|\\rangle(?![a-z])|[()\[\]{},;:]|\\begin|\\end|\\cup(?![a-z])|\\pm(?![a-z])|\\cap(?![a-z])"
    r"|(?<![A-Za-z\\])(?:and|or)(?![A-Za-z])|或者?|和|且|(?<!\\)=|\\lor(?![a-z])|\\land(?![a-z])|\\vee(?![a-z])|\\wedge(?![a-z])"
)
_DEPTH = {"(": 1, "[": 1, "{": 1, r"\{": 1, r"\langle": 1, r"\begin": 1}
_DEPTH |= {")": -1, "]": -1, "}": -1, r"\}": -1, r"\rangle": -1, r"\end": -1}
JOINTS = frozenset({",", "and", "or", "或", "或者", "和", "且", r"\lor", r"\land", r"\vee", r"\wedge"})


@dataclass(frozen=True)
class Group:
    """Parts between brackets; without brackets (`opening` "") a list as in `1, 2`."""

    opening: str
    parts: tuple[str, ...]
    closing: str

    @property
    def is_unordered(self) -> bool:
        """Whether it is a set or a list without brackets, whose parts may come in any order."""
        return self.opening in {"", r"\{"}


def split_top(text: str, *separators: str) -> list[str]:
    """`text` split at each of `separators` that is outside all brackets; the parts stripped."""
    return [part for part, _ in split_marked(text, frozenset(separators))]


def split_marked(text: str, separators: frozenset[str]) -> list[tuple[str, str]]:
    """The parts between separators, each with the separator before it."""
    parts, depth, start, before = [], 0, 0, ""
    for token in _TOKEN.finditer(text):
        mark = token.group()
        depth += _DEPTH.get(mark, 0)
        if depth == 0 and mark in separators:
            parts.append((text[start : token.start()].strip(), before))
            start, before = token.end(), mark
    return [*parts, (text[start:].strip(), before)]


def read_list(text: str, joints: frozenset[str] = JOINTS) -> list[str]:
    r"""The parts of a list, `1\pm\sqrt{5}` as its two values; empty parts, as between `, and`, are none."""
    return [sign for part, _ in split_marked(text, joints) if part for sign in _both_signs(part)]


def read_group(text: str) -> Group | None:
    """The list, tuple, set, vector or interval that `text` is; None for anything else."""
    for joints in (frozenset({";"}), JOINTS):
        parts = read_list(text, joints)
        if len(parts) > 1 and (joints is JOINTS or ";" in text):
            return Group("", tuple(parts), "")
    opening = next((bracket for bracket in BRACKETS if text.startswith(bracket)), None)
    if opening is None or (closing := _matching_end(text)) is None:
        return None
    inside = text[len(opening) : -len(closing)].strip()
    parts = read_list(inside)
    if len(parts) == 1:
        parts = read_list(inside, frozenset({";"}))
    if not parts or (len(parts) == 1 and opening != r"\{"):
        return None
    return Group(opening, tuple(parts), closing)


def _both_signs(text: str) -> list[str]:
    r"""`1\pm\sqrt{5}` as its two values."""
    token = next((token for token in _TOKEN.finditer(text) if token.group() == r"\pm"), None)
    if token is None or r"\pm" in text[token.end() :] or r"\mp" in text or text.startswith(r"\{"):
        return [text]
    head, tail = text[: token.start()], text[token.end() :].strip()
    return [canonical(f"{head}+{tail}" if head else tail), canonical(f"{head}-{tail}")]


def _matching_end(text: str) -> str | None:
    """The bracket that closes the first one of `text`, when that is where `text` ends."""
    depth = 0
    for token in _TOKEN.finditer(text):
        mark = token.group()
        depth += _DEPTH.get(mark, 0)
        if depth == 0:
            is_end = token.end() == len(text) and mark in BRACKETS.values()
            return mark if is_end else None
    return None


def without_brackets(text: str) -> str:
    r"""`\left(42\right)` as `42`: brackets around a single thing say nothing."""
    for _ in range(MAX_BRACKETS):
        opening = next((bracket for bracket in ("(", r"\{") if text.startswith(bracket)), None)
        if opening is None or "," in text or _matching_end(text) != BRACKETS[opening]:
            break
        text = text[len(opening) : -len(opening)].strip()
    return text


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
