"""Whether a program's output is the expected output.

Does: compare whole outputs, by tokens, lines, bytes or numbers, in time linear in their size, and say where they first
differ. Does not: run anything, or know what a difference is worth (`judge`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Mode = Literal["tokens", "lines", "exact", "numeric"]


@dataclass(frozen=True)
class Comparison:
    """How outputs are compared.

    Args:
        mode: "tokens": what stands between white space, as most judges do it. "lines": line by line, but white space
            at a line's end and empty lines at the end don't count. "exact": every byte. "numeric": by tokens, of which
            those that are numbers may differ by a tolerance.
        absolute, relative: The tolerance: |a - b| ≤ max(absolute, relative · |expected|).
        ignores_case: Letters of either case are the same; never with "exact".
    """

    mode: Mode = "tokens"
    absolute: float = 1e-9
    relative: float = 1e-9
    ignores_case: bool = False
