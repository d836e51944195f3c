"""What a reward is: a function of completions and data columns that gives each sample an `Outcome`.

    reward(completions, **columns)        -> list[float | None]     what TRL calls; None is unscored
    reward.score(completions, **columns)  -> list[Outcome]          the same with a reason for each sample
    reward.__name__                       -> "accuracy_reward"      what logs call it
    reward.needs_columns                  -> ("solution",)          what the data must have

`completions` are chats `[{"role": ..., "content": ...}]` or plain strings. Every data column comes as a keyword, and so
may whatever a trainer adds; a reward ignores those that it does not know.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from open_r1.errors import DataError
from open_r1.records import Outcome

Completion = str | Sequence[Mapping[str, Any]]
Columns = Mapping[str, Any]
Scorer = Callable[[list[str], Columns], list[Outcome]]

FROM_TRAINER = frozenset({"prompts", "completions", "completion_ids"})
"""Columns that a trainer makes; the data need not have them."""

NOT_APPLICABLE = "not_applicable"
"""The reason of a sample that a reward has nothing to say about, such as a maths problem to a code reward.

It is not a failure, unlike every other reason without a value. A user's own reward says it by returning None, as in TRL;
one that failed returns `Outcome(None, "why")`.
"""


class RewardFunction:
    """A reward in the shape TRL calls, over a `Scorer` that explains itself.

    Args:
        name: Its `__name__`, as metrics and rollouts call it.
        scorer: Given the completions' texts and all columns; returns an outcome for each.
        needs_columns: The columns that must be there, in the order in which they may be given by position.
        needs_completions: False for a reward of token ids alone, whose first positional argument is its first column.
    """

    def __init__(
        self, name: str, scorer: Scorer, needs_columns: tuple[str, ...] = (), needs_completions: bool = True
    ) -> None:
        self.__name__ = name
        self.needs_columns = needs_columns
        self._scorer = scorer
        self._positional = ("completions", *needs_columns) if needs_completions else needs_columns

    def __call__(self, *args: Any, **columns: Any) -> list[float | None]:
        return [outcome.value for outcome in self.score(*args, **columns)]

    def __repr__(self) -> str:
        return f"<reward {self.__name__}>"

    def score(self, *args: Any, **columns: Any) -> list[Outcome]:
        """An outcome for each completion. DataError when a column it needs isn't there or has another length."""
        columns |= dict(zip(self._positional, args, strict=False))
        return self._scorer(self.texts_of(columns), columns)

    def texts_of(self, columns: Columns) -> list[str]:
        """The completions' texts; DataError as for `score`."""
        missing = [name for name in self._positional if columns.get(name) is None]
        if missing:
            raise DataError(
                f"{self.__name__} needs the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}, but the data "
                f"have {', '.join(sorted(columns)) or 'no columns'}; rename a column or choose another reward."
            )
        lengths = {name: len(columns[name]) for name in self._positional}
        if len(set(lengths.values())) > 1:
            raise DataError(f"{self.__name__} was given columns of different lengths: {lengths}.")
        return [text_of(completion) for completion in columns.get("completions") or ()]


def text_reward(name: str, outcome_of: Callable[[str], Outcome]) -> RewardFunction:
    """A reward that follows from each completion's text alone."""
    return RewardFunction(name, lambda texts, columns: list(map(outcome_of, texts)))


def text_of(completion: Completion) -> str:
    """The text of a completion: a string itself, or the last assistant's message of a chat; "" when there is none.

    DataError for anything else.
    """
    if isinstance(completion, str):
        return completion
    try:
        messages = [message for message in completion if message.get("role", "assistant") == "assistant"]
        return content_text(messages[-1].get("content")) if messages else ""
    except (TypeError, AttributeError):
        raise DataError(
            f"a completion is {completion!r:.100}, of type {type(completion).__name__}; "
            'give a string, or a chat as a list of {"role": ..., "content": ...}.'
        ) from None


def content_text(content: Any) -> str:
    """The text of a message's content: a string itself, the texts of its parts together, "" for none."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)


def run_awaitable(awaitable: Any) -> Any:
    """The result of an awaitable, from any thread, whether or not an event loop runs in this one."""

    async def await_it() -> Any:
        return await awaitable

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, await_it()).result()


def optional_column(columns: Columns, name: str, length: int, default: Any) -> list[Any]:
    """A column that may be missing, or contain None, as a list with the default filled in."""
    values = columns.get(name)
    if values is None:
        return [default] * length
    return [default if value is None else value for value in values]
