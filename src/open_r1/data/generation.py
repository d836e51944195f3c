"""Traces from a teacher, many for each problem, into a folder that may be left and taken up at any moment.

    <output_dir>/
      traces.jsonl    a line a sample: its key, tokens, finish reason, text, provenance, the problem's own columns
      failed.jsonl    samples that could not be drawn, and why; the next run tries them again
      identity.json   the settings that make two runs the same
      summary.json    counts, tokens, cost
      provenance.json how the traces came to be, for the card of a data set made of them
      done.json       written last, when every sample is there

A sample's key is (problem id, sample index). What is in traces.jsonl is never drawn again, what is not there is drawn, so
that the same command goes on after any kill, and asking for more samples or more problems later adds just those. Lines are
handed to the kernel as they come and synced to the disk every `sync_s` seconds. Memory does not grow with the number or the
length of the traces: problems are streamed, replies are written at once.

Does not: judge what was written (`data verify`), or know how a model is reached (`generation`).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from open_r1.data.problems import ProblemSet, TraceProblem
from open_r1.data.progress import Prices, Progress, in_words
from open_r1.data.provenance import Step, steps_behind, write_steps
from open_r1.data.traces import encode_columns, locate_traces, read_heads, share_out, to_line
from open_r1.errors import ConfigError, RunError
from open_r1.generation import Completer, EndpointsGone, Reply, RequestFailed, Sampling
from open_r1.rundir import LineAppender, RunDir, read_json, read_jsonl, write_json, write_jsonl

if TYPE_CHECKING:
    import numpy as np

logger = logging.getLogger(__name__)

TOLD_BY_CARD = "problems samples samples_missing finish_reasons prompt_tokens completion_tokens cost".split()

TRACES, FAILED, SUMMARY, DONE = "traces.jsonl", "failed.jsonl", "summary.json", "done.json"


@dataclass(frozen=True)
class TraceSettings:
    """What to draw. `samples_per_request` above 1 asks for several choices at once, where a server can."""

    num_samples: int = 1
    temperature: float = 0.6
    top_p: float = 0.95
    max_new_tokens: int = 8192
    seed: int = 0
    samples_per_request: int = 1
    prices: Prices = field(default_factory=Prices)
    max_cost: float | None = None
    sync_s: float = 1.0

    def __post_init__(self) -> None:
        Sampling(self.num_samples, self.temperature, self.top_p, self.max_new_tokens)  # its checks are ours
        if self.samples_per_request < 1:
            raise ConfigError(f"samples_per_request must be at least 1, but is {self.samples_per_request}.")
        for name in ("prompt", "completion"):
            price = getattr(self.prices, name)
            if price is not None and not 0 <= price < 1e12:
                raise ConfigError(f"the price of a million {name} tokens must be at least 0, but is {price:g}.")
        if self.max_cost is not None and self.prices.cost(1, 1) is None:
            raise ConfigError("max_cost needs prices to count by; give --price_prompt and --price_completion.")

    def sampling(self, problem_id: str, samples: Sequence[int]) -> Sampling:
        seed = sample_seed(self.seed, problem_id, samples[0])
        return Sampling(len(samples), self.temperature, self.top_p, self.max_new_tokens, seed)


@dataclass(frozen=True, slots=True)
class Ask:
    """Samples of one problem to ask for in one request."""

    problem: TraceProblem
    samples: tuple[int, ...]
    columns: bytes


class TraceRun:
    """One process's work on a folder of traces, which it must hold locked."""

    def __init__(
        self,
        folder: Path,
        problems: ProblemSet,
        settings: TraceSettings,
        completer: Completer,
        show: Callable[[Progress], None] = lambda progress: None,
        show_every_s: float = 10.0,
        command: str = "",
    ) -> None:
        self.command = command
        self.folder, self.problems, self.settings, self.completer = folder, problems, settings, completer
        self.show, self.show_every_s = show, show_every_s
        self.progress = Progress(
            problems.survey.num_problems * settings.num_samples,
            settings.prices,
            in_flight=lambda: getattr(completer, "tokens_in_flight", 0),
            max_new_tokens=settings.max_new_tokens,
        )
        self.stopped_by: RunError | None = None
        self.flushing = False

    def run(self) -> dict[str, Any]:
        """Draw what is missing; returns the summary. RunError when not everything could be drawn."""
        self.traces = LineAppender(self.folder / TRACES)
        self.failed = LineAppender(self.folder / FAILED)
        self.done = self.survey_traces()
        self.progress.begin()
        try:
            if self.progress.done < self.progress.wanted:
                (self.folder / DONE).unlink(missing_ok=True)
                asyncio.run(self.draw_all())
        finally:
            self.traces.close()
            self.failed.close()
            summary = self.write_summary()
        if self.stopped_by is not None:
            raise RunError(f"{self.stopped_by}; {self.how_to_go_on()}")
        if not summary["samples_missing"]:
            write_json(self.folder / DONE, {"samples": summary["samples"]})
        return summary

    def how_to_go_on(self) -> str:
        there = f"{self.progress.done:,} of {self.progress.wanted:,} samples are in '{self.folder / TRACES}'"
        command = f": {self.command}" if self.command else "."
        return f"{there}. To go on with the rest, mend that and run the same command again{command}"

    def survey_traces(self) -> np.ndarray:
        """A flag for each sample that is there; those of problems or indexes no longer asked for stay, and are told."""
        import numpy as np

        if self.traces.cut:
            logger.info("a torn last line of %d bytes was cut off; its sample is drawn again", self.traces.cut)
        done = np.zeros(self.progress.wanted, dtype=bool)
        foreign = repeated = 0
        for _, head, place in locate_traces(self.traces.path, self.problems.locate(), self.settings.num_samples):
            if place < 0:
                foreign += 1
            elif done[place]:
                repeated += 1
            else:
                done[place] = True
                self.progress.count(head.prompt_tokens, head.completion_tokens, head.finish_reason)
        if foreign:
            logger.info("%d traces are of problems or sample indexes that are not asked for; they stay", foreign)
        if repeated:
            logger.warning("%d lines of %s repeat the sample of an earlier line", repeated, self.traces.path)
        return done

    async def draw_all(self) -> None:
        """Start the completer, keep its places busy until nothing is missing, and stop in good order whatever happens."""
        self.main_task: asyncio.Task[Any] = asyncio.current_task()  # type: ignore[assignment]
        for notice in await self.completer.start():
            logger.warning("%s", notice)
        asks = self.missing()
        workers = [asyncio.create_task(self.work(asks)) for _ in range(self.completer.concurrency)]
        helpers = [asyncio.create_task(self.sync_often()), asyncio.create_task(self.show_often())]
        terminated = RunError("SIGTERM came")
        with contextlib.suppress(ValueError, RuntimeError, NotImplementedError):  # only the main thread has signals
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.stop, terminated)
        try:
            await asyncio.gather(*workers)
        except asyncio.CancelledError:
            if self.stopped_by is None:
                raise
        except (EndpointsGone, CostReached) as stop:
            self.stopped_by = stop
        finally:
            for task in (*workers, *helpers):
                task.cancel()
            await asyncio.gather(*workers, *helpers, return_exceptions=True)
            self.flush()
            await self.completer.close()

    def stop(self, reason: RunError) -> None:
        """End the work in good order: a full disk, or someone who wants the machine."""
        self.stopped_by = self.stopped_by or reason
        self.main_task.cancel()

    def missing(self) -> Iterator[Ask]:
        """Every sample that is not there yet, in the problems' order."""
        count, together = self.settings.num_samples, self.settings.samples_per_request
        for problem in self.problems:
            first = problem.ordinal * count
            flags = self.done[first : first + count]
            if flags.all():
                continue
            absent = [int(sample) for sample in (~flags).nonzero()[0]]
            columns = encode_columns(problem.columns)
            for start in range(0, len(absent), together):
                yield Ask(problem, tuple(absent[start : start + together]), columns)

    async def work(self, asks: Iterator[Ask]) -> None:
        """One place in flight: request after request."""
        for ask in asks:
            wanted = ask.samples
            while wanted:
                sampling = self.settings.sampling(ask.problem.id, wanted)
                try:
                    reply = await self.completer.complete(ask.problem.messages, sampling)
                except RequestFailed as failure:
                    self.note_failure(ask.problem, wanted, failure)
                    break
                self.keep(ask, wanted, reply)
                wanted = wanted[len(reply.completions) :]

    def keep(self, ask: Ask, wanted: Sequence[int], reply: Reply) -> None:
        """Write a reply's samples; the tokens of several are shared out by their lengths, so that sums stay right."""
        samples = wanted[: len(reply.completions)]
        shares = share_out(reply.completion_tokens, [len(completion.text) for completion in reply.completions])
        for position, (sample, completion) in enumerate(zip(samples, reply.completions, strict=True)):
            prompt_tokens = reply.prompt_tokens if position == 0 or reply.prompt_tokens is None else 0
            row = {
                "problem_id": ask.problem.id,
                "sample": sample,
                "prompt_tokens": prompt_tokens,
                "completion_tokens": shares[position],
                "finish_reason": completion.finish_reason,
                "completion": completion.text,
                "model": reply.model,
                "endpoint": reply.endpoint,
                "seed": reply.seed,
                "seconds": round(reply.seconds, 3),
                "attempts": reply.attempts,
                "request_samples": len(reply.completions),
            }
            self.traces.add(to_line(row, ask.columns))
            self.progress.count(prompt_tokens, shares[position], completion.finish_reason)
        self.progress.retries += reply.attempts - 1
        self.flush_soon()
        self.check_cost()

    def check_cost(self) -> None:
        limit = self.settings.max_cost
        if limit is not None and (cost := self.progress.cost) is not None and cost >= limit:
            raise CostReached(f"the cost of {cost:,.2f} has reached --max_cost {limit:g}")

    def note_failure(self, problem: TraceProblem, samples: Sequence[int], failure: RequestFailed) -> None:
        for sample in samples:
            row = {
                "problem_id": problem.id,
                "sample": sample,
                "reason": failure.reason,
                "detail": failure.detail,
                "endpoint": failure.endpoint,
                "attempts": failure.attempts,
            }
            self.failed.add(to_line(row))
            self.progress.failures[failure.reason] += 1
        self.flush_soon()

    def flush_soon(self) -> None:
        """Write when this round of the event loop ends: together with what else has just come, and before any wait."""
        if not self.flushing:
            self.flushing = True
            asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        self.flushing = False
        try:
            self.traces.flush()
            self.failed.flush()
        except RunError as error:
            self.stop(error)

    async def sync_often(self) -> None:
        while True:
            await asyncio.sleep(self.settings.sync_s)
            try:
                await asyncio.to_thread(self.traces.sync)
            except RunError as error:
                self.stop(error)

    async def show_often(self) -> None:
        while True:
            await asyncio.sleep(self.show_every_s)
            self.show(self.progress)

    def write_summary(self) -> dict[str, Any]:
        """summary.json, and failed.jsonl with the samples that are still missing alone."""
        progress = self.progress
        failures = self.compact_failures()
        summary = {
            "model": self.completer.model,
            "problems": self.problems.survey.num_problems,
            "problems_left_out": self.problems.survey.unusable,
            "num_samples": self.settings.num_samples,
            "samples": progress.done,
            "samples_missing": progress.wanted - progress.done,
            "failed": dict(failures.most_common()),
            "finish_reasons": dict(progress.finish_reasons.most_common()),
            "prompt_tokens": progress.prompt_tokens,
            "completion_tokens": progress.completion_tokens,
            "cost": progress.cost,
            "last_run": {
                "samples": progress.done - progress.earlier,
                "asked_again": progress.retries,
                "seconds": round(progress.seconds, 2),
            },
        }
        write_json(self.folder / SUMMARY, summary)
        self.write_provenance(summary)
        return summary

    def write_provenance(self, summary: dict[str, Any]) -> None:
        source = self.problems.source.name
        settings = identity_of(self.problems, self.settings, self.completer) | {"samples": self.settings.num_samples}
        step = Step("generate", source, settings, {name: summary[name] for name in TOLD_BY_CARD})
        write_steps(self.folder, [*steps_behind(source), step])

    def compact_failures(self) -> Counter[str]:
        """Keep each missing sample's last failure; returns the count of each reason."""
        latest: dict[tuple[str, int], dict[str, Any]] = {}
        for row in read_jsonl(self.folder / FAILED):
            latest[row["problem_id"], row["sample"]] = row
        if not latest:
            return Counter()
        keys = ((head.problem_id, head.sample) for _, head in read_heads(self.traces.path))
        drawn = {key for key in keys if key in latest}
        left = [row for key, row in latest.items() if key not in drawn]
        write_jsonl(self.folder / FAILED, left)
        return Counter(row["reason"] for row in left)


class CostReached(RunError):
    """The limit of cost that the user set."""


def draw_traces(
    folder: Path,
    problems: ProblemSet,
    settings: TraceSettings,
    completer: Completer,
    show: Callable[[Progress], None] = lambda progress: None,
    show_every_s: float = 10.0,
    extra_identity: dict[str, Any] | None = None,
    overwrite: bool = False,
    command: str = "",
) -> dict[str, Any]:
    """Draw every missing trace into a folder; see the module. Returns the summary.

    RunFolderError when the folder is in use or holds traces of other settings; RunError, which says how to go on, when
    the work ends before everything is drawn.
    """
    identity = identity_of(problems, settings, completer) | (extra_identity or {})
    with RunDir(folder).claimed(identity, overwrite):
        return TraceRun(folder, problems, settings, completer, show, show_every_s, command).run()


def identity_of(problems: ProblemSet, settings: TraceSettings, completer: Completer) -> dict[str, Any]:
    """What must not change between the runs of one folder; samples and problems may be added."""
    source = problems.source
    return {
        "model": completer.model,
        "prompt_column": problems.prompt_column,
        "id_column": source.id_column,
        "prompt_template": source.prompt_template,
        "system_prompt": source.system_prompt,
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "max_new_tokens": settings.max_new_tokens,
        "seed": settings.seed,
    }


def held_model(folder: Path) -> str | None:
    """The model whose traces a folder holds, None where it holds none."""
    identity = RunDir(folder).identity
    return read_json(identity).get("model") if identity.exists() else None


def describe_end(summary: dict[str, Any], folder: Path) -> str:
    """The whole in a sentence."""
    cost = f", cost {summary['cost']:,.2f}" if summary["cost"] is not None else ""
    last = summary["last_run"]
    return (
        f"{summary['samples']:,} traces of {summary['problems']:,} problems in {folder / TRACES} "
        f"({last['samples']:,} drawn now in {in_words(last['seconds'])}; {summary['completion_tokens']:,} tokens{cost})"
    )


def sample_seed(seed: int, problem_id: str, sample: int) -> int:
    """A seed of its own for each sample, the same on every run."""
    words = f"{seed}\n{problem_id}\n{sample}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(words, digest_size=4).digest()) % 2**31
