"""The evaluator, over a generator whose true accuracy is scripted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from open_r1.errors import ConfigError, DataError
from open_r1.evaluation import Mode, compare, evaluate, read_evaluation, write_evaluation
from open_r1.generation import Sampling, ScriptedGenerator
from open_r1.records import Outcome, Problem

PROBLEMS = [Problem(f"problem {index}", str(index), "even" if index % 2 == 0 else "odd", 1.0) for index in range(10)]
MODES = [Mode("greedy", Sampling()), Mode("sampled", Sampling(num_samples=4, temperature=1.0))]


def score_exactly(texts: Sequence[str], problems: Sequence[Problem]) -> list[Outcome]:
    return [
        Outcome(None, "timeout")
        if text == "unscorable"
        else Outcome(float(text == problem.gold), "correct" if text == problem.gold else "wrong")
        for text, problem in zip(texts, problems, strict=True)
    ]


def run(script: object, modes: Sequence[Mode] = MODES, model: str = "m") -> object:
    return evaluate(ScriptedGenerator(script), PROBLEMS, modes, score_exactly, "test", model)  # type: ignore[arg-type]


def test_accuracy_is_what_the_script_makes_it() -> None:
    evaluation = run(lambda prompt, index: prompt.split()[1] if int(prompt.split()[1]) % 2 == 0 else "no")
    greedy = evaluation.summary["modes"]["greedy"]  # type: ignore[attr-defined]
    assert greedy["accuracy"]["value"] == 0.5
    assert greedy["groups"]["even"]["value"] == 1.0
    assert greedy["groups"]["odd"]["value"] == 0.0
    assert greedy["accuracy"]["n"] == 10


def test_samples_are_averaged_within_a_problem() -> None:
    evaluation = run(lambda prompt, index: prompt.split()[1] if index == 0 else "no")
    sampled = evaluation.summary["modes"]["sampled"]  # type: ignore[attr-defined]
    assert sampled["accuracy"]["value"] == 0.25
    assert sampled["accuracy"]["n"] == 10
    assert len([row for row in evaluation.samples if row["mode"] == "sampled"]) == 40  # type: ignore[attr-defined]


def test_unscored_samples_are_left_out_and_counted() -> None:
    evaluation = run(lambda prompt, index: "unscorable" if prompt == "problem 0" else prompt.split()[1])
    greedy = evaluation.summary["modes"]["greedy"]  # type: ignore[attr-defined]
    assert greedy["accuracy"] == pytest.approx({"value": 1.0, "low": 0.7009, "high": 1.0, "n": 9}, abs=1e-3)
    assert greedy["unscored_share"] == 0.1


def test_truncation_is_reported() -> None:
    modes = [Mode("greedy", Sampling(max_new_tokens=3))]
    evaluation = run(lambda prompt, index: "a b c d e", modes)
    assert evaluation.summary["modes"]["greedy"]["truncated_share"] == 1.0  # type: ignore[attr-defined]
    assert evaluation.samples[0]["finish_reason"] == "length"  # type: ignore[attr-defined]


def test_comparison_is_paired_over_the_same_problems() -> None:
    before = run(lambda prompt, index: "no", model="before")
    after = run(lambda prompt, index: prompt.split()[1], model="after")
    comparison = compare(before, after)  # type: ignore[arg-type]
    assert comparison["baseline"] == "before"
    assert comparison["modes"]["greedy"]["difference"]["value"] == 1.0


def test_an_evaluation_survives_the_disk(tmp_path: Path) -> None:
    evaluation = run(lambda prompt, index: prompt.split()[1])
    write_evaluation(tmp_path, evaluation)  # type: ignore[arg-type]
    assert read_evaluation(tmp_path) == evaluation


def test_an_empty_set_is_refused() -> None:
    with pytest.raises(DataError, match="has no problems"):
        evaluate(ScriptedGenerator(lambda prompt, index: ""), [], MODES, score_exactly, "empty", "m")


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


def test_a_sorting_answer_counts_only_in_order() -> None:
    from open_r1.evaluation import score_answers
    from open_r1.tasks import draw_problems, get_family

    problem = draw_problems(get_family("sorting"), 1, "train", 0, (2, 2))[0]
    backwards = ", ".join(reversed(problem.gold.split(", ")))
    outcomes = score_answers([f"\\boxed{{{problem.gold}}}", f"\\boxed{{{backwards}}}"], [problem, problem])
    assert [outcome.value for outcome in outcomes] == [1.0, 0.0]
