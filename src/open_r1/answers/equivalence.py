r"""Whether two canonical answers mean the same: structure first, values second, algebra last.

Does: take apart lists, tuples, sets, intervals, unions and assignments, and compare their parts as text, as choice
letters, as exact numbers, and by value where that can tell. A pair of parts that only algebra can settle goes to the
`settle` function given: in the calling process that is `needs_algebra`, which says so by raising, in a verifier process
it is math-verify. Both therefore run this one code path and can't disagree. Does not: import sympy.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from open_r1.answers.latex import canonical
from open_r1.answers.numbers import are_equal, read_number
from open_r1.answers.values import compare_values

Settle = Callable[[str, str], bool]


class NeedsAlgebra(Exception):
    """Raised by `needs_algebra`: text and exact numbers can't settle this pair."""


def needs_algebra(gold: str, answer: str) -> bool:
    raise NeedsAlgebra


@dataclass(frozen=True)
class Group:
    """Parts between brackets; without brackets (`opening` "") a list as in `1, 2`."""

    opening: str
    parts: tuple[str, ...]
    closing: str

    @property
    def is_unordered(self) -> bool:
        return self.opening in {"", r"\{"}

    def __str__(self) -> str:
        return f"{self.opening}{','.join(self.parts)}{self.closing}"


BRACKETS = {"(": ")", "[": "]", r"\{": r"\}", r"\langle": r"\rangle"}

_TOKEN = re.compile(
    r"\\[{}]|\\langle(?![a-z])|\\rangle(?![a-z])|[()\[\]{},;]|\\begin|\\end|\\cup(?![a-z])|\\pm(?![a-z])"
)
_DEPTH = {"(": 1, "[": 1, "{": 1, r"\{": 1, r"\langle": 1, r"\begin": 1}
_DEPTH |= {")": -1, "]": -1, "}": -1, r"\}": -1, r"\rangle": -1, r"\end": -1}

_NAME = r"[A-Za-z]{1,2}(?:_\{\w+\})?"
_ASSIGNMENT = re.compile(
    rf"(?P<name>{_NAME}(?:\([a-z]\))?|\({_NAME}(?:,{_NAME})+\))(?:=|\\in(?![a-z]))(?P<value>[^=]+)"
)
_EQUATION_HEAD = re.compile(r"[A-Za-z].*[-+].*\d|\d.*[A-Za-z].*[-+]")
_CLOCK = re.compile(r"0*(?P<time>\d{1,2}(?::\d{2})+)(?P<half>[ap]m)?")
_TIME_OF_DAY = re.compile(r"0\d:\d\d|\d{1,2}(?::\d\d){2}|\d{1,2}(?::\d\d)+[ap]m")
_RELATION = re.compile(r"[=<>]|\\(?:le|ge|ne|in|approx|equiv)(?![a-z])")
_BOUND = r"(?:(?!\\[lg]e(?![a-z]))[^<>=,])+"
_HALF_LINE = re.compile(rf"[a-z](?P<sign>[<>]|\\[lg]e(?![a-z]))\s*(?P<bound>{_BOUND})")
_BETWEEN = re.compile(
    rf"(?P<low>{_BOUND})(?P<left><|\\le(?![a-z]))\s*[a-z]\s*(?P<right><|\\le(?![a-z]))\s*(?P<high>{_BOUND})"
)
_STANDS_FOR_A_SET = re.compile(r"[<>]|\\(?:le|ge|ne|cup|cap|setminus|mathbb|emptyset|R)(?![a-z])")
_WORD = re.compile(r"[A-Za-z][A-Za-z'’\-. ]{2,}")
_PLAIN_MARKS = re.compile(r"[\w\s+\-=.,;<>?%'\"]*", re.ASCII)
_ARITHMETIC = re.compile(
    r"(?:[\d\s.+\-/^!|(){}\[\]]|\\(?:cdot|frac|binom|sqrt|pi|lceil|rceil|lfloor|rfloor)(?![A-Za-z]))*"
)
_UNDONE = re.compile(r"[\d)}\]!|]\s*[-+]|\\pi\s*[-+]|\||\\l(?:ceil|floor)(?![A-Za-z])")
_PRODUCT_OF_NUMBERS = re.compile(r"[\d\s.(){}\-]*(?:\\cdot[\d\s.(){}\-]*)+")
_BASED = re.compile(r"(?P<digits>-?[0-9A-F]+)_\{(?P<base>\d{1,2})\}")


def are_equivalent(gold: str, answer: str, settle: Settle, ordered: bool = False) -> bool:
    """Whether `answer` is the gold answer in another form; both as `latex.canonical` spells them.

    A list without brackets (`1, -2`) is compared in any order unless `ordered`. A set of braces may be left out, and so
    may the brackets of a tuple; those of an interval may not, and its ends must be open or closed alike. Raises
    what `settle` raises.
    """
    if gold == answer:
        return True
    if not gold or not answer:
        return False
    gold, answer = _align_assignments(gold, answer)
    if (r"\cup" in gold) != (r"\cup" in answer):
        gold, answer = _as_union(gold) or gold, _as_union(answer) or answer
    gold_group, answer_group = _read_group(gold), _read_group(answer)
    if gold_group and answer_group:
        return _are_groups_equivalent(gold_group, answer_group, settle, ordered)
    if gold_group:
        return _is_group_equivalent_to_single(gold_group, answer, settle, group_is_gold=True)
    if answer_group:
        return _is_group_equivalent_to_single(answer_group, gold, settle, group_is_gold=False)
    gold_union, answer_union = split_top(gold, r"\cup"), split_top(answer, r"\cup")
    if len(gold_union) > 1 and len(gold_union) == len(answer_union):
        return _match_in_any_order(gold_union, answer_union, settle)
    if max(len(gold_union), len(answer_union)) > 1 and not all(map(_STANDS_FOR_A_SET.search, (gold, answer))):
        return False
    return _are_parts_equivalent(gold, answer, settle)


def _are_parts_equivalent(gold: str, answer: str, settle: Settle) -> bool:
    quick = compare_plain(gold, answer)
    return settle(gold, answer) if quick is None else quick


def compare_plain(gold: str, answer: str) -> bool | None:
    """The comparison that needs no algebra: True, False, or None when only algebra can tell."""
    if gold == answer:
        return True
    gold_number, answer_number = read_number(gold), read_number(answer)
    if gold_number and answer_number:
        return are_equal(gold_number, answer_number)
    if _BASED.fullmatch(gold) or _BASED.fullmatch(answer):
        return _compare_based(gold, answer)
    gold_clock, answer_clock = _read_clock(gold), _read_clock(answer)
    if (gold_clock and answer_clock) or _TIME_OF_DAY.fullmatch(gold) or _TIME_OF_DAY.fullmatch(answer):
        return gold_clock == answer_clock
    if _is_word(gold) or _is_word(answer):
        return _compare_words(gold, answer)
    if len(gold) == 1 and gold.isupper() and len(answer) == 1:
        return False  # choice letters
    if gold_number and _is_no_single_number(answer):
        return False
    return compare_values(gold, answer)


def _is_no_single_number(text: str) -> bool:
    """Text that can't stand for a plain gold number: words, variables, a list, or work left undone.

    `7+5` equals 12, and is refused, and so are `7\\cdot5`, `513^2-487^2` and `|7+5|`: it is how a policy that can't
    calculate copies the problem into the box. A power, a root, a fraction and a factorial are forms of a number.
    """
    if _PLAIN_MARKS.fullmatch(text) or _PRODUCT_OF_NUMBERS.fullmatch(text):
        return True
    return _ARITHMETIC.fullmatch(text) is not None and _UNDONE.search(text) is not None


def _compare_words(gold: str, answer: str) -> bool | None:
    if _fold(gold) == _fold(answer):
        return True
    if sorted(_bare_letters(gold)) == sorted(_bare_letters(answer)):
        return None  # xyz and zyx may be products of variables
    return False


def _is_word(text: str) -> bool:
    return _WORD.fullmatch(text) is not None


def _fold(text: str) -> str:
    return re.sub(r"[\s.\-'’]", "", text).casefold()


def _bare_letters(text: str) -> str:
    return re.sub(r"\\[a-z]+|[^A-Za-z0-9]", "", text)


def _read_clock(text: str) -> tuple[str, str] | None:
    """A time of day as its digits and its half of the day."""
    match = _CLOCK.fullmatch(text)
    return (match["time"], match["half"] or "") if match else None


def _compare_based(gold: str, answer: str) -> bool | None:
    """Numerals with a base: the gold's base may be left out, for the problem has named it; none may be changed."""
    gold_based, answer_based = _BASED.fullmatch(gold), _BASED.fullmatch(answer)
    if gold_based and answer_based:
        return gold_based.groups() == answer_based.groups()
    if gold_based:
        return gold_based["digits"] == answer if read_number(answer) else None
    return None if read_number(gold) is None else False


def _as_union(text: str) -> str | None:
    r"""`x<-1` or `x\ge 1` as the intervals whose union they are; None for anything else."""
    intervals = [_as_interval(part) for part in split_top(text, ",")]
    return r"\cup".join(filter(None, intervals)) if all(intervals) else None


def _as_interval(relation: str) -> str | None:
    if match := _BETWEEN.fullmatch(relation):
        opening, closing = "(" if match["left"] == "<" else "[", ")" if match["right"] == "<" else "]"
        return f"{opening}{match['low']},{match['high']}{closing}"
    if not (match := _HALF_LINE.fullmatch(relation)):
        return None
    sign, bound = match["sign"], match["bound"]
    if sign in {"<", r"\le"}:
        return f"(-\\infty,{bound}{')' if sign == '<' else ']'}"
    return f"{'(' if sign == '>' else '['}{bound},\\infty)"


def _align_assignments(gold: str, answer: str) -> tuple[str, str]:
    """`x=5` and `5` as the same thing; the last member of a chain `2+3=5` when the gold isn't a relation."""
    gold_match, answer_match = _ASSIGNMENT.fullmatch(gold), _ASSIGNMENT.fullmatch(answer)
    if gold_match and answer_match:
        same_name = gold_match["name"] == answer_match["name"]
        return (gold_match["value"], answer_match["value"]) if same_name else (gold, answer)
    if gold_match and not _RELATION.search(answer):
        return gold_match["value"], answer
    if _RELATION.search(gold):
        return gold, answer
    if answer_match:
        return gold, answer_match["value"]
    return gold, _last_member(answer)


def _last_member(answer: str) -> str:
    r"""`7+5=12` and `x=8/2=4` by their last member, `\sqrt{2}\approx 1.41` by what is exact in it."""
    exact = answer.partition(r"\approx")[0]
    if not exact or "," in exact:
        return answer
    head, _, last = exact.rpartition("=")
    if read_number(head) and re.fullmatch(_NAME, last):
        return head  # 5=x
    return answer if last == "0" and _EQUATION_HEAD.search(head) else last


def split_top(text: str, separator: str) -> list[str]:
    """`text` split at each `separator` (one of `,` `;` `\\cup`) that stands outside all brackets."""
    parts, depth, start = [], 0, 0
    for token in _TOKEN.finditer(text):
        mark = token.group()
        depth += _DEPTH.get(mark, 0)
        if mark == separator and depth == 0:
            parts.append(text[start : token.start()])
            start = token.end()
    return [part.strip() for part in (*parts, text[start:])]


def _read_group(text: str) -> Group | None:
    """The list, tuple, set, vector or interval that `text` is; None for anything else."""
    for separator in (";", ","):
        if len(parts := _split_list(text, separator)) > 1:
            return Group("", tuple(parts), "")
    if len(signs := _both_signs(text)) > 1:
        return Group("", tuple(signs), "")
    opening = next((bracket for bracket in BRACKETS if text.startswith(bracket)), None)
    if opening is None or (closing := _matching_end(text)) is None:
        return None
    inside = text[len(opening) : -len(closing)].strip()
    parts = _split_list(inside, ",")
    if len(parts) == 1:
        parts = _split_list(inside, ";")
    if len(parts) == 1 and opening != r"\{":
        return None
    return Group(opening, tuple(parts), closing)


def _split_list(text: str, separator: str) -> list[str]:
    return [sign for part in split_top(text, separator) if part for sign in _both_signs(part)]


def _both_signs(text: str) -> list[str]:
    r"""`1\pm\sqrt{5}` as its two values."""
    token = next((token for token in _TOKEN.finditer(text) if token.group() == r"\pm"), None)
    if token is None or r"\pm" in text[token.end() :] or r"\mp" in text:
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


def _are_groups_equivalent(gold: Group, answer: Group, settle: Settle, ordered: bool) -> bool:
    if not _have_compatible_brackets(gold, answer) or len(gold.parts) != len(answer.parts):
        return False
    gold_named, answer_named = _by_name(gold.parts), _by_name(answer.parts)
    if gold.is_unordered and not ordered and not gold_named:
        return _match_in_any_order(gold.parts, answer.parts, settle)
    pairs = zip(gold_named or gold.parts, answer_named or answer.parts, strict=True)
    return _all_equivalent(list(pairs), settle, ordered)


def _by_name(parts: Sequence[str]) -> list[str] | None:
    """`y=3`, `x=2` in the order of their names; None unless each part has a name of its own."""
    names = [match["name"] for match in map(_ASSIGNMENT.fullmatch, parts) if match]
    if len(set(names)) != len(parts):
        return None
    return [part for _, part in sorted(zip(names, parts, strict=True))]


def _is_group_equivalent_to_single(group: Group, single: str, settle: Settle, group_is_gold: bool) -> bool:
    r"""`\{5\}` is `5`, and an interval may be written as a relation; else a group is never a single value.

    Guesses `2, 3, 5` therefore don't answer `2`.
    """
    pair = (str(group), single) if group_is_gold else (single, str(group))
    if group.opening == r"\{" and len(group.parts) == 1:
        part = group.parts[0]
        return are_equivalent(*((part, single) if group_is_gold else (single, part)), settle)
    if group.opening and _STANDS_FOR_A_SET.search(single):
        return settle(*pair)
    return False


def _have_compatible_brackets(gold: Group, answer: Group) -> bool:
    if (gold.opening, gold.closing) == (answer.opening, answer.closing):
        return True
    if answer.opening == "":
        return (gold.opening, gold.closing) in {("(", ")"), (r"\{", r"\}"), (r"\langle", r"\rangle")}
    if gold.is_unordered:
        return answer.opening == r"\{" or (answer.opening, answer.closing) == ("(", ")")
    return {gold.opening, answer.opening} == {"(", r"\langle"} and "]" not in {gold.closing, answer.closing}


def _all_equivalent(pairs: list[tuple[str, str]], settle: Settle, ordered: bool) -> bool:
    """Whether every pair is equivalent; algebra is asked for only when nothing plainer has already said no."""
    unsettled = False
    for gold, answer in pairs:
        try:
            if not are_equivalent(gold, answer, settle, ordered):
                return False
        except NeedsAlgebra:
            unsettled = True
    if unsettled:
        raise NeedsAlgebra
    return True


def _match_in_any_order(gold_parts: Sequence[str], answer_parts: Sequence[str], settle: Settle) -> bool:
    """Whether each gold part pairs off with one answer part; equality is transitive, so the first fit will do."""
    remaining = list(answer_parts)
    different = []
    for part in gold_parts:
        if part in remaining:
            remaining.remove(part)
        else:
            different.append(part)
    unsettled = False
    for part in different:
        fit, is_undecided = _first_fit(part, remaining, settle)
        if fit is not None:
            remaining.pop(fit)
        elif not is_undecided:
            return False
        unsettled |= fit is None
    if unsettled:
        raise NeedsAlgebra
    return True


def _first_fit(part: str, candidates: list[str], settle: Settle) -> tuple[int | None, bool]:
    """Where `part` fits, if anywhere, and whether only algebra can tell."""
    undecided = False
    for index, candidate in enumerate(candidates):
        try:
            if are_equivalent(part, candidate, settle):
                return index, undecided
        except NeedsAlgebra:
            undecided = True
    return None, undecided
