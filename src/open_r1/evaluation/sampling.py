"""Samples of a benchmark's questions, durably: each is on disk before the next is asked for, none is drawn twice.

    <folder>/traces.jsonl    a line a sample, keyed by question and index (see `data.generation`, whose machinery this is)
    <folder>/identity.json   what must not change between the runs of one folder; more samples may be asked for later

Does not: score.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from open_r1.data.generation import TRACES, TraceRun, TraceSettings
from open_r1.data.problems import Locator, Survey, TraceProblem, key_of
from open_r1.data.progress import Progress
from open_r1.errors import RunError
from open_r1.evaluation.benchmarks import Question
from open_r1.evaluation.programs import PLACE
from open_r1.generation import Completer
from open_r1.generation.protocol import to_messages
from open_r1.rundir import RunDir, index_rows, read_row


class AskedQuestions:
    """A benchmark's questions in the shape of `data.problems.ProblemSet`."""

    def __init__(self, questions: Sequence[Question], system_prompt: str | None) -> None:
        self.questions, self.system_prompt = questions, system_prompt
        self.survey = Survey(array("Q", (key_of(question.id) for question in questions)))

    def __iter__(self) -> Iterator[TraceProblem]:
        for ordinal, question in enumerate(self.questions):
            yield TraceProblem(ordinal, question.id, to_messages(question.prompt, self.system_prompt), {})

    def locate(self) -> Locator:
        return Locator(self.survey.keys, by_prompt=False)


class SampleRun(TraceRun):
    """A run on a folder of samples; where they are from is told by the evaluation's own records."""

    def write_provenance(self, summary: dict[str, Any]) -> None:
        pass


def hash_questions(questions: Sequence[Question]) -> str:
    """What tells two sets of questions apart, and what their answers are scored by."""
    digest = hashlib.sha256()
    for question in questions:
        asked = [question.id, question.prompt, question.gold, columns_of(question)]
        digest.update(json.dumps(asked, sort_keys=True, default=str).encode())
    return digest.hexdigest()[:16]


def columns_of(question: Question) -> dict[str, Any]:
    """What the scorer needs; what it reads from a file's line only then is told by that line's hash."""
    columns = dict(question.columns)
    if PLACE not in columns:
        return columns
    path, start, length = columns.pop(PLACE)
    with Path(path).open("rb") as file:
        file.seek(start)
        return columns | {"line": hashlib.sha256(file.read(length)).hexdigest()}


def draw_samples(
    folder: Path,
    questions: Sequence[Question],
    settings: TraceSettings,
    completer: Completer,
    identity: dict[str, Any],
    system_prompt: str | None = None,
    show: Callable[[Progress], None] = lambda progress: None,
    command: str = "",
) -> None:
    """Draw what is missing. RunError, which says how to go on, when not every sample could be drawn."""
    with RunDir(folder).claimed(identity):
        problems: Any = AskedQuestions(questions, system_prompt)
        summary = SampleRun(folder, problems, settings, completer, show, command=command).run()
    if summary["samples_missing"]:
        reasons = ", ".join(f"{reason} × {count}" for reason, count in summary["failed"].items())
        again = f": {command}" if command else "."
        raise RunError(
            f"{summary['samples_missing']} of {len(questions) * settings.num_samples} samples could not be drawn "
            f"({reasons}): see '{folder / 'failed.jsonl'}'. Mend that, and the same command draws just those{again}"
        )


def read_samples(folder: Path, questions: Sequence[Question], num_samples: int) -> Iterator[list[dict[str, Any]]]:
    """Each question's samples in turn, by index; texts are read from the disk as they are asked for."""
    path = folder / TRACES
    places = index_rows(path, lambda row: (row["problem_id"], row["sample"]))
    with path.open("rb") as file:
        for question in questions:
            yield [read_row(file, places[question.id, index]) for index in range(num_samples)]
