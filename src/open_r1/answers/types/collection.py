r"""Lists, sets, tuples and vectors: `1, 2`, `\{1,2\}`, `(1,2)`, `\langle1,2\rangle`, `x=1, y=2`, `red and blue`.

A list without brackets is compared in any order unless the data say `ordered`; a set always is, a tuple never. Each part is
compared by its own type. The brackets of a set or a tuple may be left out; others may not be put in their place.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from open_r1.answers.names import split_name
from open_r1.answers.structure import Group, read_group
from open_r1.answers.types.base import AnswerType, Comparison, NeedsAlgebraError, NotOfTypeError
from open_r1.answers.types.region import are_regions_equal, read_region

_CASES = re.compile(
    r"(?:\\\{)?\\begin\{(?:cases|array)\}(?:\{[lcr ]+\})?(?P<rows>.*)\\end\{(?:cases|array)\}", re.DOTALL
)
_NAMED_TUPLE = re.compile(r"\(\s*[A-Za-z](?:_\{\w+\})?(?:,[A-Za-z](?:_\{\w+\})?)+\s*\)=(?P<value>\(.*\))")
_RELATION = re.compile(r"[<>]|\\(?:le|ge|in)(?![a-z])")
_COMMA_NUMBERS = re.compile(r"-?\d+(?:,-?\d+)+")


def read(gold: str) -> Group | None:
    if match := _NAMED_TUPLE.fullmatch(gold):
        gold = match["value"]
    if match := _CASES.fullmatch(gold):
        if "&" in match["rows"] or "=" not in match["rows"]:
            return None
        parts = [part.strip().rstrip(",").strip() for part in match["rows"].split(r"\\")]
        return Group("", tuple(filter(None, parts)), "")
    return read_group(gold)


def are_equal(gold: Group, answer: str, comparison: Comparison) -> bool:
    found = read(answer)
    if found is None or (
        found.opening in {"", r"\{"} and _RELATION.search(answer) and not _RELATION.search(str(gold.parts))
    ):
        return _is_single_equal(gold, answer, comparison)
    if not _have_compatible_brackets(gold, found) or len(gold.parts) != len(found.parts):
        return False
    gold_named, answer_named = _by_name(gold.parts), _by_name(found.parts)
    if gold.is_unordered and not comparison.ordered and not gold_named:
        return _match_in_any_order(gold.parts, found.parts, comparison)
    pairs = list(zip(gold_named or gold.parts, answer_named or found.parts, strict=True))
    return _all_equal(pairs, comparison)


def _is_single_equal(gold: Group, answer: str, comparison: Comparison) -> bool:
    r"""A single thing: `5` for `\{5\}`, or a relation for an open interval that may also be a point."""
    if gold.opening == r"\{" and len(gold.parts) == 1:
        return comparison.same(gold.parts[0], answer)
    if (gold.opening, gold.closing) == ("(", ")") and len(gold.parts) == 2 and _RELATION.search(answer):
        interval, found = read_region(f"({gold.parts[0]},{gold.parts[1]})"), read_region(answer)
        if interval is not None and found is not None:
            return are_regions_equal(interval, found)
    raise NotOfTypeError


def _by_name(parts: Sequence[str]) -> list[str] | None:
    """`y=3`, `x=2` in the order of their names; None unless each part has a name of its own."""
    names = [named[0] for named in map(split_name, parts) if named]
    if len(set(names)) != len(parts):
        return None
    return [part for _, part in sorted(zip(names, parts, strict=True))]


def _have_compatible_brackets(gold: Group, answer: Group) -> bool:
    if (gold.opening, gold.closing) == (answer.opening, answer.closing):
        return True
    if answer.opening == "":
        return (gold.opening, gold.closing) in {("(", ")"), (r"\{", r"\}"), (r"\langle", r"\rangle")}
    if gold.opening == "":
        return answer.opening == r"\{" or (answer.opening, answer.closing) == ("(", ")")
    return {gold.opening, answer.opening} == {"(", r"\langle"} and "]" not in {gold.closing, answer.closing}


def _all_equal(pairs: list[tuple[str, str]], comparison: Comparison) -> bool:
    """Whether every pair is equal; algebra is asked for only when nothing plainer has already said no."""
    needs_algebra = False
    for gold, answer in pairs:
        try:
            if not comparison.same(gold, answer):
                return False
        except NeedsAlgebraError:
            needs_algebra = True
    if needs_algebra:
        raise NeedsAlgebraError
    return True


def _match_in_any_order(gold: Sequence[str], answer: Sequence[str], comparison: Comparison) -> bool:
    """Whether each gold part pairs off with one answer part; equality is transitive, so the first fit will do."""
    remaining = list(answer)
    different = []
    for part in gold:
        if part in remaining:
            remaining.remove(part)
        else:
            different.append(part)
    needs_algebra = False
    for part in different:
        fit, is_undecided = _first_fit(part, remaining, comparison)
        if fit is not None:
            remaining.pop(fit)
        elif not is_undecided:
            return False
        needs_algebra |= fit is None
    if needs_algebra:
        raise NeedsAlgebraError
    return True


def _first_fit(part: str, candidates: list[str], comparison: Comparison) -> tuple[int | None, bool]:
    """Where `part` fits, if anywhere, and whether only algebra can tell."""
    is_undecided = False
    for index, candidate in enumerate(candidates):
        try:
            if comparison.same(part, candidate):
                return index, is_undecided
        except NotOfTypeError:
            continue
        except NeedsAlgebraError:
            is_undecided = True
    return None, is_undecided


TYPE = AnswerType("list, set or tuple", read, are_equal)
