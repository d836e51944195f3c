r"""Regions of the real line: `(-\infty,2]\cup\{5\}`, `x>2`, `1<x<2`, `x\ne2`, `\mathbb{R}\setminus\{0\}`, `\emptyset`.

A relation counts when it is solved: a variable alone on one side and numbers on the other. `x^2<4` describes (-2,2), and
is what the problem asked to be solved.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cmp_to_key
from typing import Literal

from open_r1.answers.equality import are_equal as are_values_equal
from open_r1.answers.evaluation import TooLargeError, UndefinedError, real_value
from open_r1.answers.formula import Node, read_formula
from open_r1.answers.structure import read_group, split_marked, split_top
from open_r1.answers.types.base import AnswerType, Comparison, NotOfTypeError

_VARIABLE = r"[A-Za-z](?:_\{\w+\})?|\\(?:alpha|beta|gamma|theta|lambda|mu|phi|omega|delta)"
_SIGN = r"<|>|\\le(?![a-z])|\\ge(?![a-z])|\\ne(?![a-z])"
_BOUND = r"(?:(?!\\[lgn]e(?![a-z])|\\in(?![a-z]))[^<>=])+?"
_HALF = re.compile(rf"(?P<left>{_VARIABLE})\s*(?P<sign>{_SIGN})\s*(?P<right>{_BOUND})")
_TURNED = re.compile(rf"(?P<right>{_BOUND})\s*(?P<sign>{_SIGN})\s*(?P<left>{_VARIABLE})")
_BETWEEN = re.compile(
    rf"(?P<low>{_BOUND})\s*(?P<first><|>|\\[lg]e(?![a-z]))\s*(?P<name>{_VARIABLE})\s*(?P<second><|>|\\[lg]e(?![a-z]))\s*(?P<high>{_BOUND})"
)
_MEMBER = re.compile(rf"(?P<name>{_VARIABLE})\s*(?P<sign>\\in|\\notin)(?![a-z])\s*(?P<set>.+)")
_BUILDER = re.compile(
    r"\\\{\s*(?P<name>[A-Za-z])(?:\\in\\mathbb\{R\})?\s*(?:\||:|\\mid(?![a-z]))\s*(?P<condition>.+)\\\}"
)
_REALS = re.compile(r"\\mathbb\{R\}|(?:all\s+)?reals?(?:\s+numbers?)?|\(-\\infty,\+?\\infty\)", re.IGNORECASE)
_REAL_CONDITION = re.compile(r"(?:,|\band\b)?\s*(?:[A-Za-z]\\in\\mathbb\{R\})\s*(?:,|\band\b)?")
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

End = Node | None
"""An end of an interval; None for infinity."""


@dataclass(frozen=True)
class Piece:
    """An interval; a single number has itself for both ends."""

    low: End
    has_low: bool
    high: End
    has_high: bool


@dataclass(frozen=True)
class Region:
    """Intervals in any order; `name` is the variable that the text uses, if it does."""

    pieces: tuple[Piece, ...]
    name: str = ""


LINE = Piece(None, False, None, False)


class _NoOrderError(Exception):
    """Ends that can't be put in order: they have variables."""


def read(gold: str) -> Region | None:
    """A gold as a region; `(0,1)` is left to the lists, since it may be a point."""
    if not re.search(
        r"[<>]|\\(?:le|ge|ne|infty|cup|cap|setminus|mathbb|emptyset|in)(?![a-z])|[\[\]]|solution|empty|解|real", gold
    ):
        return _empty(gold)
    group = read_group(gold)
    if group and group.opening in {"(", r"\langle"} and group.closing != "]" and r"\infty" not in gold:
        return None
    if group and group.opening == "[" and (len(group.parts) != 2):
        return None
    return read_region(gold)


def _empty(text: str) -> Region | None:
    return Region(()) if _EMPTY.fullmatch(text) else None


def read_region(text: str) -> Region | None:
    """The region that canonical `text` describes in solved form; None when it describes none."""
    for pattern, sign in _SAID:
        text = pattern.sub(sign, text)
    try:
        return _read(text.strip(), 0)
    except (_NoOrderError, TooLargeError, UndefinedError):
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
        return None if removed is None else Region(_complement(removed.pieces), removed.name)
    if match := _BUILDER.fullmatch(text):
        return _read(_REAL_CONDITION.sub("", match["condition"]), depth + 1)
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


def _joined(regions: Sequence[Region | None], join) -> Region | None:
    if any(region is None for region in regions):
        return None
    known = [region for region in regions if region is not None]
    names = {region.name for region in known if region.name}
    if len(names) > 1:
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
    group = read_group(text)
    if group is None and text.startswith(("(", "[")) and text.endswith((")", "]")):
        return None
    if group is None:
        return None
    if group.opening == r"\{" and group.closing == r"\}":
        nodes = [_constant(part) for part in group.parts]
        known = [node for node in nodes if node is not None]
        return Region(tuple(Piece(node, True, node, True) for node in known)) if len(known) == len(nodes) else None
    if len(group.parts) != 2 or group.opening not in {"(", "["}:
        return None
    low, high = _end(group.parts[0], -1), _end(group.parts[1], 1)
    if low is False or high is False:
        return None
    return _interval(low, group.opening == "[", high, group.closing == "]")


def _interval(low: End, has_low: bool, high: End, has_high: bool) -> Region | None:
    if (low is None and has_low) or (high is None and has_high):
        return None  # infinity is not a member
    return Region((Piece(low, has_low, high, has_high),))


def _end(text: str, side: int) -> End | Literal[False]:
    r"""The end of an interval, None for infinity on its side; False for what is neither."""
    plain = text.replace(" ", "")
    if r"\infty" in plain:
        is_right = plain in ({r"\infty", r"+\infty"} if side > 0 else {r"-\infty"})
        return None if is_right else False
    node = read_formula(text)
    return False if node is None else node


def _constant(text: str) -> Node | None:
    node = read_formula(text)
    return node if node is not None and not node.symbols() else None


def _half_line(match: re.Match[str], is_turned: bool) -> Region | None:
    sign = _FLIPPED[match["sign"]] if is_turned else match["sign"]
    name, plain = match["left"], match["right"].replace(" ", "")
    if r"\infty" in plain:
        is_all = (sign == "<" and plain in {r"\infty", r"+\infty"}) or (sign == ">" and plain == r"-\infty")
        return Region((LINE,), name) if is_all else None
    node = read_formula(match["right"])
    if node is None or name.lstrip("\\") in node.symbols():
        return None
    if sign == r"\ne":
        return Region((Piece(None, False, node, False), Piece(node, False, None, False)), name)
    if sign in {"<", r"\le"}:
        return Region((Piece(None, False, node, sign == r"\le"),), name)
    return Region((Piece(node, sign == r"\ge", None, False),), name)


def _between(match: re.Match[str]) -> Region | None:
    first, second = match["first"], match["second"]
    low_text, high_text = match["low"], match["high"]
    if (first in {">", r"\ge"}) != (second in {">", r"\ge"}):
        return None
    if first in {">", r"\ge"}:
        low_text, high_text, first, second = high_text, low_text, second, first
    low, high = _end(low_text, -1), _end(high_text, 1)
    if low is False or high is False:
        return None
    has_low, has_high = first in {r"\le", r"\ge"} and low is not None, second in {r"\le", r"\ge"} and high is not None
    return Region((Piece(low, has_low, high, has_high),), match["name"])  # pyright: ignore[reportArgumentType]


def _order(first: End, second: End, infinite: int) -> int:
    """-1, 0 or 1 as the first end is left of the second; None is infinity, on the side `infinite`."""
    if first is None or second is None:
        return 0 if first is second else infinite if first is None else -infinite
    if first == second or are_values_equal(first, second):
        return 0
    low, high = real_value(first), real_value(second)
    if low is None or high is None:
        raise _NoOrderError
    return -1 if low < high else 1


def _low_order(first: Piece, second: Piece) -> int:
    return _order(first.low, second.low, -1) or (second.has_low - first.has_low)


def _union(first: Sequence[Piece], second: Sequence[Piece]) -> tuple[Piece, ...]:
    return _merged((*first, *second))


def _merged(pieces: Sequence[Piece]) -> tuple[Piece, ...]:
    """The same set with the fewest pieces, from left to right."""
    merged: list[Piece] = []
    for piece in sorted(pieces, key=cmp_to_key(_low_order)):
        if merged and _touch(merged[-1], piece):
            last = merged[-1]
            order = _order(last.high, piece.high, 1)
            high, has_high = (piece.high, piece.has_high) if order < 0 else (last.high, last.has_high)
            has_high = has_high or (order == 0 and piece.has_high)
            merged[-1] = Piece(last.low, last.has_low, high, has_high)
        else:
            merged.append(piece)
    return tuple(merged)


def _touch(left: Piece, right: Piece) -> bool:
    if left.high is None or right.low is None:
        return True
    order = _order(left.high, right.low, 1)
    return order > 0 or (order == 0 and (left.has_high or right.has_low))


def _intersection(first: Sequence[Piece], second: Sequence[Piece]) -> tuple[Piece, ...]:
    return _complement(_union(_complement(first), _complement(second)))


def _complement(pieces: Sequence[Piece]) -> tuple[Piece, ...]:
    gaps: list[Piece] = []
    low: End = None
    has_low = False
    for piece in _merged(pieces):
        if piece.low is not None:
            gaps.append(Piece(low, has_low, piece.low, not piece.has_low))
        if piece.high is None:
            return tuple(gaps)
        low, has_low = piece.high, not piece.has_high
    return (*gaps, Piece(low, has_low, None, False))


def are_equal(gold: Region, answer: str, comparison: Comparison) -> bool:
    found = read_region(answer)
    if found is None:
        raise NotOfTypeError
    return are_regions_equal(gold, found)


def are_regions_equal(gold: Region, answer: Region) -> bool:
    if gold.name and answer.name and gold.name != answer.name:
        return False
    try:
        pairs = (_merged(gold.pieces), _merged(answer.pieces))
    except _NoOrderError:
        pairs = (gold.pieces, answer.pieces)
    except (TooLargeError, UndefinedError):
        raise NotOfTypeError(is_broken=True) from None
    return len(pairs[0]) == len(pairs[1]) and all(map(_are_pieces_equal, *pairs))


def _are_pieces_equal(first: Piece, second: Piece) -> bool:
    if (first.has_low, first.has_high) != (second.has_low, second.has_high):
        return False
    ends = ((first.low, second.low), (first.high, second.high))
    return all(one is other if one is None or other is None else are_values_equal(one, other) for one, other in ends)


TYPE = AnswerType("interval or region", read, are_equal)
