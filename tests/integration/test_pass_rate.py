"""`open-r1 data pass-rate` from end to end: rates, windows, rewards, recipes, kills in both stages, a dead server."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_server import FakeSettings, running_fake

from open_r1.data.generation import sample_seed
from open_r1.rundir import read_json, read_jsonl

Command = Callable[..., Any]

FAST = ["--pause", "0.02", "--timeout", "5", "--max_new_tokens", "64"]
SAMPLES = 4


def write_problems(path: Path, count: int) -> Path:
    """Problem n is solved by n mod 5 of its four samples: the fake answers with a sample's seed, and `seeds` lists those."""
    rows = []
    for number in range(count):
        solved = [str(sample_seed(0, str(number), sample)) for sample in range(number % 5)]
        rows.append(
            {"id": number, "problem": f"Problem {number}", "seeds": solved, "difficulty": number, "answer": "0"}
        )
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


REWARDS = """
import time

def solved(completions, seeds, **columns):
    return [float(any(f"{{{seed}." in c[0]["content"] for seed in wanted)) for c, wanted in zip(completions, seeds)]

def slow(completions, seeds, **columns):
    time.sleep(0.004 * len(completions))
    return solved(completions, seeds)

def failing(completions, seeds, **columns):
    return [None if value else 1.0 for value in solved(completions, seeds)]

solved.needs_columns = slow.needs_columns = failing.needs_columns = ("seeds",)
"""


@pytest.fixture
def rewards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of rewards in the current folder."""
    name = f"rewards_{tmp_path.name}".replace("-", "_").replace("[", "_").replace("]", "_")
    (tmp_path / f"{name}.py").write_text(REWARDS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return name


def rate(open_r1: Command, tmp_path: Path, fake: Any, *words: Any) -> Any:
    source = tmp_path / "p.jsonl"
    return open_r1(
        "data", "pass-rate", source, "--server", fake.url, "--num_samples", SAMPLES, "--id_column", "id",
        "--output_dir", tmp_path / "out", *FAST, *words,
    )  # fmt: skip


def test_each_problem_gets_its_rate_and_the_window_keeps_some(open_r1: Command, tmp_path: Path, rewards: str) -> None:
    write_problems(tmp_path / "p.jsonl", 50)
    with running_fake() as fake:
        ran = rate(open_r1, tmp_path, fake, "--rewards", f"{rewards}:solved", "--min", 0.25, "--max", 1, "--json")
    assert ran.status == 0, ran.err
    found = read_jsonl(tmp_path / "out" / "problems.jsonl")
    assert [row["id"] for row in found] == list(range(50))
    assert [row["pass_rate"] for row in found] == [number % 5 / 4 for number in range(50)]
    assert [row["difficulty"] for row in found] == [1 - number % 5 / 4 for number in range(50)]
    assert [row["source_difficulty"] for row in found] == list(range(50))
    assert {row["pass_rate_samples"] for row in found} == {SAMPLES}
    kept = read_jsonl(tmp_path / "out" / "kept.jsonl")
    assert kept == [row for row in found if row["pass_rate"] in (0.5, 0.75)]  # both bounds are left out
    summary = json.loads(ran.out)
    assert (summary["problems"], summary["kept"], summary["never_solved"], summary["always_solved"]) == (
        50,
        20,
        10,
        10,
    )
    assert (summary["below"], summary["above"], summary["mean"]) == (20, 10, 0.5)
    assert read_json(tmp_path / "out" / "done.json") == {"problems": 50, "kept": 20}


def test_another_window_asks_and_scores_nothing_anew(open_r1: Command, tmp_path: Path, rewards: str) -> None:
    write_problems(tmp_path / "p.jsonl", 20)
    with running_fake() as fake:
        assert rate(open_r1, tmp_path, fake, "--rewards", f"{rewards}:solved").status == 0
        before = (tmp_path / "out" / "problems.jsonl").read_bytes()
        ran = rate(open_r1, tmp_path, fake, "--rewards", f"{rewards}:solved", "--min", -1, "--max", 0.1)
        assert fake.server.counts["requests"] == 20 * SAMPLES
    assert ran.status == 0, ran.err
    assert (tmp_path / "out" / "problems.jsonl").read_bytes() == before
    assert [row["id"] for row in read_jsonl(tmp_path / "out" / "kept.jsonl")] == [0, 5, 10, 15]


def test_weights_are_respected_and_unscored_samples_stay_out_of_the_mean(
    open_r1: Command, tmp_path: Path, rewards: str
) -> None:
    write_problems(tmp_path / "p.jsonl", 10)
    names = [f"{rewards}:solved", "tag_count"]
    with running_fake() as fake:
        ran = rate(open_r1, tmp_path, fake, "--rewards", *names, "--reward_weights", 3, "tag_count=1")
        assert (ran.status, "with names and without" in ran.err) == (2, True)
        ran = rate(open_r1, tmp_path, fake, "--rewards", *names, "--reward_weights", 3, 1)
        assert ran.status == 0, ran.err
        for number, row in enumerate(read_jsonl(tmp_path / "out" / "problems.jsonl")):
            solved, tags = number % 5 / 4, row["pass_rate_rewards"]["tag_count"]
            assert row["pass_rate_rewards"][names[0]] == solved
            assert 0 < tags < 1
            assert row["pass_rate"] == pytest.approx((3 * solved + tags) / 4)
        failing = ["--rewards", f"{rewards}:failing", "tag_count", "--reward_weights", 1, 0]
        ran = rate(open_r1, tmp_path, fake, *failing)
        assert (ran.status, "--rescore" in ran.err) == (2, True)
        ran = rate(open_r1, tmp_path, fake, *failing, "--rescore", "--json")
        assert ran.status == 0, ran.err
        assert fake.server.counts["requests"] == 10 * SAMPLES
    for number, row in enumerate(read_jsonl(tmp_path / "out" / "problems.jsonl")):
        unscored = number % 5
        assert (row["pass_rate_samples"], row["pass_rate_unscored"]) == (4 - unscored, unscored)
        assert row["pass_rate"] == (1.0 if unscored < 4 else None)
        assert row["difficulty"] == (0.0 if unscored < 4 else None)
    summary = json.loads(ran.out)
    assert (summary["problems_unscored"], summary["samples_unscored"]) == (2, 20)
    assert summary["unscored_now"] == {"not_applicable": 20}


def test_answers_are_scored_by_default_and_a_row_without_gold_is_unscored(open_r1: Command, tmp_path: Path) -> None:
    rows = [{"id": n, "problem": f"Problem {n}", "solution": ["7", "8", None][n], "answer": None} for n in range(3)]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with running_fake(FakeSettings(says="The answer is \\boxed{7}")) as fake:
        ran = rate(open_r1, tmp_path, fake)
    assert ran.status == 0, ran.err
    assert [row["pass_rate"] for row in read_jsonl(tmp_path / "out" / "problems.jsonl")] == [1.0, 0.0, None]
    assert "no_gold 4" in ran.out


def test_a_recipe_holds_the_same_settings_and_flags_win(open_r1: Command, tmp_path: Path, rewards: str) -> None:
    source = write_problems(tmp_path / "p.jsonl", 20)
    recipe = tmp_path / "filter.yaml"
    recipe.write_text(
        f"dataset_name: {source}\nmodel_name_or_path: fake\ndtype: bfloat16\nnum_generations: 4\ntemperature: 0.7\n"
        f"max_completion_length: 64\nid_column: id\nreward_funcs: ['{rewards}:solved']\nreward_weights: [1.0]\n"
        "pass_rate_min: 0.1\npass_rate_max: 0.6\ncode_provider: local\n"
    )
    with running_fake() as fake:
        words = ["data", "pass-rate", "--config", recipe, "--server", fake.url, "--output_dir", tmp_path / "out"]
        ran = open_r1(*words, "--max", 0.3, "--dataset_start_index", 5, "--dataset_end_index", 15)
        assert fake.server.counts["requests"] == 40
    assert ran.status == 0, ran.err
    assert "dtype: the server has loaded the model" in ran.err
    found = read_jsonl(tmp_path / "out" / "problems.jsonl")
    assert [row["id"] for row in found] == list(range(5, 15))
    assert [row["pass_rate"] for row in read_jsonl(tmp_path / "out" / "kept.jsonl")] == [0.25, 0.25]
    assert read_json(tmp_path / "out" / "traces" / "identity.json")["temperature"] == 0.7


def test_the_originals_script_takes_its_flags(tmp_path: Path, repo: Path, rewards: str) -> None:
    source = write_problems(tmp_path / "p.jsonl", 5)
    script = repo / "scripts" / "pass_rate_filtering" / "compute_pass_rate.py"
    with running_fake() as fake:
        command = [
            sys.executable, script, "--dataset_name", source, "--model_name_or_path", "fake", "--num_generations", "4",
            "--reward_funcs", f"{rewards}:solved", "--pass_rate_min", "0.1", "--pass_rate_max", "0.9", "--server", fake.url,
            "--max_completion_length", "64", "--id_column", "id",
        ]  # fmt: skip
        ran = subprocess.run(
            [*map(str, command)], capture_output=True, text=True, timeout=120, cwd=tmp_path, check=False
        )
    assert ran.returncode == 0, ran.stderr
    assert len(read_jsonl(tmp_path / "pass_rates" / "p" / "kept.jsonl")) == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--rewards", "acuracy"], "did you mean 'accuracy'?"),
        (["--rewards", "code"], "needs the column 'verification_info'"),
        (["--min", "0.6", "--max", "0.2"], "is empty"),
        (["--reward_weights", "0"], "above 0"),
        (["--reward_weights", "-1"], "above 0"),
        (["--reward_weights", "1", "2"], "2 values for 1 rewards"),
        (["--dataset_start_index", "9", "--dataset_end_index", "3"], "are none"),
        (["--dataset_start_index", "900"], "no problem that can be asked"),
        (["--backend", "transformers"], "--backend transformers needs a model"),
        (["--output_dataset_name", "name"], "not of the form user/name"),
        (["--prompt_column", "problm"], "did you mean 'problem'?"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_asked(
    open_r1: Command, tmp_path: Path, words: list[str], said: str
) -> None:
    source = write_problems(tmp_path / "p.jsonl", 5)
    with running_fake() as fake:
        server = [] if "--backend" in words else ["--server", fake.url]
        ran = open_r1("data", "pass-rate", source, "--output_dir", tmp_path / "out", *server, *words)
        assert fake.server.counts["requests"] == 0
    assert ran.status == 2
    assert said in ran.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("pas_rate_min: 0.2", "filter.yaml:2: unknown setting 'pas_rate_min'; did you mean 'pass_rate_min'?"),
        ("num_generations: many", "filter.yaml:2: num_generations must be a whole number, but is 'many'"),
        ("backend: vlm", "filter.yaml:2: backend must be server or transformers or vllm, but is 'vlm'"),
        ("streaming: 3", "filter.yaml:2: streaming must be true or false"),
        ("temperature: [1, 2]", "filter.yaml:2: temperature must be a number, but is [1, 2]"),
    ],
)
def test_a_recipe_that_cannot_be_read_names_its_line(open_r1: Command, tmp_path: Path, line: str, said: str) -> None:
    recipe = tmp_path / "filter.yaml"
    recipe.write_text(f"dataset_name: {write_problems(tmp_path / 'p.jsonl', 5)}\n{line}\n")
    ran = open_r1("data", "pass-rate", "--config", recipe, "--dry-run")
    assert ran.status == 2
    assert said in ran.err


def test_samples_that_cannot_be_drawn_stop_it_unless_allowed(open_r1: Command, tmp_path: Path, rewards: str) -> None:
    write_problems(tmp_path / "p.jsonl", 20)
    words = ["--rewards", f"{rewards}:solved"]
    with running_fake(FakeSettings(faults={"refused": 0.4}, seed=1)) as fake:
        ran = rate(open_r1, tmp_path, fake, *words)
        assert (ran.status, "--allow_missing" in ran.err) == (1, True)
        assert not (tmp_path / "out" / "problems.jsonl").exists()
        ran = rate(open_r1, tmp_path, fake, *words, "--allow_missing")
    assert ran.status == 0, ran.err
    found = read_jsonl(tmp_path / "out" / "problems.jsonl")
    assert len(found) == 20
    assert sum(row["pass_rate_samples"] for row in found) == len(
        read_jsonl(tmp_path / "out" / "traces" / "traces.jsonl")
    )
    with running_fake() as fake:  # what was missing comes, and rates of fewer samples are not left to stand
        ran = rate(open_r1, tmp_path, fake, *words)
        assert (ran.status, "--rescore" in ran.err) == (2, True)
        assert rate(open_r1, tmp_path, fake, *words, "--rescore").status == 0
    assert [row["pass_rate"] for row in read_jsonl(tmp_path / "out" / "problems.jsonl")] == [
        n % 5 / 4 for n in range(20)
    ]


def test_a_server_that_dies_ends_it_with_how_to_go_on(open_r1: Command, tmp_path: Path, rewards: str) -> None:
    write_problems(tmp_path / "p.jsonl", 50)
    words = ["--rewards", f"{rewards}:solved", "--patience", 0.3, "--concurrency", 4, "--max_attempts", 1000]
    with running_fake(FakeSettings(dies_after=30, latency_s=0.002)) as fake:
        ran = rate(open_r1, tmp_path, fake, *words)
    assert ran.status == 1
    assert "no server is left to ask" in ran.err
    assert "run the same command again" in ran.err
    assert not (tmp_path / "out" / "done.json").exists()


def test_kills_while_drawing_and_while_scoring_change_nothing(tmp_path: Path, rewards: str) -> None:
    source = write_problems(tmp_path / "p.jsonl", 300)
    rng = random.Random(0)
    with running_fake(FakeSettings(latency_s=0.02)) as fake:
        command = [
            sys.executable, "-m", "open_r1.cli.main", "data", "pass-rate", source, "--server", fake.url, "--id_column",
            "id", "--num_samples", SAMPLES, "--rewards", f"{rewards}:slow", "--concurrency", 16, *FAST,
            "--output_dir",
        ]  # fmt: skip
        out, whole = tmp_path / "out", tmp_path / "whole"
        kills = 0
        for name, target in (("traces/traces.jsonl", 300), ("traces/traces.jsonl", 700), ("problems.jsonl", 100),
                             ("problems.jsonl", 250)):  # fmt: skip
            process = subprocess.Popen(
                [*map(str, command), str(out)], stderr=subprocess.DEVNULL, start_new_session=True
            )
            deadline = time.monotonic() + 120
            while count_lines(out / name) < target and process.poll() is None and time.monotonic() < deadline:
                time.sleep(rng.uniform(0.001, 0.01))
            assert process.poll() is None, f"it ended before {target} lines of {name}"
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
        for folder in (out, whole):
            subprocess.run([*map(str, command), str(folder)], check=True, timeout=240, capture_output=True)
    assert kills == 4
    keys = [(row["problem_id"], row["sample"]) for row in read_jsonl(out / "traces" / "traces.jsonl")]
    assert len(keys) == len(set(keys)) == 300 * SAMPLES
    for name in ("problems.jsonl", "kept.jsonl"):
        assert (out / name).read_bytes() == (whole / name).read_bytes()
    assert [row["pass_rate"] for row in read_jsonl(out / "problems.jsonl")] == [n % 5 / 4 for n in range(300)]


def count_lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_a_model_in_this_process_is_rated_too(open_r1: Command, tmp_path: Path, tiny_model: Path) -> None:
    write_problems(tmp_path / "p.jsonl", 3)
    ran = open_r1(
        "data", "pass-rate", tmp_path / "p.jsonl", "--backend", "transformers", "--model", tiny_model, "--num_samples", 2,
        "--max_new_tokens", 8, "--output_dir", tmp_path / "out",
    )  # fmt: skip
    assert ran.status == 0, ran.err
    assert [row["pass_rate_samples"] for row in read_jsonl(tmp_path / "out" / "problems.jsonl")] == [2, 2, 2]
