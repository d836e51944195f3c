"""Traces from a teacher, many for each problem, into a folder that can be continued after any interruption.

    <output_dir>/
      traces.jsonl    a line per sample: its key, tokens, finish reason, text, provenance, the problem's own columns
      failed.jsonl    samples that could not be generated, and why; the next run tries them again
      identity.json   the settings that all runs into the folder have in common
      summary.json    counts, tokens, cost
      provenance.json how the traces came to be, for the card of a data set made of them
      done.json       written last, when every sample is there

A sample's key is (problem id, sample index): what is missing in traces.jsonl is generated, after any kill, and when more
samples or problems are asked for later. Problems are streamed, and replies are written at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from open_r1.configs.fields import check_limits, setting
from open_r1.configs.ranges import COUNT, Range
from open_r1.data.problems import ProblemSet, ProblemSource, TraceProblem, as_problems
from open_r1.data.progress import Prices, Progress
from open_r1.data.provenance import Step, steps_behind, write_steps
from open_r1.data.traces import locate_traces, read_heads, share_out, to_line
from open_r1.errors import ConfigError, RunError
from open_r1.generation import Completer, EndpointsGone, Reply, RequestFailed, Sampling
from open_r1.printable import duration
from open_r1.rundir import LineAppender, RunDir, read_json, read_jsonl, write_json, write_jsonl

logger = logging.getLogger(__name__)

PRICE = Range(0, 1e12, open_high=True)

COUNTS_ON_CARD = "problems samples samples_missing finish_reasons prompt_tokens completion_tokens cost".split()

REFUSALS = frozenset(("refused", "too_large", "refused_prompt"))
"""Reasons that a prompt fails for by itself: the server, the template or the model doesn't take it."""

TRACES, FAILED, SUMMARY, DONE = "traces.jsonl", "failed.jsonl", "summary.json", "done.json"


@dataclass(frozen=True)
class TraceSettings:
    """How traces are sampled, and what they may cost."""

    num_samples: int = setting(1, "traces per problem")
    temperature: float = setting(0.6, "temperature of the samples; 0 is greedy")
    top_p: float = setting(0.95, "share of the probability that is sampled from")
    max_new_tokens: int = setting(8192, "most tokens of a trace")
    seed: int = setting(0, "each sample's own seed is made from it")
    samples_per_request: int = setting(1, "choices to ask for at once, where a server can (n of the API)", COUNT)
    price_prompt: float | None = setting(None, "cost of a million prompt tokens", PRICE)
    price_completion: float | None = setting(None, "cost of a million completion tokens", PRICE)
    max_cost: float | None = setting(None, "stop when so much is spent")
    sync_s: float = 1.0

    def __post_init__(self) -> None:
        Sampling(self.num_samples, self.temperature, self.top_p, self.max_new_tokens)  # it checks them
        check_limits(self)
        if self.max_cost is not None and self.prices.cost(1, 1) is None:
            raise ConfigError("max_cost needs prices to count by; give --price_prompt and --price_completion.")

    @property
    def prices(self) -> Prices:
        """The prices of tokens."""
        return Prices(self.price_prompt, self.price_completion)

    def sampling(self, problem_id: str, samples: Sequence[int]) -> Sampling:
        """How some samples of a problem are sampled; the first gives the seed."""
        seed = sample_seed(self.seed, problem_id, samples[0])
        return Sampling(len(samples), self.temperature, self.top_p, self.max_new_tokens, seed)


class TraceRun:
    """One process's work on a folder of traces, which it must have locked."""

    def __init__(
        self,
        folder: Path,
        problems: ProblemSet,
        settings: TraceSettings,
        completer: Completer,
        show: Callable[[Progress], None] = lambda progress: None,
        show_every_s: float = 1.0,
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
        self.refused_by = ""

    def run(self) -> dict[str, Any]:
        """Generate what is missing; returns the summary.

        RunError when the work ends before everything is there, ConfigError when every single prompt was refused.
        """
        progress = self.progress
        self.traces, self.failed = LineAppender(self.folder / TRACES), LineAppender(self.folder / FAILED)
        self.done = self.survey_traces()
        progress.begin()
        try:
            if progress.done < progress.wanted:
                (self.folder / DONE).unlink(missing_ok=True)
                asyncio.run(self.generate_all())
        finally:
            self.traces.close()
            self.failed.close()
            summary = self.write_summary()
        if progress.failures and not progress.done and REFUSALS.issuperset(progress.failures):
            raise ConfigError(
                f"every prompt is refused ({self.refused_by}); change what is refused (system_prompt, turns, or more tokens "
                "than the model takes) and start again."
            )
        if self.stopped_by is not None:
            command = f": {self.command}" if self.command else "."
            raise RunError(
                f"{self.stopped_by}; {progress.done:,} of {progress.wanted:,} samples are in '{self.folder / TRACES}'. "
                f"To continue, fix that and run the same command again{command}"
            )
        if not summary["samples_missing"]:
            write_json(self.folder / DONE, {"samples": summary["samples"]})
        return summary

    def survey_traces(self) -> np.ndarray:
        """A flag for each sample that is there. Traces that are no longer asked for stay in the file, and are counted."""
        if self.traces.cut:
            logger.info("a torn last line of %d bytes was cut off; its sample is generated again", self.traces.cut)
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

    async def generate_all(self) -> None:
        """Start the completer, keep it busy until nothing is missing, and stop in good order whatever happens."""
        self.main_task: asyncio.Task[Any] = asyncio.current_task()  # type: ignore[assignment]
        for notice in await self.completer.start():
            logger.warning("%s", notice)
        requests = self.missing()
        workers = [asyncio.create_task(self.work(requests)) for _ in range(self.completer.concurrency)]
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

    def missing(self) -> Iterator[tuple[TraceProblem, list[int]]]:
        """Every sample that is not there yet, in the problems' order, so many of a problem as one request asks for."""
        count, together = self.settings.num_samples, self.settings.samples_per_request
        for problem in self.problems:
            absent = np.flatnonzero(~self.done[problem.ordinal * count : (problem.ordinal + 1) * count]).tolist()
            yield from ((problem, absent[start : start + together]) for start in range(0, len(absent), together))

    async def work(self, requests: Iterator[tuple[TraceProblem, list[int]]]) -> None:
        """One of the places in flight: request after request."""
        for problem, wanted in requests:
            while wanted:
                try:
                    reply = await self.completer.complete(problem.messages, self.settings.sampling(problem.id, wanted))
                except RequestFailed as failure:
                    self.note_failure(problem, wanted, failure)
                    break
                self.keep(problem, wanted, reply)
                wanted = wanted[len(reply.completions) :]

    def keep(self, problem: TraceProblem, wanted: Sequence[int], reply: Reply) -> None:
        """Write a reply's samples; the tokens of several are divided by their lengths, so that sums stay right."""
        shares = share_out(reply.completion_tokens, [len(completion.text) for completion in reply.completions])
        prompt_tokens = reply.prompt_tokens
        for sample, completion, tokens in zip(wanted, reply.completions, shares, strict=False):
            trace = {
                "problem_id": problem.id,
                "sample": sample,
                "prompt_tokens": prompt_tokens,
                "completion_tokens": tokens,
                "finish_reason": completion.finish_reason,
                "completion": completion.text,
                "model": reply.model,
                "endpoint": reply.endpoint,
                "seed": reply.seed,
                "seconds": round(reply.seconds, 3),
                "attempts": reply.attempts,
                "request_samples": len(reply.completions),
            }
            self.traces.add(to_line(trace, problem.columns))
            self.progress.count(prompt_tokens, tokens, completion.finish_reason)
            prompt_tokens = prompt_tokens and 0  # it was sent once
        self.progress.retries += reply.attempts - 1
        self.flush()
        limit, cost = self.settings.max_cost, self.progress.cost
        if limit is not None and cost is not None and cost >= limit:
            raise CostReached(f"the cost of {cost:,.2f} has reached --max_cost {limit:g}")

    def note_failure(self, problem: TraceProblem, samples: Sequence[int], failure: RequestFailed) -> None:
        """Write down samples that could not be generated, and why."""
        why = {name: getattr(failure, name) for name in ("reason", "detail", "endpoint", "attempts")}
        for sample in samples:
            self.failed.add(to_line({"problem_id": problem.id, "sample": sample, **why}, {}))
            self.progress.failures[failure.reason] += 1
        self.refused_by = failure.detail.rstrip(".")
        self.flush()

    def flush(self) -> None:
        """Hand the lines to the kernel; a full disk ends the work."""
        try:
            self.traces.flush()
            self.failed.flush()
        except RunError as error:
            self.stop(error)

    async def sync_often(self) -> None:
        """Write the traces to the disk every `sync_s` seconds; a disk that refuses stops the run."""
        while True:
            await asyncio.sleep(self.settings.sync_s)
            try:
                await asyncio.to_thread(self.traces.sync)
            except RunError as error:
                self.stop(error)

    async def show_often(self) -> None:
        """Show the progress every `show_every_s` seconds."""
        while True:
            await asyncio.sleep(self.show_every_s)
            self.show(self.progress)

    def write_summary(self) -> dict[str, Any]:
        """summary.json, and failed.jsonl with the samples that are still missing alone."""
        progress, survey = self.progress, self.problems.survey
        summary = {
            "model": self.completer.model,
            "problems": survey.num_problems,
            "problems_left_out": survey.unusable,
            "num_samples": self.settings.num_samples,
            "samples": progress.done,
            "samples_missing": progress.wanted - progress.done,
            "failed": dict(self.compact_failures().most_common()),
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
        return summary

    def compact_failures(self) -> Counter[str]:
        """Keep each missing sample's last failure; returns the count of each reason."""
        latest = {(row["problem_id"], row["sample"]): row for row in read_jsonl(self.folder / FAILED)}
        for _, head in read_heads(self.traces.path):
            latest.pop((head.problem_id, head.sample), None)
        write_jsonl(self.folder / FAILED, latest.values())
        return Counter(row["reason"] for row in latest.values())


class CostReached(RunError):
    """The limit of cost that the user set."""


def generate_traces(
    problems: ProblemSet | ProblemSource | str,
    output_dir: Path,
    completer: Completer,
    settings: TraceSettings = TraceSettings(),
    *,
    identity: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    progress: Callable[[Progress], None] = lambda progress: None,
    command: str = "",
) -> dict[str, Any]:
    """Generate every missing trace into a folder; see the module.

    `identity` is what runs into this folder must have in common, beside what the settings say; `command` is how to continue,
    for messages; `progress` is called every second. Returns the summary, as in summary.json; `samples_missing` counts those
    that failed.

    Raises:
        RunFolderError: The folder is in use or has traces of other settings.
        RunError: The work ended before everything was tried; the message says how to go on.
        ConfigError: Every single prompt was refused.
    """
    problems = as_problems(problems)
    common = identity_of(problems, settings, completer)
    with RunDir(output_dir).claimed(common | dict(identity or {}), overwrite, "--overwrite"):
        run = TraceRun(output_dir, problems, settings, completer, progress, command=command)
        try:
            return run.run()
        finally:
            if (output_dir / SUMMARY).exists():
                summary = read_json(output_dir / SUMMARY)
                counts = {name: summary[name] for name in COUNTS_ON_CARD}
                step = Step("generate", problems.source.name, common | {"samples": settings.num_samples}, counts)
                write_steps(output_dir, [*steps_behind(step.source), step])


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


def describe_end(summary: dict[str, Any], folder: Path) -> str:
    """The whole in a sentence."""
    cost = f", cost {summary['cost']:,.2f}" if summary["cost"] is not None else ""
    last = summary["last_run"]
    return (
        f"{summary['samples']:,} traces of {summary['problems']:,} problems in {folder / TRACES} "
        f"({last['samples']:,} generated now in {duration(last['seconds'])}; {summary['completion_tokens']:,} tokens{cost})"
    )


def describe_missing(summary: Mapping[str, Any], folder: Path) -> str:
    """How many samples failed, why, and where that is written."""
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in summary["failed"].items())
    return f"{summary['samples_missing']:,} samples could not be generated ({reasons}): see {folder / FAILED}"


def sample_seed(seed: int, problem_id: str, sample: int) -> int:
    """A seed of its own for each sample, the same on every run."""
    words = f"{seed}\n{problem_id}\n{sample}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(words, digest_size=4).digest()) % 2**31
