"""`tasks:linear_equation?level=2&n=5000&seed=1&split=train`: problems of this package's own families."""

from __future__ import annotations

from typing import Any

from open_r1.configs.references import SourceReference
from open_r1.errors import DataError, nearest
from open_r1.tasks import draw_problems, families, get_family

PREFIX = "tasks"
DEFAULT_N = 1000
MAX_N = 10_000_000
SPLITS = ("train", "held_out")


def load(source: SourceReference) -> list[dict[str, Any]]:
    """Problems with the columns prompt, solution, family, difficulty."""
    what = source.what
    source.require_known(("level", "n", "seed", "split"))
    family = get_family(f"{what}s" if f"{what}s" in families() else what)  # singular or plural
    split = source.options.get("split", "train")
    if split not in SPLITS:
        raise DataError(
            f"'{source.written}' asks for the split '{split}'{nearest(split, SPLITS)} Splits: {', '.join(SPLITS)}."
        )
    n, seed = (source.whole_number(key, default, most=MAX_N) for key, default in (("n", DEFAULT_N), ("seed", 0)))
    return [
        {
            "prompt": problem.prompt,
            "solution": problem.gold,
            "family": problem.family,
            "difficulty": problem.difficulty,
        }
        for problem in draw_problems(family, n, split, seed, read_levels(source))
    ]


def read_levels(source: SourceReference) -> tuple[int, int] | None:
    """`2` or `2-4`, None for all levels."""
    text = source.options.get("level")
    if text is None:
        return None
    low, _, high = text.partition("-")
    try:
        return int(low), int(high or low)
    except ValueError:
        raise DataError(
            f"'{source.written}' has level={text}, which is neither a number nor a range; write level=2 or level=2-4."
        ) from None
