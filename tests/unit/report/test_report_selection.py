"""Which problems and rollouts the report shows."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from synthetic_run import write_json_lines, write_rollouts

from open_r1.report.run_records import Evaluation
from open_r1.report.samples import count_unscored, spread
from open_r1.report.selection import NUM_PROBLEMS, choose_problems, choose_rollouts


def write_scores(folder: Path, scores: dict[str, float | None], groups: tuple[str, ...] = ("sums",)) -> Evaluation:
    rows = [
        {"problem_id": key, "mode": "greedy", "score": score, "group": groups[index % len(groups)], "prompt": key}
        for index, (key, score) in enumerate(scores.items())
    ]
    write_json_lines(folder / "samples.jsonl", rows)
    return Evaluation(folder.name, "held_out", folder.name, len(rows), {}, "", {}, folder / "samples.jsonl")


def ids(number: int) -> list[str]:
    return [f"{index:04}" for index in range(number)]


def test_problems_that_got_worse_always_show(tmp_path):
    before = write_scores(tmp_path / "sft", {key: float(key == "0777") for key in ids(1000)})
    after = write_scores(tmp_path / "grpo", {key: float(key != "0777") for key in ids(1000)})
    choice = choose_problems([before, after], "greedy")
    assert "0777" in [problem.id for problem in choice.shown]
    assert choice.counts == ((("wrong", "right"), 999), (("right", "wrong"), 1))


def test_gains_are_most_of_what_shows_but_not_all(tmp_path):
    before = write_scores(tmp_path / "sft", {key: float(int(key) % 2) for key in ids(100)})
    after = write_scores(tmp_path / "grpo", {key: float(int(key) % 10 > 1) for key in ids(100)})
    choice = choose_problems([before, after], "greedy")
    shown = Counter(problem.change for problem in choice.shown)
    assert len(choice.shown) == NUM_PROBLEMS
    assert shown.most_common(1)[0][0] == ("wrong", "right")
    assert set(shown) == {(a, b) for a in ("wrong", "right") for b in ("wrong", "right")}


def test_problems_are_spread_over_families(tmp_path):
    families = ("sums", "sorting", "weekdays")
    before = write_scores(tmp_path / "sft", dict.fromkeys(ids(90), 0.0), families)
    after = write_scores(tmp_path / "grpo", dict.fromkeys(ids(90), 1.0), families)
    choice = choose_problems([before, after], "greedy")
    shown = Counter(sample.group for problem in choice.shown if (sample := problem.samples[0]))
    assert shown == dict.fromkeys(families, NUM_PROBLEMS // 3)


def test_an_unscored_problem_is_a_change_of_its_own_and_shows(tmp_path):
    before = write_scores(tmp_path / "sft", dict.fromkeys(ids(50), 0.0))
    after = write_scores(tmp_path / "grpo", {key: None if key == "0042" else 1.0 for key in ids(50)})
    choice = choose_problems([before, after], "greedy")
    assert ("wrong", "unscored") in [problem.change for problem in choice.shown]


def test_an_evaluation_without_samples_leaves_a_gap_and_no_error(tmp_path):
    gone = write_scores(tmp_path / "base", {})
    before = write_scores(tmp_path / "sft", dict.fromkeys(ids(20), 0.0))
    after = write_scores(tmp_path / "grpo", dict.fromkeys(ids(20), 1.0))
    choice = choose_problems([gone, before, after], "greedy")
    assert all(problem.samples[0] is None and problem.samples[2] for problem in choice.shown)


@pytest.mark.parametrize("number", [0, 1, 3, 12, 13])
def test_no_more_is_shown_than_there_is(tmp_path, number):
    only = write_scores(tmp_path / "sft", {key: float(int(key) % 2) for key in ids(number)})
    assert len(choose_problems([only], "greedy").shown) == min(number, NUM_PROBLEMS)


def test_rollouts_come_from_first_middle_and_last_step_the_best_first(tmp_path):
    paths = tuple(tmp_path / f"step-{step:06}.parquet" for step in range(10, 60, 10))
    for step, path in zip(range(10, 60, 10), paths, strict=True):
        write_rollouts(path, step)
    groups = choose_rollouts(paths)
    assert [group.step for group in groups] == [10, 30, 50]
    for group in groups:
        totals = [sum(value or 0 for value in rollout.rewards.values()) for rollout in group.rollouts]
        assert totals == sorted(totals, reverse=True)


def test_unscored_rewards_are_counted_with_their_reasons(tmp_path):
    write_rollouts(tmp_path / "step-000010.parquet", 10)
    counted = count_unscored((tmp_path / "step-000010.parquet",))
    assert counted == ["accuracy_reward: 1 of 8 unscored (timeout 1)."]


def test_spread_keeps_first_and_last():
    assert spread(tuple(range(100)), 3) == (0, 50, 99)
    assert spread((1, 2), 3) == (1, 2)
