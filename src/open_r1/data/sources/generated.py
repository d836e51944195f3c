"""Rows that are made rather than read: problems of this package's own families, and of reasoning-gym.

tasks:linear_equation?level=2&n=5000&seed=1&split=train
reasoning_gym:chain_sum?size=1000&seed=1&min_terms=3
"""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from open_r1.errors import DataError, nearest
from open_r1.tasks import draw_problems, families, get_family

if TYPE_CHECKING:
    from datasets import Dataset

DEFAULT_N = 1000
MOST = 10_000_000
SPLITS = ("train", "held_out")


def is_generated(name: str) -> bool:
    """Whether a name asks for problems to be made."""
    return name.partition(":")[0] in GENERATORS and ":" in name


def generate(name: str) -> Dataset:
    """The rows that a name of the form `generator:what?key=value&…` asks for. DataError says what it can't be."""
    from datasets import Dataset

    generator, _, rest = name.partition(":")
    what, _, query = rest.partition("?")
    try:
        options = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
    except ValueError:
        raise DataError(f"'{name}' is not of the form {generator}:NAME?key=value&key=value; mend it.") from None
    return Dataset.from_list(GENERATORS[generator](name, what, options))


def generate_tasks(name: str, what: str, options: dict[str, str]) -> list[dict[str, Any]]:
    """Problems of a family of `tasks`, with the columns prompt, solution, family, difficulty."""
    known = ("level", "n", "seed", "split")
    _require_known(name, options, known)
    family = get_family(f"{what}s" if f"{what}s" in families() else what)  # one problem or many
    split = options.get("split", "train")
    if split not in SPLITS:
        raise DataError(f"'{name}' asks for the split '{split}'{nearest(split, SPLITS)} Splits: {', '.join(SPLITS)}.")
    problems = draw_problems(
        family,
        _number(name, options, "n", DEFAULT_N),
        split,
        _number(name, options, "seed", 0),
        _levels(name, options.get("level")),
    )
    return [
        {
            "prompt": problem.prompt,
            "solution": problem.gold,
            "family": problem.family,
            "difficulty": problem.difficulty,
        }
        for problem in problems
    ]


def _levels(name: str, text: str | None) -> tuple[int, int] | None:
    """`2` or `2-4`."""
    if text is None:
        return None
    low, _, high = text.partition("-")
    try:
        return int(low), int(high or low)
    except ValueError:
        raise DataError(
            f"'{name}' has level={text}, which is no number and no range; write level=2 or level=2-4."
        ) from None


def generate_reasoning_gym(name: str, what: str, options: dict[str, str]) -> list[dict[str, Any]]:
    """Problems of reasoning-gym, with the columns prompt, solution, and `reasoning_gym`: what its scorer needs."""
    try:
        import reasoning_gym
        from reasoning_gym.factory import DATASETS
    except ModuleNotFoundError as error:
        raise DataError(f"'{name}' needs reasoning-gym; run in the checkout: pip install -e '.[gym]'.") from error

    if what not in DATASETS:
        raise DataError(f"'{name}': reasoning-gym has no data set '{what}'{nearest(what, DATASETS)}")
    _, config_class = DATASETS[what]
    known = inspect.signature(config_class).parameters
    _require_known(name, options, tuple(known))
    try:
        values = {key: json.loads(value) for key, value in options.items()}
    except ValueError as error:
        raise DataError(
            f"'{name}' has an option that is no JSON value: {error}; write numbers, true, \"text\", [1, 2]."
        ) from None
    try:
        entries = list(reasoning_gym.create_dataset(what, **{"size": DEFAULT_N, "seed": 0, **values}))
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


GENERATORS = {"tasks": generate_tasks, "reasoning_gym": generate_reasoning_gym}


def _require_known(name: str, options: dict[str, str], known: tuple[str, ...]) -> None:
    for key in options:
        if key not in known:
            raise DataError(f"'{name}' has an unknown option '{key}'{nearest(key, known)} Known: {', '.join(known)}.")


def _number(name: str, options: dict[str, str], key: str, default: int) -> int:
    text = options.get(key, str(default))
    if not text.isdecimal() or int(text) > MOST:
        raise DataError(f"'{name}' has {key}={text}, which is not a whole number from 0 to {MOST:,}; mend it.")
    return int(text)
