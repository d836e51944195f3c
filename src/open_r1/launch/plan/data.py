"""What a plan takes from the data: the rows, and the tokens of the longest prompt, where a local file is at hand."""

from __future__ import annotations

import math
from itertools import islice
from pathlib import Path
from typing import Any

from open_r1.data.mixtures import token_counter
from open_r1.data.sources import open_rows
from open_r1.hub.folders import looks_local
from open_r1.launch.plan.durations import DATA_SETS
from open_r1.launch.plan.settings import RecipeSettings

PROMPT_TOKENS = 512
"""Tokens of a prompt where neither the recipe nor the data say how many."""
CHARACTERS = 3
"""Characters of a token where the model's tokenizer is not at hand; English text has about four, mathematics fewer."""
TEMPLATE_TOKENS = 32
"""Tokens that a chat template puts around a prompt, at most."""


def count_rows(values: RecipeSettings) -> int | None:
    """Rows of the training data: of a local file, or of a set whose size is published; None where they are not known."""
    name = values.dataset_name
    if name in DATA_SETS:
        return DATA_SETS[name].get(values.dataset_config or "default", (None, None))[0]
    return sum(1 for _ in open_rows(str(name)).read()) if is_file(name) else None


def prompt_length(values: RecipeSettings, given: int | None) -> tuple[int, str]:
    """Tokens of the longest prompt, and the end of a sentence on where the number comes from.

    That is what is given, max_prompt_length, the longest of a local file, or PROMPT_TOKENS.
    """
    if given or values.max_prompt_length:
        return given or values.max_prompt_length or 0, ""
    longest = longest_prompt(values)
    if longest is None:
        return PROMPT_TOKENS, ", as assumed (--prompt_tokens N)"
    tokenizer = Path(values.model_name_or_path or "").expanduser() / "tokenizer.json"
    if tokenizer.is_file():
        return token_counter(str(tokenizer))([longest])[0] + TEMPLATE_TOKENS, ", as the longest of the data"
    said = f", as the longest of the data at {CHARACTERS} characters a token (--prompt_tokens N)"
    return math.ceil(len(longest) / CHARACTERS) + TEMPLATE_TOKENS, said


def longest_prompt(values: RecipeSettings) -> str | None:
    """The longest prompt of a local file, with the system prompt; None where there is no such file or column."""
    if not is_file(values.dataset_name):
        return None
    rows = islice(open_rows(str(values.dataset_name)).read(), values.max_samples)
    prompts = (text_of(row.get(values.dataset_prompt_column)) for row in rows)
    longest = max(prompts, key=len, default="")
    return f"{values.system_prompt or ''}\n{longest}" if longest else None


def text_of(prompt: Any) -> str:
    """The text of a prompt, which may be a conversation."""
    turns = prompt if isinstance(prompt, list) else [{"content": prompt}]
    return "\n".join(str(turn.get("content") or "") for turn in turns if isinstance(turn, dict))


def is_file(name: str | None) -> bool:
    """Whether a data set is a file of this machine."""
    return name is not None and looks_local(name) and Path(name).is_file()
