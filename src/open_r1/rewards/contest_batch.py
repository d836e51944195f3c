"""Scoring a batch of completions of contest problems, a bounded amount of tests at a time.

Does: bring columns back into rows, read each problem once for all its completions, judge as many problems together as
fit the budget, and record what can't be judged as unscored with its reason. Does not: know a contest (`functions`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, Protocol, TypeVar

from open_r1.execution.contests.rows import BYTES_PER_MB, ProblemError, Row
from open_r1.records import Outcome
from open_r1.rewards.base import NOT_APPLICABLE, Columns

logger = logging.getLogger(__name__)

BATCH_MB = 256
"""Problems are judged together until their tests have this size; one alone may have more."""


class Sized(Protocol):
    @property
    def size(self) -> int:
        """Bytes of its tests."""
        ...


Problem = TypeVar("Problem", bound=Sized)


class ContestBatch(Generic[Problem]):
    """How one contest scores.

    Args:
        needs: Columns of which a contest's row has some: where all are None, it is another kind of problem.
        read: A row -> its problem. ProblemError for one that can't be judged.
        judge: (problem, place) of many samples -> an outcome for each; `place` is the sample's in the batch.
    """

    def __init__(
        self,
        needs: Sequence[str],
        read: Callable[[Row], Problem],
        judge: Callable[[Sequence[tuple[Problem, int]]], list[Outcome]],
        budget_mb: float = BATCH_MB,
    ) -> None:
        self._needs, self._read, self._judge = needs, read, judge
        self._budget = budget_mb * BYTES_PER_MB

    def score(self, rows: Sequence[Row]) -> list[Outcome]:
        """An outcome for each row."""
        outcomes: dict[int, Outcome] = {}
        waiting: list[tuple[Problem, int]] = []
        waiting_bytes = 0
        for row, places in groups_of(rows):
            if all(row.get(name) is None for name in self._needs):
                outcomes |= dict.fromkeys(places, Outcome(None, NOT_APPLICABLE))
                continue
            try:
                problem = self._read(row)
            except ProblemError as error:
                warn(error)
                outcomes |= dict.fromkeys(places, Outcome(None, error.reason, {"problem": str(error)}))
                continue
            if waiting and waiting_bytes + problem.size > self._budget:
                outcomes |= self._flush(waiting)
                waiting, waiting_bytes = [], 0
            waiting += [(problem, place) for place in places]
            waiting_bytes += problem.size
        outcomes |= self._flush(waiting)
        return [outcomes[place] for place in range(len(rows))]

    def _flush(self, waiting: Sequence[tuple[Problem, int]]) -> dict[int, Outcome]:
        places = [place for _, place in waiting]
        return dict(zip(places, self._judge(waiting), strict=True)) if waiting else {}


def rows_of(columns: Columns, names: Sequence[str], count: int) -> list[Row]:
    """The named columns, those that are there, as a row for each sample."""
    present = {name: columns[name] for name in names if columns.get(name) is not None}
    return [{name: values[place] for name, values in present.items()} for place in range(count)]


def groups_of(rows: Sequence[Row]) -> Iterator[tuple[Row, list[int]]]:
    """Each run of equal rows, which is a prompt's group of completions, with its places."""
    places: list[int] = []
    for place, row in enumerate(rows):
        if places and row != rows[places[0]]:
            yield rows[places[0]], places
            places = []
        places.append(place)
    if places:
        yield rows[places[0]], places


_warned: set[str] = set()


def warn(error: ProblemError) -> None:
    """Say once why a problem can't be judged."""
    message = str(error)
    if message not in _warned:
        _warned.add(message)
        logger.warning("unscored (%s): %s", error.reason, message)
