"""One engine for every source: greedy and sampled modes, durable samples, a callback, a paired difference."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_server import FakeSettings, running_fake
from scripted import ScriptedCompleter

from open_r1.data.columns import GOLD_COLUMNS
from open_r1.data.verification import OWN_COLUMNS
from open_r1.errors import ConfigError, RunError, RunFolderError
from open_r1.evaluation import (
    Benchmark,
    EvaluationSettings,
    benchmarks,
    evaluate,
    get_benchmark,
    plan_evaluation,
    run_evaluation,
)
from open_r1.evaluation.backends import Backend, estimate_tokens
from open_r1.evaluation.benchmarks.by_source import held_out_benchmark
from open_r1.evaluation.engine import choose_modes
from open_r1.evaluation.sampling import at_most_every
from open_r1.evaluation.table import compare_folders, read_results, render_table
from open_r1.generation import Reply, Sampling
from open_r1.pipeline import read_pipeline as _registers_stages  # noqa: F401 - importing it registers the kinds
from open_r1.pipeline.stage import KINDS
from open_r1.records import Outcome, Problem
from open_r1.rundir import read_json, read_jsonl

Script = Callable[[str, int], str]


@pytest.fixture
def held_out(tmp_path: Path) -> Benchmark:
    """Ten problems in the columns of a pipeline's held_out.jsonl."""
    rows = [
        {"prompt": f"problem {n}", "solution": str(n), "family": "odd" if n % 2 else "even", "difficulty": 3}
        for n in range(10)
    ]
    path = tmp_path / "held_out.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return held_out_benchmark(str(path))


def score_exactly(completions: Sequence[str], problems: Sequence[Problem]) -> list[Outcome]:
    return [
        Outcome(None, "timeout")
        if text == "unscorable"
        else Outcome(float(text == problem.gold), "correct" if text == problem.gold else "wrong", {"answer": text})
        for text, problem in zip(completions, problems, strict=True)
    ]


def backend_of(script: Script) -> Backend:
    return Backend(ScriptedCompleter(script), None, estimate_tokens)


def number_in(prompt: str) -> int:
    return int(prompt.split()[1])


def right(prompt: str, seed: int) -> str:
    return str(number_in(prompt))


def run(benchmark: Benchmark, script: Script, folder: Path, **settings: Any) -> dict[str, Any]:
    exact = replace(benchmark, score=score_exactly)
    return evaluate(exact, backend_of(script), folder, EvaluationSettings(**settings))


def test_held_out_problems_are_answered_greedily_and_by_samples(held_out: Benchmark, tmp_path: Path) -> None:
    summary = run(held_out, lambda prompt, seed: str(number_in(prompt) // 2 * 2), tmp_path / "out")
    assert (summary["name"], summary["num_problems"]) == ("held_out", 10)
    sampling = {
        name: (mode["num_samples"], mode["temperature"], mode["max_new_tokens"])
        for name, mode in summary["modes"].items()
    }
    assert sampling == {"greedy": (1, 0.0, 256), "sampled": (4, 1.0, 256)}
    for mode in summary["modes"].values():
        assert (mode["accuracy"]["value"], mode["accuracy"]["n"]) == (0.5, 10)
        assert {name: share["value"] for name, share in mode["groups"].items()} == {"even": 1.0, "odd": 0.0}
        assert list(mode["by"]) == ["subject", "level"] and mode["by"]["level"]["3"]["n"] == 10
    rows = read_jsonl(tmp_path / "out" / "samples.jsonl")
    counts = {mode: len([row for row in rows if row["mode"] == mode]) for mode in ("greedy", "sampled")}
    assert counts == {"greedy": 10, "sampled": 40}
    assert len({row["seed"] for row in rows if row["mode"] == "sampled"}) == 40
    assert read_json(tmp_path / "out" / "summary.json") == summary


def test_unscored_samples_are_left_out_and_counted(held_out: Benchmark, tmp_path: Path) -> None:
    summary = run(
        held_out, lambda prompt, seed: "unscorable" if "0" in prompt else right(prompt, seed), tmp_path / "o"
    )
    greedy = summary["modes"]["greedy"]
    assert greedy["accuracy"] == pytest.approx({"value": 1.0, "low": 0.7009, "high": 1.0, "n": 9}, abs=1e-3)
    assert (greedy["unscored_share"], greedy["no_answer_share"]) == (0.1, 0.1)


def test_truncation_is_reported(held_out: Benchmark, tmp_path: Path) -> None:
    summary = run(held_out, lambda prompt, seed: "a b c d e", tmp_path / "out", max_new_tokens=3)
    assert summary["modes"]["greedy"]["truncated_share"] == 1.0
    assert read_jsonl(tmp_path / "out" / "samples.jsonl")[0]["finish_reason"] == "length"


def test_differences_are_paired_in_every_mode_that_both_have(held_out: Benchmark, tmp_path: Path) -> None:
    run(held_out, lambda prompt, seed: "no", tmp_path / "before")
    run(held_out, right, tmp_path / "after")
    comparison = compare_folders(tmp_path / "before", tmp_path / "after")
    assert comparison["baseline"] == "scripted"
    assert {mode: entry["difference"]["value"] for mode, entry in comparison["modes"].items()} == {
        "greedy": 1.0, "sampled": 1.0
    }  # fmt: skip
    run(replace(held_out, greedy=False), right, tmp_path / "sampled")
    assert list(compare_folders(tmp_path / "sampled", tmp_path / "after")["modes"]) == ["sampled"]


class Dies(ScriptedCompleter):
    """Fails after so many answers."""

    def __init__(self, script: Script, answers: int) -> None:
        super().__init__(script, concurrency=1)
        self.left = answers

    async def complete(self, messages: Any, sampling: Sampling) -> Reply:
        self.left -= 1
        if self.left < 0:
            raise RunError("the machine is gone")
        return await super().complete(messages, sampling)


def test_an_evaluation_that_was_interrupted_in_either_mode_goes_on(held_out: Benchmark, tmp_path: Path) -> None:
    script: Script = lambda prompt, seed: f"\\boxed{{{number_in(prompt) if seed % 3 else 0}}}"  # noqa: E731
    evaluate(held_out, backend_of(script), tmp_path / "whole")
    for answers in (4, 13):  # in the greedy mode, and in the sampled one
        with pytest.raises(RunError):
            evaluate(held_out, Backend(Dies(script, answers), None, estimate_tokens), tmp_path / "parts")
        assert not (tmp_path / "parts" / "summary.json").exists()
    rest = ScriptedCompleter(script)
    evaluate(held_out, Backend(rest, None, estimate_tokens), tmp_path / "parts")
    assert rest.asked == 50 - 4 - 13
    for name in ("summary.json", "samples.jsonl"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_finished_evaluation_is_read_and_one_whose_samples_are_gone_is_scored_again(
    held_out: Benchmark, tmp_path: Path
) -> None:
    silent = ScriptedCompleter(right)
    backend = Backend(silent, None, estimate_tokens)
    first = evaluate(held_out, backend, tmp_path / "out")
    samples = (tmp_path / "out" / "samples.jsonl").read_bytes()
    (tmp_path / "out" / "samples.jsonl").unlink()
    told: list[str] = []
    assert evaluate(held_out, backend, tmp_path / "out", tell=told.append) == first
    assert silent.asked == 50 and told == ["held_out: scoring 50 samples"]
    assert (tmp_path / "out" / "samples.jsonl").read_bytes() == samples
    evaluate(held_out, backend, tmp_path / "out", tell=told.append)
    assert told[1:] == [f"held_out: already done in {tmp_path / 'out'}"]


def test_samples_are_scored_in_batches_that_do_not_change_the_result(
    held_out: Benchmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def score(completions: Sequence[str], problems: Sequence[Problem]) -> list[Outcome]:
        sizes.append(len(completions))
        return score_exactly(completions, problems)

    monkeypatch.setattr("open_r1.evaluation.engine.SCORED_AT_ONCE", 7)
    evaluate(replace(held_out, score=score), backend_of(right), tmp_path / "small")
    assert sizes == [7, 3, 7, 7, 7, 7, 7, 5]
    monkeypatch.undo()
    run(held_out, right, tmp_path / "whole")
    for name in ("summary.json", "samples.jsonl"):
        assert (tmp_path / "small" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_another_seed_in_the_same_folder_is_refused(held_out: Benchmark, tmp_path: Path) -> None:
    run(held_out, right, tmp_path / "out")
    with pytest.raises(RunFolderError, match="seed was 0 and is now 1"):
        run(held_out, right, tmp_path / "out", seed=1)


def test_the_model_is_called_what_the_caller_calls_it(held_out: Benchmark, tmp_path: Path) -> None:
    plan = plan_evaluation(held_out, EvaluationSettings())
    summary = run_evaluation(plan, backend_of(right), tmp_path / "out", model_name="grpo")
    assert summary["model"] == summary["settings"]["model"] == "grpo"


# --- modes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("greedy", "settings", "modes"),
    [
        (False, {}, {"sampled": (8, 0.6)}),
        (False, {"num_samples": 2, "temperature": 1.0}, {"sampled": (2, 1.0)}),
        (False, {"temperature": 0.0}, {"greedy": (1, 0.0)}),
        (True, {}, {"greedy": (1, 0.0), "sampled": (8, 0.6)}),
        (True, {"num_samples": 3}, {"greedy": (1, 0.0), "sampled": (3, 0.6)}),
    ],
)
def test_the_modes_of_an_evaluation(greedy: bool, settings: dict[str, Any], modes: dict[str, Any]) -> None:
    benchmark = replace(get_benchmark("gpqa"), greedy=greedy)
    chosen = choose_modes(benchmark, EvaluationSettings(seed=5, max_new_tokens=7, **settings))
    found = {mode.name: (mode.sampling.num_samples, mode.sampling.temperature) for mode in chosen}
    assert found == modes
    assert {(mode.sampling.seed, mode.sampling.max_new_tokens) for mode in chosen} == {(5, 7)}


@pytest.mark.parametrize(
    "settings",
    [
        {"num_samples": 0},
        {"temperature": -1.0},
        {"num_samples": 2, "temperature": 0.0},
        {"top_p": 0.0},
        {"max_new_tokens": 0},
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        choose_modes(get_benchmark("gpqa"), EvaluationSettings(**settings))


def test_samples_at_temperature_0_beside_a_greedy_completion_are_refused(held_out: Benchmark) -> None:
    with pytest.raises(ConfigError, match="temperature 0"):
        choose_modes(held_out, EvaluationSettings(temperature=0))


@pytest.mark.parametrize(
    "settings",
    [
        {"num_samples": 0},
        {"temperature": -1},
        {"num_samples": 2, "temperature": 0},
        {"top_p": 0},
        {"top_p": 1.1},
        {"max_new_tokens": 0},
    ],
)
def test_sampling_that_makes_no_sense_is_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        Sampling(**settings)  # type: ignore[arg-type]


# --- progress -------------------------------------------------------------------------------------------------------


def test_progress_is_called_back_while_samples_are_generated(
    held_out: Benchmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("open_r1.evaluation.sampling.SHOW_EVERY_S", 0.01)
    seen: list[str] = []
    backend = Backend(ScriptedCompleter(right, concurrency=1, latency_s=0.01), None, estimate_tokens)
    evaluate(held_out, backend, tmp_path / "out", on_progress=seen.append)
    assert {line.partition(": ")[0] for line in seen} == {"held_out, greedy", "held_out, sampled"}
    assert all("/40 samples (" in line for line in seen if "sampled" in line)
    assert re.search(r"held_out, sampled: [1-4][0-9]/40 .* [1-9][0-9.]* tokens/s", seen[-1])


def test_a_model_in_this_process_shows_tokens_and_time_left_before_its_first_sample_ends(
    held_out: Benchmark, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("open_r1.evaluation.sampling.SHOW_EVERY_S", 0.01)
    seen: list[str] = []
    evaluate(
        held_out,
        tiny_model,
        tmp_path / "out",
        EvaluationSettings(max_problems=1, max_new_tokens=24),
        on_progress=seen.append,
    )
    early = [line for line in seen if ": 0/" in line and " 0.0 tokens/s" not in line]
    assert early and all(re.search(r"tokens/s; at most .* left", line) for line in early)


def test_reports_for_a_log_are_far_apart() -> None:
    now, shown = [0.0], []
    show = at_most_every(10.0, shown.append, clock=lambda: now[0])
    report: Any = "report"
    for now[0] in (1.0, 9.9, 10.0, 15.0, 19.9, 20.0):
        show(report)
    assert len(shown) == 2


# --- a benchmark is one file ----------------------------------------------------------------------------------------

NEW_BENCHMARK = '''
"""Capitals: the capital of each country."""

from open_r1.evaluation.benchmarks.base import Benchmark, Source, text_in
from open_r1.records import Outcome, Problem


def read(row, seed):
    return Problem(f"What is the capital of {text_in(row, 'country')}?", text_in(row, "capital"))


def score(completions, problems):
    return [
        Outcome(float(text == problem.gold), "correct" if text == problem.gold else "wrong", {"answer": text})
        for text, problem in zip(completions, problems)
    ]


BENCHMARK = Benchmark("capitals", "Capitals", Source("me/capitals"), ("country", "capital"), read, score, num_samples=2)
'''


@pytest.fixture
def capitals(tmp_path: Path) -> str:
    path = tmp_path / "capitals.jsonl"
    path.write_text('{"country": "Peru", "capital": "Lima"}\n{"country": "Chad", "capital": "N\'Djamena"}\n')
    return str(path)


def test_adding_a_benchmark_is_one_new_file(
    open_r1: Callable[..., Any], capitals: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package: Any = sys.modules["open_r1.evaluation.benchmarks"]
    (tmp_path / "capitals.py").write_text(NEW_BENCHMARK)
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    benchmarks.cache_clear()  # type: ignore[attr-defined]
    try:
        assert "me/capitals" in open_r1("eval", "--list").out
        summary = evaluate("capitals", backend_of(lambda prompt, seed: "Lima"), tmp_path / "out", data=capitals)
        assert summary["modes"]["sampled"]["accuracy"]["value"] == 0.5
        assert "| Capitals" in open_r1("compare", tmp_path / "out").out
    finally:
        sys.modules.pop("open_r1.evaluation.benchmarks.capitals", None)
        benchmarks.cache_clear()  # type: ignore[attr-defined]


def test_a_benchmark_of_ones_own_is_named_by_its_module(
    capitals: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_capitals.py").write_text(NEW_BENCHMARK)
    monkeypatch.syspath_prepend(str(tmp_path))
    (problem, _) = get_benchmark("my_capitals:BENCHMARK").load(capitals)
    assert problem.gold == "Lima"
    with pytest.raises(ConfigError, match="is a function, but must be a Benchmark"):
        get_benchmark("my_capitals:read")
    with pytest.raises(ConfigError, match="no module named 'my_capitols'"):
        get_benchmark("my_capitols:BENCHMARK")


# --- the command ----------------------------------------------------------------------------------------------------


def test_a_dry_run_checks_the_problems_and_loads_and_writes_nothing(
    open_r1: Callable[..., Any], held_out: Benchmark, tmp_path: Path
) -> None:
    file = held_out.source.name
    words = ("eval", "no/such/model", "--problems", file, "--max-problems", 7, "--n", 2, "--dry-run")
    ran = open_r1(*words, "--output-dir", tmp_path / "out")
    assert ran.status == 0, ran.err
    assert f"held_out: 7 problems of {file}, into {tmp_path / 'out' / 'held_out'}" in ran.out
    assert "sampled: num_samples 2, temperature 1.0" in ran.out and not (tmp_path / "out").exists()
    (planned,) = json.loads(open_r1(*words, "--json").out)
    assert (planned["problems"], set(planned["modes"])) == (7, {"greedy", "sampled"})
    assert planned["folder"] == "data/evals/no/such/model/held_out"


def test_problems_of_a_file_are_asked_of_a_server_too(
    open_r1: Callable[..., Any], held_out: Benchmark, tmp_path: Path
) -> None:
    with running_fake(FakeSettings(model="teacher")) as fake:
        words = ("eval", "teacher", "--problems", held_out.source.name, "--server", fake.url)
        ran = open_r1(*words, "--output_dir", tmp_path / "out", "--num_samples", 2, "--json")
    assert ran.status == 0, ran.err
    summary = json.loads(ran.out)["held_out"]
    assert read_json(tmp_path / "out" / "held_out" / "summary.json") == summary
    assert {name: mode["num_samples"] for name, mode in summary["modes"].items()} == {"greedy": 1, "sampled": 2}
    compared = json.loads(open_r1("compare", tmp_path / "out", tmp_path / "out", "--json").out)
    assert [pair["mode"] for pair in compared["comparisons"]] == ["greedy", "sampled"]
    table = open_r1("compare", tmp_path / "out").out
    assert len([line for line in table.splitlines() if line.startswith("| teacher")]) == 1


def test_the_table_shows_samples_where_there_are_samples(held_out: Benchmark, tmp_path: Path) -> None:
    run(held_out, lambda prompt, seed: right(prompt, seed) if seed % 2 else "no", tmp_path / "both")
    both = read_results(tmp_path / "both")
    assert [result.mode for result in both] == ["greedy", "sampled"]
    assert render_table(both) == render_table(both[1:]) != render_table(both[:1])
    only = replace(held_out, greedy=False)
    run(only, right, tmp_path / "only", temperature=0.0)
    (only_mode,) = read_results(tmp_path / "only")
    assert only_mode.estimate.as_percent() in render_table([only_mode])


def test_both_kinds_of_stage_are_one_class() -> None:
    assert KINDS["evaluate"] is KINDS["benchmark"]
    stage: Any = KINDS["evaluate"]
    assert stage(name="e", base=Path(), model="sft", baseline="b").needs() == ["sft", "problems", "b"]
    assert stage(name="e", base=Path(), model="sft", benchmark="gpqa").needs() == ["sft"]


MINE = """
def points(completions, hint, **kwargs):
    return [2.0 if hint in chat[-1]["content"] else 0.0 for chat, hint in zip(completions, hint)]
"""


def own_problems(tmp_path: Path) -> Benchmark:
    rows = [{"prompt": f"{n}?", "answer": str(n), "hint": f"hint {n % 2}"} for n in range(6)]
    (tmp_path / "own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return held_out_benchmark(str(tmp_path / "own.jsonl"))


def test_an_evaluation_takes_rewards_of_the_users_own_greedy_and_sampled_with_intervals(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    reward = f"{tmp_path / 'mine.py'}:points"
    backend = backend_of(lambda prompt, seed: "hint 1, \\boxed{7}")
    for folder, says in (("one", "hint 1"), ("two", "hint 0")):
        backend = backend_of(lambda prompt, seed, says=says: f"{says}, \\boxed{{7}}")
        summary = evaluate(
            own_problems(tmp_path), backend, tmp_path / folder, EvaluationSettings(num_samples=2, rewards=(reward,))
        )
        for mode in ("greedy", "sampled"):
            accuracy = summary["modes"][mode]["accuracy"]
            assert accuracy["value"] == 1.0 and accuracy["low"] < 1.0 < accuracy["high"] and accuracy["n"] == 6
    pairs = compare_folders(tmp_path / "one", tmp_path / "two")["modes"]
    assert pairs.keys() == {"greedy", "sampled"} and pairs["greedy"]["difference"]["value"] == 0.0
    (row, *_) = read_jsonl(tmp_path / "one" / "samples.jsonl")
    assert (row["score"], row["extracted_answer"]) == (0.0, "7")
    assert "extracted_answer" in OWN_COLUMNS and not set(GOLD_COLUMNS) & row.keys()  # one name; a gold has another


def test_an_edited_reward_is_another_evaluation(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    settings = EvaluationSettings(num_samples=2, rewards=(f"{tmp_path / 'mine.py'}:points",))
    backend = backend_of(lambda prompt, seed: "hint 1")
    evaluate(own_problems(tmp_path), backend, tmp_path / "out", settings)
    (tmp_path / "mine.py").write_text(MINE.replace("2.0", "3.0"))
    with pytest.raises(RunFolderError, match="rewards"):
        evaluate(own_problems(tmp_path), backend, tmp_path / "out", settings)


def test_a_reward_that_fails_leaves_its_samples_unscored(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def silent(completions, **kwargs):\n    return [None for _ in completions]\n")
    settings = EvaluationSettings(num_samples=2, rewards=(f"{tmp_path / 'mine.py'}:silent", "format"))
    told: list[str] = []
    backend = backend_of(lambda prompt, seed: "x")
    summary = evaluate(own_problems(tmp_path), backend, tmp_path / "out", settings, tell=told.append)
    assert summary["modes"]["sampled"]["unscored_share"] == 1.0
    assert "no sample has a score (not_applicable); scored by " in told[-1] and "mine.py:1), format" in told[-1]
