"""`reasoning_gym:chain_sum?size=1000&seed=1&min_terms=3`: problems of reasoning-gym, scored by the reward reasoning_gym."""

from __future__ import annotations

import inspect
import json
from typing import Any

from open_r1.configs.references import SourceReference
from open_r1.errors import DataError, nearest

PREFIX = "reasoning_gym"
DEFAULT_SIZE = 1000


def load(source: SourceReference) -> list[dict[str, Any]]:
    """Problems with the columns prompt, solution, family, and `reasoning_gym`: what its scorer needs."""
    name, what = source.written, source.what
    try:
        import reasoning_gym
        from reasoning_gym.factory import DATASETS
    except ModuleNotFoundError as error:
        raise DataError(f"'{name}' needs reasoning-gym; run in the checkout: pip install -e '.[gym]'.") from error

    if what not in DATASETS:
        raise DataError(f"'{name}': reasoning-gym has no data set '{what}'{nearest(what, DATASETS)}")
    _, config_class = DATASETS[what]
    source.require_known(tuple(inspect.signature(config_class).parameters))
    try:
        values = {key: json.loads(value) for key, value in source.options.items()}
    except ValueError as error:
        raise DataError(
            f"'{name}' has an option that is not a JSON value: {error}; write numbers, true, \"text\", [1, 2]."
        ) from None
    try:
        entries = list(reasoning_gym.create_dataset(what, **{"size": DEFAULT_SIZE, "seed": 0, **values}))
    except (AssertionError, TypeError, ValueError) as error:
        raise DataError(f"'{name}' asks for what reasoning-gym refuses: {error}; change that option.") from error
    return [
        {
            "prompt": entry["question"],
            "solution": str(entry["answer"]),
            "family": what,
            "reasoning_gym": json.dumps({"task": what, "entry": entry}, default=str),
        }
        for entry in entries
    ]
