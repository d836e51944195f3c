r"""Several things in one answer: ratios, matrices, lists, sets, tuples and vectors."""

from __future__ import annotations

import re
from collections.abc import Sequence

from open_r1.answers.equality import are_equal as are_values_equal
from open_r1.answers.formula import Node, number, read_formula
from open_r1.answers.reasons import NeedsAlgebraError, NotOfTypeError
from open_r1.answers.structure import Group, read_group, split_name, split_top, value_of_name
from open_r1.answers.types.base import AnswerType, Comparison
from open_r1.answers.types.region import are_regions_equal, read_region
from open_r1.answers.types.written import are_moments_equal, read_moment

_CLOCK = re.compile(r"\d{1,2}:[0-5]\d")
_LEADING_ZERO = re.compile(r"(?:^|:)0\d")


def read_ratio(gold: str) -> tuple[str, list[Node]] | None:
    """The ratio as it is written, and its parts."""
    parts = _ratio_parts(gold)
    return None if parts is None else (gold, parts)


def _ratio_parts(text: str) -> list[Node] | None:
    if ":" not in text or _LEADING_ZERO.search(text):
        return None
    nodes = [read_formula(part) for part in split_top(text, ":")]
    return None if len(nodes) < 2 or None in nodes else [node for node in nodes if node is not None]


def are_ratios_equal(gold: tuple[str, list[Node]], answer: str, comparison: Comparison) -> bool:
    """Whether an answer is the same ratio, scaled or not; two times of day must match part by part."""
    text, parts = gold
    if _CLOCK.fullmatch(text) and (moment := read_moment(answer)):
        return are_moments_equal(moment, text, comparison)
    found = _ratio_parts(re.sub(r"(?<=[\d})])\s*to\s*(?=[\d\\(])", ":", answer))
    if found is None and len(parts) == 2 and (fraction := read_formula(answer)) and fraction.kind == "div":
        found = list(fraction.args)
    if found is None:
        raise NotOfTypeError
    if _CLOCK.fullmatch(text) and _CLOCK.fullmatch(answer):
        return found == parts  # they may be times of day
    return len(found) == len(parts) and all(
        are_values_equal(Node("mul", (parts[0], other)), Node("mul", (first, found[0])))
        for first, other in zip(parts[1:], found[1:], strict=True)
    )


RATIO = AnswerType("ratio", read_ratio, are_ratios_equal)
"""`2:4:6` is `1:2:3`, and `1:2` may be written `1/2`."""

_MATRIX = re.compile(
    r"(?P<factor>[^&]*?)(?:\\cdot)?\s*"
    r"(?:\\begin\{(?P<kind>p?matrix)\}(?P<body>.*?)\\end\{(?P=kind)\}"
    r"|(?P<opening>[(\[])\\begin\{(?P<type>array|matrix)\}(?:\{[^{}]*\})?(?P<cells>.*?)\\end\{(?P=type)\}[)\]])",
    re.DOTALL,
)
_DECORATIONS = re.compile(r"\\hline|\\\\(?=\s*$)")

Rows = list[list[Node]]


def read_matrix(text: str) -> Rows | None:
    """The entries, row by row and multiplied by a factor before them; None unless all rows have the same length."""
    if match := _MATRIX.fullmatch(text):
        rows = [row.split("&") for row in _DECORATIONS.sub("", match["body"] or match["cells"] or "").split(r"\\")]
        return _scaled(_read_rows(rows), match["factor"].strip())
    if text.startswith("[["):
        outer = read_group(text) or None
        parts = outer.parts if outer else (text[1:-1],)
        groups = [read_group(part) for part in parts]
        if all(group is not None and group.opening == "[" for group in groups):
            return _read_rows([list(group.parts) for group in groups if group])
    return None


def _read_rows(rows: list[list[str]]) -> Rows | None:
    nodes = [[read_formula(cell.strip()) for cell in row] for row in rows]
    is_regular = len({len(row) for row in nodes}) == 1 and all(cell is not None for row in nodes for cell in row)
    return [[cell for cell in row if cell is not None] for row in nodes] if is_regular else None


def _scaled(rows: Rows | None, factor: str) -> Rows | None:
    if rows is None or not factor:
        return rows
    node = number(-1) if factor == "-" else read_formula(factor)
    return None if node is None else [[Node("mul", (node, cell)) for cell in row] for row in rows]


def are_matrices_equal(gold: Rows, answer: str, comparison: Comparison) -> bool:
    """Whether an answer is a matrix of the same shape with equal entries."""
    found = read_matrix(value_of_name(answer))
    if found is None:
        raise NotOfTypeError
    if [len(row) for row in gold] != [len(row) for row in found]:
        return False
    return all(are_values_equal(*cells) for rows in zip(gold, found, strict=True) for cells in zip(*rows, strict=True))


MATRIX = AnswerType("matrix", read_matrix, are_matrices_equal)
"""`pmatrix`, `bmatrix`, arrays in brackets and `[[1,2],[3,4]]`, with or without a factor before them. A determinant, a sum
and a product of matrices are work to be done, and not matrices."""

_CASES = re.compile(
    r"(?:\\\{)?\\begin\{(?:cases|array)\}(?:\{[lcr ]+\})?(?P<rows>.*)\\end\{(?:cases|array)\}", re.DOTALL
)
_NAMED_TUPLE = re.compile(r"\(\s*[A-Za-z](?:_\{\w+\})?(?:,[A-Za-z](?:_\{\w+\})?)+\s*\)=(?P<value>\(.*\))")
_RELATION = re.compile(r"[<>]|\\(?:le|ge|in)(?![a-z])")


def read_group_or_cases(gold: str) -> Group | None:
    """The list, set or tuple; the value of a named tuple; the equations of a system as a list."""
    if match := _NAMED_TUPLE.fullmatch(gold):
        gold = match["value"]
    if match := _CASES.fullmatch(gold):
        if "&" in match["rows"] or "=" not in match["rows"]:
            return None
        parts = [part.strip().rstrip(",").strip() for part in match["rows"].split(r"\\")]
        return Group("", tuple(filter(None, parts)), "")
    group = read_group(gold)
    if group and group.opening == r"\{" and len(group.parts) == 1:
        return read_group_or_cases(group.parts[0]) or group  # a set of one tuple
    return group


def are_groups_equal(gold: Group, answer: str, comparison: Comparison) -> bool:
    """Whether an answer has equal parts within compatible brackets, in any order where order has no meaning."""
    found = read_group_or_cases(answer)
    if found is None and (named := split_name(answer)):
        return are_groups_equal(gold, named[1], comparison)
    if found is None or (
        found.opening in {"", r"\{"} and _RELATION.search(answer) and not _RELATION.search(str(gold.parts))
    ):
        return _is_single_equal(gold, answer, comparison)
    if not gold.is_unordered and not found.opening and r"\pm" in answer:
        return False  # two values, and not a point
    if not _have_compatible_brackets(gold, found) or len(gold.parts) != len(found.parts):
        return False
    gold_named, answer_named = _by_name(gold.parts), _by_name(found.parts)
    is_tuple = found.opening == "("  # in which an order is stated
    if gold.is_unordered and not is_tuple and not comparison.ordered and not gold_named:
        return _match_in_any_order(gold.parts, found.parts, comparison)
    pairs = zip(gold_named or gold.parts, answer_named or found.parts, strict=True)
    verdicts = {_verdict(*pair, comparison) for pair in pairs}
    return False not in verdicts and _settled(verdicts)  # algebra only where nothing plainer has already said no


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


def _match_in_any_order(gold: Sequence[str], answer: Sequence[str], comparison: Comparison) -> bool:
    """Whether each gold part pairs off with one answer part; equality is transitive, so the first fit will do."""
    remaining = list(answer)
    verdicts: set[bool | None] = set()
    for part in sorted(gold, key=lambda part: part not in remaining):
        found = [_verdict(part, candidate, comparison) for candidate in remaining]
        if True in found:
            remaining.pop(found.index(True))
        elif None not in found:
            return False
        else:
            verdicts.add(None)
    return _settled(verdicts)


def _verdict(gold: str, answer: str, comparison: Comparison) -> bool | None:
    try:
        return gold == answer or comparison.same(gold, answer)
    except NotOfTypeError:
        return False
    except NeedsAlgebraError:
        return None


def _settled(verdicts: set[bool | None]) -> bool:
    if None in verdicts:
        raise NeedsAlgebraError
    return True


GROUP = AnswerType("list, set or tuple", read_group_or_cases, are_groups_equal)
r"""`1, 2`, `\{1,2\}`, `(1,2)`, `\langle1,2\rangle`, `x=1, y=2`, `red and blue`. A list without brackets is compared in
any order unless the data say `ordered`; a set always is, a tuple never. The brackets of a set or a tuple may be left out."""
