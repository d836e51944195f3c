r"""Matrices: `pmatrix`, `bmatrix`, `matrix`, arrays in brackets and `[[1,2],[3,4]]`, with or without a factor before them.

A determinant (`vmatrix`), a sum and a product of matrices are work to be done, and not matrices.
"""

from __future__ import annotations

import re

from open_r1.answers.equality import are_equal as are_values_equal
from open_r1.answers.evaluation import TooLargeError, UndefinedError
from open_r1.answers.formula import Node, read_formula
from open_r1.answers.names import value_of_name
from open_r1.answers.structure import read_group
from open_r1.answers.types.base import AnswerType, Comparison, NotOfTypeError

_MATRIX = re.compile(
    r"(?P<factor>[^&]*?)(?:\\cdot)?\s*"
    r"(?:\\begin\{(?P<kind>p?matrix)\}(?P<body>.*?)\\end\{(?P=kind)\}"
    r"|(?P<opening>[(\[])\\begin\{array\}(?:\{[^{}]*\})?(?P<cells>.*?)\\end\{array\}[)\]])",
    re.DOTALL,
)
_DECORATIONS = re.compile(r"\\hline|\\\\(?=\s*$)")

Rows = list[list[Node]]


def read(text: str) -> Rows | None:
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
    node = Node("neg", (read_formula("1") or Node("number"),)) if factor == "-" else read_formula(factor)
    return None if node is None else [[Node("mul", (node, cell)) for cell in row] for row in rows]


def are_equal(gold: Rows, answer: str, comparison: Comparison) -> bool:
    found = read(value_of_name(answer))
    if found is None:
        raise NotOfTypeError
    if [len(row) for row in gold] != [len(row) for row in found]:
        return False
    try:
        return all(
            are_values_equal(*cells) for rows in zip(gold, found, strict=True) for cells in zip(*rows, strict=True)
        )
    except (TooLargeError, UndefinedError):
        raise NotOfTypeError(is_broken=True) from None


TYPE = AnswerType("matrix", read, are_equal)
