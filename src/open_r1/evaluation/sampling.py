"""Samples of a benchmark's problems, durably: each is on disk before the next is asked for, none is generated twice.

<folder>/<mode>/traces.jsonl has a line a sample, keyed by problem and index (`data.generation`, whose code this is).
"""

from __future__ import annotations

import hashlib
import json
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from open_r1.data.generation import FAILED, REFUSALS, TRACES, TraceRun, TraceSettings
from open_r1.data.problems import Locator, Survey, TraceProblem
from open_r1.data.progress import Progress
from open_r1.data.values import hash_text
from open_r1.errors import RunError
from open_r1.evaluation.benchmarks.base import PLACE
from open_r1.generation import Completer, Sampling
from open_r1.generation.protocol import to_messages
from open_r1.records import Problem
from open_r1.rundir import index_rows, read_jsonl, read_row

SHOW_EVERY_S = 1.0  # how often progress is reported; whoever shows it may leave reports out


@dataclass(frozen=True)
class Mode:
    """A named way of sampling: "greedy", or "sampled" at a temperature."""

    name: str
    sampling: Sampling


OnProgress = Callable[[str], None]
"""Called with a line: the benchmark, the mode, how many samples there are, tokens a second, the time left."""


def at_most_every(seconds: float, on_progress: OnProgress, clock: Callable[[], float] = time.monotonic) -> OnProgress:
    """`on_progress` for logs, where every report stays: called after `seconds`, and then so far apart."""
    next_at = clock() + seconds

    def show(line: str) -> None:
        nonlocal next_at
        if clock() >= next_at:
            next_at = clock() + seconds
            on_progress(line)

    return show


class AskedProblems:
    """A benchmark's problems in the shape of `data.problems.ProblemSet`."""

    def __init__(self, problems: Sequence[Problem], system_prompt: str | None) -> None:
        self.problems, self.system_prompt = problems, system_prompt
        self.survey = Survey(array("Q", (hash_text(problem.id) for problem in problems)))

    def __iter__(self) -> Iterator[TraceProblem]:
        for ordinal, problem in enumerate(self.problems):
            yield TraceProblem(ordinal, problem.id, to_messages(problem.prompt, self.system_prompt), {})

    def locate(self) -> Locator:
        """A locator that finds samples by the problems' keys."""
        return Locator(self.survey.keys, by_prompt=False)


def sample_problems(
    folder: Path,
    problems: Sequence[Problem],
    mode: Mode,
    completer: Completer,
    system_prompt: str | None,
    show: Callable[[Progress], None],
    command: str = "",
    skip_refused: bool = False,
) -> set[str]:
    """Generate the samples that are missing in `folder`, which is locked; RunError when some failed.

    Returns the ids of the problems that the template, the model or the server refused, where these are to be skipped.
    """
    wanted, settings = mode.sampling, TraceSettings(**asdict(mode.sampling))
    folder.mkdir(exist_ok=True)
    asked: Any = AskedProblems(problems, system_prompt)
    summary = TraceRun(folder, asked, settings, completer, show, SHOW_EVERY_S, command).run()
    if skip_refused and REFUSALS.issuperset(summary["failed"]):
        return {row["problem_id"] for row in read_jsonl(folder / FAILED)}
    if summary["samples_missing"]:
        reasons = ", ".join(f"{reason} × {count}" for reason, count in summary["failed"].items())
        again = f": {command}" if command else "."
        raise RunError(
            f"{summary['samples_missing']} of {len(problems) * wanted.num_samples} samples could not be generated "
            f"({reasons}): see '{folder / FAILED}'. Fix that; the same command generates only those{again}"
        )
    return set()


def read_samples(folder: Path, problems: Sequence[Problem], num_samples: int) -> Iterator[list[dict[str, Any]]]:
    """Each problem's samples in turn, by index; texts are read from the disk as they are asked for."""
    path = folder / TRACES
    places = index_rows(path, lambda row: (row["problem_id"], row["sample"]))
    with path.open("rb") as file:
        for problem in problems:
            yield [read_row(file, places[problem.id, index]) for index in range(num_samples)]


def hash_problems(problems: Sequence[Problem]) -> str:
    """A hash of what is asked, and of what the answers are scored by."""
    digest = hashlib.sha256()
    for problem in problems:
        metadata = dict(problem.metadata)
        if PLACE in metadata:  # tests that stay in their file count by the hash of their line
            path, start = metadata.pop(PLACE)
            with Path(path).open("rb") as file:
                file.seek(start)
                metadata["line"] = hashlib.sha256(file.readline()).hexdigest()
        asked = [problem.id, problem.prompt, problem.gold, metadata]
        digest.update(json.dumps(asked, sort_keys=True, default=str).encode())
    return digest.hexdigest()[:16]
