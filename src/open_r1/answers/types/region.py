r"""Regions of the real line: `(-\infty,2]\cup\{5\}`, `x>2`, `1<x<2`, `x\ne2`, `\mathbb{R}\setminus\{0\}`, `\emptyset`.

A relation counts when it is solved: a variable alone on one side and numbers on the other. `x^2<4` describes (-2,2), and
is what the problem asked to be solved.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cmp_to_key
from itertools import chain
from typing import NamedTuple

from open_r1.answers.equality import are_equal as are_values_equal
from open_r1.answers.evaluation import real_value
from open_r1.answers.formula import Node, read_formula
from open_r1.answers.reasons import NotOfTypeError, NoValueError
from open_r1.answers.structure import read_group, split_marked, split_top
from open_r1.answers.types.base import AnswerType, Comparison

_VARIABLE = r"[A-Za-z](?:_\{\w+\})?|\\(?:alpha|beta|gamma|theta|lambda|mu|phi|omega|delta)"
_SIGN = r"<|>|\\le(?![a-z])|\\ge(?![a-z])|\\ne(?![a-z])"
_BOUND = r"(?:(?!\\[lgn]e(?![a-z])|\\in(?![a-z]))[^<>=])+?"
_HALF = re.compile(rf"(?P<left>{_VARIABLE})\s*(?P<sign>{_SIGN})\s*(?P<right>{_BOUND})")
_POINT = re.compile(rf"(?P<left>{_VARIABLE})\s*=\s*(?P<right>{_BOUND})")
_TURNED = re.compile(rf"(?P<right>{_BOUND})\s*(?P<sign>{_SIGN})\s*(?P<left>{_VARIABLE})")
_BETWEEN = re.compile(
    rf"(?P<low>{_BOUND})\s*(?P<first><|>|\\[lg]e(?![a-z]))\s*(?P<name>{_VARIABLE})\s*(?P<second><|>|\\[lg]e(?![a-z]))\s*(?P<high>{_BOUND})"
)
_MEMBER = re.compile(rf"(?P<name>{_VARIABLE})\s*(?P<sign>\\in|\\notin)(?![a-z])\s*(?P<set>.+)")
_BUILDER = re.compile(
    r"\\\{\s*(?P<name>[A-Za-z])(?:\\in\\mathbb\{R\})?\s*(?:\||:|\\mid(?![a-z]))\s*(?P<condition>.+)\\\}"
)
_REALS = re.compile(r"\\mathbb\{R\}|(?:all\s+)?reals?(?:\s+numbers?)?|\(-\\infty,\+?\\infty\)", re.IGNORECASE)
_REAL_CONDITION = re.compile(r"(?:,|\band\b)?\s*[A-Za-z]\\in\\mathbb\{R\}\s*(?:,|\band\b|$)")
_EMPTY = re.compile(
    r"\\emptyset|\\\{\s*\\\}|(?:the\s+)?empty\s+set|no\s+(?:real\s+)?(?:solutions?|roots?|values?)(?:\s+exists?)?|无解|空集",
    re.IGNORECASE,
)
_MINUS = re.compile(r"(?<=\\mathbb\{R\})\s*(?:-|\\setminus(?![a-z])|\\backslash(?![a-z])|\\)\s*(?=\\?[{(\[])")
_SAID = tuple(
    (re.compile(rf"\s*(?:{pattern})\s*"), sign)
    for pattern, sign in (
        ("大于等于|不小于|is greater than or equal to|is at least", r"\\ge "),
        ("小于等于|不大于|is less than or equal to|is at most", r"\\le "),
        ("不等于|is not equal to", r"\\ne "),
        ("大于|is greater than", ">"),
        ("小于|is less than", "<"),
    )
)
_FLIPPED = {"<": ">", ">": "<", r"\le": r"\ge", r"\ge": r"\le", r"\ne": r"\ne"}
_UNIONS, _MEETS = (
    frozenset({r"\cup", "or", "或", r"\lor", r"\vee"}),
    frozenset({r"\cap", "and", "且", r"\land", r"\wedge"}),
)
_HINT = re.compile(
    r"[<>]|\\(?:le|ge|ne|infty|cup|cap|setminus|mathbb|emptyset|in)(?![a-z])|[\[\]]|solution|empty|解|real"
)


class Cut(NamedTuple):
    """A place on the line: just before a number, or just after it; without a number one of the line's ends."""

    node: Node | None
    is_after: bool


Piece = tuple[Cut, Cut]
"""An interval, from cut to cut; that of a single number is from just before it to just after it."""

LINE: Piece = (Cut(None, False), Cut(None, True))


@dataclass(frozen=True)
class Region:
    """Intervals in any order; `name` is the variable that the text uses, if it does."""

    pieces: tuple[Piece, ...]
    name: str = ""


class _NoOrderError(Exception):
    """Ends that can't be put in order: they have variables."""


def read(gold: str) -> Region | None:
    """A gold as a region; `(0,1)` is left to the lists, since it may be a point."""
    if not _HINT.search(gold):
        return _empty(gold)
    group = read_group(gold)
    if group and group.opening in {"(", r"\langle"} and group.closing != "]" and r"\infty" not in gold:
        return None
    return None if group and group.opening == "[" and len(group.parts) != 2 else read_region(gold)


def _empty(text: str) -> Region | None:
    return Region(()) if _EMPTY.fullmatch(text) else None


def read_region(text: str) -> Region | None:
    """The region that canonical `text` describes in solved form; None when it describes none."""
    for pattern, sign in _SAID:
        text = pattern.sub(sign, text)
    text = _REAL_CONDITION.sub("", text).strip() or text
    try:
        return _read(text.strip(), 0)
    except (_NoOrderError, NoValueError):
        return None


def _read(text: str, depth: int) -> Region | None:
    if depth > 6 or not text:
        return None
    if (empty := _empty(text)) is not None:
        return empty
    if _REALS.fullmatch(text):
        return Region((LINE,))
    if match := _MINUS.search(text):
        removed = _read(text[match.end() :], depth + 1)
        return removed and Region(_complement(removed.pieces), removed.name)
    if match := _BUILDER.fullmatch(text):
        return _read(_REAL_CONDITION.sub("", match["condition"]) or match["condition"], depth + 1)
    if match := _MEMBER.fullmatch(text):
        inner = _read(match["set"], depth + 1)
        if inner is None or match["sign"] == r"\notin":
            return inner and Region(_complement(inner.pieces), match["name"])
        return Region(inner.pieces, inner.name or match["name"])
    return _read_joined(text, depth) or _read_piece(text)


def _read_joined(text: str, depth: int) -> Region | None:
    """Parts joined by union, by intersection, or by commas, which mean what leaves something to be said."""
    for joints, join in ((_UNIONS, _union), (_MEETS, _intersection)):
        parts = [part for part, _ in split_marked(text, joints)]
        if len(parts) > 1:
            return _joined([_read(part, depth + 1) for part in parts], join)
    parts = split_top(text, ",")
    if len(parts) < 2 or not all(re.search(rf"{_SIGN}|\\in(?![a-z])", part) for part in parts):
        return None
    regions = [_read(part, depth + 1) for part in parts]
    if any(r"\ne" in part or r"\in" in part for part in parts):
        return _joined(regions, _intersection)
    union = _joined(regions, _union)
    return union if union and union.pieces != (LINE,) else _joined(regions, _intersection)


def _joined(regions: Sequence[Region | None], join: Callable[..., tuple[Piece, ...]]) -> Region | None:
    known = [region for region in regions if region is not None]
    names = {region.name for region in known if region.name}
    if len(known) < len(regions) or len(names) > 1:
        return None
    pieces = known[0].pieces
    for region in known[1:]:
        pieces = join(pieces, region.pieces)
    return Region(pieces, names.pop() if names else "")


def _read_piece(text: str) -> Region | None:
    if match := _BETWEEN.fullmatch(text):
        return _between(match)
    for pattern in (_HALF, _TURNED):
        if match := pattern.fullmatch(text):
            return _half_line(match, is_turned=pattern is _TURNED)
    if match := _POINT.fullmatch(text):
        node = read_formula(match["right"])
        is_number = node is not None and not node.symbols()
        return Region(((Cut(node, False), Cut(node, True)),), match["left"]) if is_number else None
    group = read_group(text)
    if group is None:
        return None
    if (group.opening, group.closing) == (r"\{", r"\}"):
        nodes = [read_formula(part) for part in group.parts]
        points = [(Cut(node, False), Cut(node, True)) for node in nodes if node and not node.symbols()]
        return Region(tuple(points)) if len(points) == len(nodes) else None
    if len(group.parts) != 2 or group.opening not in {"(", "["}:
        return None
    return _interval(group.parts[0], group.opening == "[", group.parts[1], group.closing == "]")


def _interval(low: str, has_low: bool, high: str, has_high: bool, name: str = "") -> Region | None:
    cuts = _cut(low, not has_low, is_low=True), _cut(high, has_high, is_low=False)
    return None if cuts[0] is None or cuts[1] is None else Region(((cuts[0], cuts[1]),), name)


def _cut(text: str, is_after: bool, is_low: bool) -> Cut | None:
    r"""The end of an interval; None for what is not a number, and for an infinity on the wrong side or as a member."""
    plain = text.replace(" ", "")
    if r"\infty" not in plain:
        node = read_formula(text)
        return node and Cut(node, is_after)
    is_sound = plain in ({r"-\infty"} if is_low else {r"\infty", r"+\infty"}) and is_after == is_low
    return Cut(None, not is_low) if is_sound else None


def _half_line(match: re.Match[str], is_turned: bool) -> Region | None:
    sign = _FLIPPED[match["sign"]] if is_turned else match["sign"]
    name, plain = match["left"], match["right"].replace(" ", "")
    if r"\infty" in plain:
        is_all = (sign == "<" and plain in {r"\infty", r"+\infty"}) or (sign == ">" and plain == r"-\infty")
        return Region((LINE,), name) if is_all else None
    node = read_formula(match["right"])
    if node is None or name.lstrip("\\") in node.symbols():
        return None
    start, end = LINE
    below, above = (start, Cut(node, sign == r"\le")), (Cut(node, sign != r"\ge"), end)
    if sign == r"\ne":
        return Region((below, above), name)
    return Region((below if sign in {"<", r"\le"} else above,), name)


def _between(match: re.Match[str]) -> Region | None:
    (low, first), (second, high) = match.group("low", "first"), match.group("second", "high")
    if (first in {">", r"\ge"}) != (second in {">", r"\ge"}):
        return None
    if first in {">", r"\ge"}:
        low, high, first, second = high, low, second, first
    has_low, has_high = (len(sign) > 1 and r"\infty" not in end for sign, end in ((first, low), (second, high)))
    return _interval(low, has_low, high, has_high, match["name"])


def _order(first: Cut, second: Cut) -> int:
    if first == second:
        return 0
    if first.node is None or second.node is None:
        is_left = not first.is_after if first.node is None else second.is_after
        return -1 if is_left else 1
    if are_values_equal(first.node, second.node):
        return first.is_after - second.is_after
    left, right = real_value(first.node), real_value(second.node)
    if left is None or right is None:
        raise _NoOrderError
    return -1 if left < right else 1


_position = cmp_to_key(_order)


def _union(first: Sequence[Piece], second: Sequence[Piece]) -> tuple[Piece, ...]:
    return _merged((*first, *second))


def _merged(pieces: Sequence[Piece]) -> tuple[Piece, ...]:
    """The same set with the fewest pieces, from left to right."""
    merged: list[Piece] = []
    for low, high in sorted(pieces, key=lambda piece: _position(piece[0])):
        if merged and _order(low, merged[-1][1]) <= 0:
            merged[-1] = (merged[-1][0], max(merged[-1][1], high, key=_position))
        else:
            merged.append((low, high))
    return tuple(merged)


def _intersection(first: Sequence[Piece], second: Sequence[Piece]) -> tuple[Piece, ...]:
    return _complement(_union(_complement(first), _complement(second)))


def _complement(pieces: Sequence[Piece]) -> tuple[Piece, ...]:
    cuts = [LINE[0], *chain.from_iterable(_merged(pieces)), LINE[1]]
    return tuple((low, high) for low, high in zip(cuts[::2], cuts[1::2], strict=True) if low != high)


def are_equal(gold: Region, answer: str, comparison: Comparison) -> bool:
    """Whether an answer describes the same region; NotOfTypeError where it describes none."""
    found = read_region(answer)
    if found is None:
        raise NotOfTypeError
    return are_regions_equal(gold, found)


def are_regions_equal(gold: Region, answer: Region) -> bool:
    """Whether both contain the same points; two different names of the variable make them different."""
    if gold.name and answer.name and gold.name != answer.name:
        return False
    try:
        pairs = (_merged(gold.pieces), _merged(answer.pieces))
    except _NoOrderError:
        pairs = (gold.pieces, answer.pieces)
    cuts = [list(chain.from_iterable(pieces)) for pieces in pairs]
    return len(cuts[0]) == len(cuts[1]) and all(map(_are_cuts_equal, *cuts))


def _are_cuts_equal(first: Cut, second: Cut) -> bool:
    if first.node is None or second.node is None:
        return first == second
    return first.is_after == second.is_after and are_values_equal(first.node, second.node)


TYPE = AnswerType("interval or region", read, are_equal)
