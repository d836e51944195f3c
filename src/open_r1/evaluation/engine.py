"""The one evaluation: check, sample, score, estimate, write. What is there is not done again.

<folder>/completions/    the completions as they came (`sampling`)
<folder>/samples.jsonl   every sample with its extracted answer, score and reason, by mode, problem and index
<folder>/summary.json    the estimates (`summary`), written last; the same samples give the same bytes
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from open_r1 import __version__
from open_r1.errors import ConfigError, DataError
from open_r1.evaluation.backends import Backend, transformers_backend
from open_r1.evaluation.benchmarks import Benchmark, get_benchmark
from open_r1.evaluation.own_rewards import describe_rewards, hash_rewards, with_rewards
from open_r1.evaluation.sampling import Mode, OnProgress, hash_problems, read_samples, sample_problems
from open_r1.evaluation.summary import SAMPLES, SUMMARY, read_scored, read_summary, sample_row, summarise_mode
from open_r1.generation import Sampling
from open_r1.generation.protocol import to_messages
from open_r1.generation.templates import check_turns
from open_r1.records import Problem
from open_r1.rundir import RunDir, write_json, write_jsonl

COMPLETIONS = "completions"
SHOWN = 10
SCORED_AT_ONCE = 2048

Tell = Callable[[str], None]


def silent(_: Any) -> None:
    """A report that nobody reads."""


@dataclass(frozen=True)
class EvaluationSettings:
    """How a benchmark is sampled; None leaves the benchmark's own setting.

    Temperature 0 gives one greedy completion alone. `max_new_tokens` is less where the model's context leaves less. `seed`
    is also that of the order of options in multiple-choice problems. `skip_unusable` leaves out problems that can't be
    scored, or don't fit into the model's context, instead of refusing them.
    """

    num_samples: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_new_tokens: int | None = None
    seed: int = 0
    system_prompt: str | None = None
    max_problems: int | None = None
    skip_unusable: bool = False
    rewards: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Plan:
    """A benchmark with its problems, checked, and the modes in which they will be sampled."""

    benchmark: Benchmark
    problems: Sequence[Problem]
    modes: tuple[Mode, ...]
    settings: EvaluationSettings
    data: str

    @property
    def name(self) -> str:
        """The benchmark's name."""
        return self.benchmark.name

    @property
    def num_samples(self) -> int:
        """Samples of each problem, all modes together."""
        return sum(mode.sampling.num_samples for mode in self.modes)


def evaluate(
    benchmark: str | Benchmark,
    model: str | Path | Backend,
    folder: str | Path,
    settings: EvaluationSettings | None = None,
    data: str | None = None,
    batch_size: int = 256,
    on_progress: OnProgress = silent,
    tell: Tell = silent,
) -> dict[str, Any]:
    """Evaluate a model on a benchmark, or finish an evaluation that was interrupted; returns the summary of summary.json.

    `benchmark` is a name, "mine.jsonl?prompt=question&answer=final" or "module:name"; `model` a folder or Hub id, for
    transformers in this process, `batch_size` samples at once; `data` a local file in the benchmark's columns.

    ConfigError for what can't be evaluated as asked, DataError for problems that can't be read or scored, RunFolderError
    where the folder contains another evaluation, RunError where not every sample could be generated.
    """
    known = get_benchmark(benchmark) if isinstance(benchmark, str) else benchmark
    name = "" if isinstance(model, Backend) else str(model)
    plan = plan_evaluation(known, settings or EvaluationSettings(), data, tell, name)
    backend = model if isinstance(model, Backend) else transformers_backend(name, batch_size)
    return run_evaluation(plan, backend, Path(folder), on_progress, tell)


def plan_evaluation(
    benchmark: Benchmark,
    settings: EvaluationSettings,
    data: str | None = None,
    tell: Tell = silent,
    model: str = "",
) -> Plan:
    """Load and check everything that needs no loaded model; `model` is one in this process, whose template is read.

    DataError lists the problems that can't be scored; ModelError says why the template refuses to ask them.
    """
    modes = choose_modes(benchmark, settings)
    if model:
        check_turns(model, [tuple(message["role"] for message in to_messages("", settings.system_prompt))])
    benchmark = with_rewards(benchmark, settings.rewards) if settings.rewards else benchmark
    benchmark.check()
    problems = benchmark.load(data, settings.max_problems, settings.seed)
    troubles = {problem.id: trouble for problem in problems if (trouble := benchmark.find_trouble(problem))}
    if troubles:
        listed = "; ".join(f"{id}: {trouble}" for id, trouble in list(troubles.items())[:SHOWN])
        more = f" (and {len(troubles) - SHOWN} more)" if len(troubles) > SHOWN else ""
        said = f"{len(troubles)} of {len(problems)} problems of {benchmark.name} can't be scored: {listed}{more}"
        if not settings.skip_unusable or len(troubles) == len(problems):
            raise DataError(f"{said}; fix them, or leave them out with --skip_unusable.")
        tell(f"notice: {said}; they are left out")
        problems = [problem for problem in problems if problem.id not in troubles]
    return Plan(benchmark, problems, modes, settings, data or str(benchmark.source))


def choose_modes(benchmark: Benchmark, settings: EvaluationSettings) -> tuple[Mode, ...]:
    """The samples, and a greedy completion beside them where the benchmark says so; at temperature 0 that alone."""

    def chosen(name: str) -> Any:
        value = getattr(settings, name)
        return getattr(benchmark, name) if value is None else value

    temperature, limit = chosen("temperature"), chosen("max_new_tokens")
    num_samples = chosen("num_samples")
    if temperature == 0 and settings.num_samples is None and not benchmark.greedy:
        num_samples = 1
    sampled = Sampling(num_samples, temperature, chosen("top_p"), limit, settings.seed)
    greedy = Mode("greedy", Sampling(max_new_tokens=limit, seed=settings.seed))
    modes = (Mode("sampled" if temperature else "greedy", sampled),)
    return (greedy, *modes) if benchmark.greedy else modes


def run_evaluation(
    plan: Plan,
    backend: Backend,
    folder: Path,
    on_progress: OnProgress = silent,
    tell: Tell = silent,
    command: str = "",
    model_name: str | None = None,
) -> dict[str, Any]:
    """Run what is missing of a planned evaluation; its summary. Errors name `command` as the way to go on."""
    plan = fit_context(plan, backend, tell)
    settings = _settings_of(plan, backend, model_name or backend.completer.model)
    if (finished := _read_finished(folder, settings)) is not None:
        tell(f"{plan.name}: already done in {folder}")
        return finished
    for key, value in backend.not_applied.items():
        tell(f"notice: generation_config.json asks for {key} {value}, which is not applied")
    completions = RunDir(folder / COMPLETIONS)
    with completions.claimed(identity_of(settings)):
        refused = _sample_modes(plan, backend, completions.path, on_progress, command)
    if refused:
        tell(
            f"notice: {plan.name}: {len(refused):,} of {len(plan.problems):,} problems are left out: the model refuses them"
        )
        plan = replace(plan, problems=[problem for problem in plan.problems if problem.id not in refused])
    tell(f"{plan.name}: scoring {len(plan.problems) * plan.num_samples:,} samples")
    write_jsonl(folder / SAMPLES, score_samples(plan, completions.path))
    rows = read_scored(folder / SAMPLES)
    by_mode = {mode: [row for row in rows if row["mode"] == mode.name] for mode in plan.modes}
    summary = {
        "name": plan.name,
        "title": plan.benchmark.title,
        "model": settings["model"],
        "num_problems": len(plan.problems),
        "settings": settings,
        "modes": {
            mode.name: summarise_mode(found, mode.sampling, plan.benchmark.votes) for mode, found in by_mode.items()
        },
    }
    write_json(folder / SUMMARY, summary)
    if not any(row["score"] is not None for row in rows):
        reasons = ", ".join(sorted({str(row["reason"]) for row in rows}))
        tell(f"notice: {plan.name}: no sample has a score ({reasons}){describe_rewards(plan.settings.rewards or ())}")
    return summary


def _sample_modes(plan: Plan, backend: Backend, folder: Path, on_progress: OnProgress, command: str) -> set[str]:
    """Sample what is missing of each mode; the ids of the problems that the model refuses."""
    refused: set[str] = set()
    for mode in plan.modes:
        refused |= sample_problems(
            folder / mode.name,
            plan.problems,
            mode,
            backend.completer,
            plan.settings.system_prompt,
            lambda progress, mode=mode: on_progress(f"{plan.name}, {mode.name}: {progress.line()}"),
            command,
            plan.settings.skip_unusable,
        )
    return refused


def fit_context(plan: Plan, backend: Backend, tell: Tell) -> Plan:
    """The plan with completions that fit the model's context, one limit for all; ConfigError where there is no room."""
    if backend.context is None:
        return plan
    wanted, system_prompt = plan.modes[0].sampling.max_new_tokens, plan.settings.system_prompt
    lengths = {
        problem.id: backend.count_tokens(to_messages(problem.prompt, system_prompt)) for problem in plan.problems
    }
    context = f"the model's context of {backend.context:,} tokens"
    if plan.settings.skip_unusable:
        fitting = tuple(problem for problem in plan.problems if lengths[problem.id] + wanted <= backend.context)
        if 0 < len(fitting) < len(plan.problems):
            tell(
                f"notice: {plan.name}: {len(plan.problems) - len(fitting):,} of {len(plan.problems):,} problems are left "
                f"out, because they don't fit into {context} with their completions"
            )
            plan = replace(plan, problems=fitting)
    longest = max((problem.id for problem in plan.problems), key=lambda id: lengths[id])
    room = backend.context - lengths[longest]
    if room < 1:
        raise ConfigError(
            f"{context} is too small: problem {longest} alone has {lengths[longest]:,}; leave such problems out with "
            "--skip_unusable, or give the model a longer context."
        )
    if room >= wanted:
        return plan
    tell(
        f"notice: {plan.name}: completions are limited to {room:,} tokens, which is what {context} leaves for the longest "
        f"problem ({wanted:,} were asked for)"
    )
    modes = (replace(mode, sampling=replace(mode.sampling, max_new_tokens=room)) for mode in plan.modes)
    return replace(plan, modes=tuple(modes))


MAY_CHANGE = ("num_samples", "data", "open_r1", "versions", "not_applied")  # between the runs of one folder
CONTENTS = {"problems": "contents of the problems", "model_hash": "contents of the model folder"}
"""What `rundir` calls a hash that has changed."""


def _settings_of(plan: Plan, backend: Backend, model: str) -> dict[str, Any]:
    sampling = plan.modes[-1].sampling
    return {
        "benchmark": plan.name,
        "problems": hash_problems(plan.problems),
        "model": model,
        "model_hash": backend.model_hash,
        "backend": backend.name,
        "modes": [mode.name for mode in plan.modes],
        **{
            name: getattr(sampling, name) for name in ("num_samples", "temperature", "top_p", "max_new_tokens", "seed")
        },
        **({"shuffle_seed": sampling.seed} if plan.benchmark.shuffles else {}),
        "system_prompt": plan.settings.system_prompt,
        **({"rewards": hash_rewards(plan.settings.rewards)} if plan.settings.rewards else {}),
        "data": plan.data,
        "open_r1": __version__,
        "versions": dict(backend.versions),
        "not_applied": dict(backend.not_applied),
    }


def identity_of(settings: dict[str, Any]) -> dict[str, Any]:
    """What must not change between the runs of one folder."""
    return {CONTENTS.get(key, key): value for key, value in settings.items() if key not in MAY_CHANGE}


def _read_finished(folder: Path, settings: dict[str, Any]) -> dict[str, Any] | None:
    if not (folder / SUMMARY).is_file() or not (folder / SAMPLES).is_file():
        return None
    summary = read_summary(folder)
    kept = summary.get("settings") or {}
    is_same = identity_of(kept) == identity_of(settings) and kept.get("num_samples") == settings["num_samples"]
    return summary if is_same else None


def score_samples(plan: Plan, completions: Path) -> Iterator[dict[str, Any]]:
    """The rows of samples.jsonl, scored `SCORED_AT_ONCE` at a time."""
    for mode in plan.modes:
        each = read_samples(completions / mode.name, plan.problems, mode.sampling.num_samples)
        pairs = ((problem, row) for problem, rows in zip(plan.problems, each, strict=True) for row in rows)
        while batch := list(islice(pairs, SCORED_AT_ONCE)):
            texts = [row["completion"] for _, row in batch]
            outcomes = plan.benchmark.score(texts, [problem for problem, _ in batch])
            for (problem, row), outcome in zip(batch, outcomes, strict=True):
                yield sample_row(problem, mode.name, row, outcome)
