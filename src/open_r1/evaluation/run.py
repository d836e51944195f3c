"""A benchmark run on a model: check, draw, score, estimate, write.

    <folder>/
      drawn/          the samples as they came (`drawing`)
      samples.jsonl   every sample with its extracted answer, score and reason, by question and index
      summary.json    the estimates; the same samples give the same bytes
      done.json       written last

What is there is not done again: a killed run goes on with the missing samples, a finished one is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from open_r1 import __version__
from open_r1.data.generation import TraceSettings
from open_r1.data.progress import Progress
from open_r1.errors import DataError
from open_r1.evaluation.backends import Backend
from open_r1.evaluation.benchmarks import Benchmark, Question
from open_r1.evaluation.monitor import measure
from open_r1.evaluation.sampling import draw_samples, hash_questions, read_samples
from open_r1.evaluation.summary import Scored, summarise_scored
from open_r1.rundir import RunDir, read_json, write_json, write_jsonl
from open_r1.text.thinking import visible_part

MODE = "sampled"
SHOWN = 10
SCORED_AT_ONCE = 2048


@dataclass(frozen=True)
class Wanted:
    """What to do with every benchmark; None leaves the benchmark's own setting."""

    num_samples: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_new_tokens: int | None = None
    seed: int = 0
    system_prompt: str | None = None
    max_problems: int | None = None
    skip_unusable: bool = False


@dataclass(frozen=True)
class Plan:
    """A benchmark with its questions, checked, and how they will be sampled."""

    benchmark: Benchmark
    questions: Sequence[Question]
    settings: TraceSettings
    wanted: Wanted
    data: str

    @property
    def name(self) -> str:
        return self.benchmark.name


def make_plan(
    benchmark: Benchmark, wanted: Wanted, data: str | None = None, tell: Callable[[str], None] = lambda line: None
) -> Plan:
    """Load and check everything that needs no model. DataError lists the golds that can't be read."""
    benchmark.check()
    questions = benchmark.load(data, wanted.max_problems, wanted.seed)
    troubles = {question.id: trouble for question in questions if (trouble := benchmark.find_trouble(question))}
    if troubles:
        listed = "; ".join(f"{id}: {trouble}" for id, trouble in list(troubles.items())[:SHOWN])
        more = f" (and {len(troubles) - SHOWN} more)" if len(troubles) > SHOWN else ""
        said = f"{len(troubles)} of {len(questions)} problems of {benchmark.name} can't be scored: {listed}{more}"
        if not wanted.skip_unusable or len(troubles) == len(questions):
            raise DataError(f"{said}; mend them, or go on without them with --skip_unusable.")
        tell(f"notice: {said}; they are left out")
        questions = [question for question in questions if question.id not in troubles]
    settings = TraceSettings(
        num_samples=wanted.num_samples or (1 if wanted.temperature == 0 else benchmark.num_samples),
        temperature=benchmark.temperature if wanted.temperature is None else wanted.temperature,
        top_p=benchmark.top_p if wanted.top_p is None else wanted.top_p,
        max_new_tokens=wanted.max_new_tokens or benchmark.max_new_tokens,
        seed=wanted.seed,
    )
    return Plan(benchmark, questions, settings, wanted, data or str(benchmark.source))


def run_benchmark(
    plan: Plan,
    backend: Backend,
    folder: Path,
    show: Callable[[Progress], None] = lambda progress: None,
    tell: Callable[[str], None] = lambda line: None,
    command: str = "",
) -> dict[str, Any]:
    """Run a benchmark, or what is missing of it; returns its summary."""
    settings, wanted = plan.settings, plan.wanted
    limit = backend.cap_tokens(plan.questions, wanted.system_prompt, settings.max_new_tokens)
    if limit < settings.max_new_tokens:
        tell(
            f"notice: {plan.name}: completions are capped at {limit:,} tokens, which is what the model's context of "
            f"{backend.context:,} leaves for the longest problem ({settings.max_new_tokens:,} were asked for)"
        )
    settings = TraceSettings(settings.num_samples, settings.temperature, settings.top_p, limit, settings.seed)
    questions = hash_questions(plan.questions)
    identity = identity_of(plan, settings, backend, questions)
    finished = {**identity, "num_samples": settings.num_samples}
    if RunDir(folder).is_done() and read_json(RunDir(folder).done) == finished:
        return read_json(folder / "summary.json")
    draw_samples(
        folder / "drawn", plan.questions, settings, backend.completer, identity, wanted.system_prompt, show, command
    )
    tell(f"{plan.name}: scoring {len(plan.questions) * settings.num_samples:,} samples")
    scored: list[Scored] = []
    write_jsonl(folder / "samples.jsonl", score_drawn(plan, settings, folder / "drawn", scored))
    summary = {
        "name": plan.name,
        "title": plan.benchmark.title,
        "model": backend.completer.model,
        "num_problems": len(plan.questions),
        "settings": settings_of(plan, settings, backend, questions),
        "modes": {MODE: summarise_scored(scored, settings, plan.benchmark.votes)},
    }
    write_json(folder / "summary.json", summary)
    write_json(RunDir(folder).done, finished)
    return summary


def identity_of(plan: Plan, settings: TraceSettings, backend: Backend, questions: str) -> dict[str, Any]:
    """What must not change between the runs of one folder; more samples may be asked for."""
    return {
        "benchmark": plan.name,
        "contents of the questions": questions,
        "model": backend.completer.model,
        "contents of the model folder": backend.model_hash,
        "backend": backend.kind,
        "system_prompt": plan.wanted.system_prompt,
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "max_new_tokens": settings.max_new_tokens,
        "seed": settings.seed,
    }


def settings_of(plan: Plan, settings: TraceSettings, backend: Backend, questions: str) -> dict[str, Any]:
    """What made the result, for whoever repeats it."""
    return {
        "data": plan.data,
        "questions": questions,
        "num_samples": settings.num_samples,
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "max_new_tokens": settings.max_new_tokens,
        "seed": settings.seed,
        **({"shuffle_seed": settings.seed} if plan.benchmark.shuffles else {}),
        "system_prompt": plan.wanted.system_prompt,
        "backend": backend.kind,
        "open_r1": __version__,
        **backend.versions,
    }


def score_drawn(plan: Plan, settings: TraceSettings, drawn: Path, scored: list[Scored]) -> Iterator[dict[str, Any]]:
    """The rows of samples.jsonl; what the estimates need of each is added to `scored`. Bounded in memory."""
    waiting: list[tuple[Question, dict[str, Any]]] = []
    pairs = zip(plan.questions, read_samples(drawn, plan.questions, settings.num_samples), strict=True)
    for question, rows in pairs:
        waiting += [(question, row) for row in rows]
        if len(waiting) >= SCORED_AT_ONCE:
            yield from score_batch(plan, waiting, scored)
            waiting.clear()
    yield from score_batch(plan, waiting, scored)


def score_batch(
    plan: Plan, batch: Sequence[tuple[Question, dict[str, Any]]], scored: list[Scored]
) -> Iterator[dict[str, Any]]:
    texts = [row["completion"] for _, row in batch]
    outcomes = plan.benchmark.score(texts, [question for question, _ in batch]) if batch else []
    for (question, row), outcome in zip(batch, outcomes, strict=True):
        text, tokens = row["completion"], row["completion_tokens"]
        answer = outcome.details.get("answer")
        thinking = thinking_tokens(text, tokens)
        scored.append(
            Scored(
                problem_id=question.id,
                sample=row["sample"],
                groups=question.groups,
                score=outcome.value,
                reason=outcome.reason,
                answer=answer,
                tokens=tokens,
                thinking_tokens=thinking,
                is_truncated=row["finish_reason"] == "length",
                quality=measure(text),
            )
        )
        yield {
            "problem_id": question.id,
            "sample": row["sample"],
            "mode": MODE,
            "prompt": question.prompt,
            "gold": question.gold,
            "group": next(iter(question.groups.values()), ""),
            "groups": dict(question.groups),
            "completion": text,
            "answer": answer,
            "score": outcome.value,
            "reason": outcome.reason,
            "finish_reason": row["finish_reason"],
            "num_tokens": tokens,
            "thinking_tokens": thinking,
            "seed": row["seed"],
        }


def thinking_tokens(text: str, tokens: int | None) -> int | None:
    """The tokens of a completion that are thinking: its share of characters up to the last `</think>`.

    All where the thinking never ends, none where there is none.
    """
    if tokens is None:
        return None
    return round(tokens * (len(text) - len(visible_part(text))) / len(text)) if text else 0
