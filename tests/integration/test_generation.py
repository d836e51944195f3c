"""`open-r1 data generate` from end to end: against servers good and bad, killed, resumed, refused."""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_server import FAULTS, FakeSettings, Running, running_fake

from open_r1.rundir import read_json, read_jsonl

Command = Callable[..., Any]

HOSTILE = {name: 0.02 for name in FAULTS if name not in ("refused", "hang", "retry_after")} | {
    "hang": 0.002,
    "retry_after": 0.005,
}
"""About a quarter of all requests go wrong, in every way there is but outright refusal."""

FAST = ["--pause", "0.02", "--timeout", "2", "--max_attempts", "12", "--max_new_tokens", "64"]


def write_problems(path: Path, count: int) -> Path:
    rows = ({"problem": f"Solve {index}x = {3 * index}", "answer": "3", "number": index} for index in range(count))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def keys_of(folder: Path) -> list[tuple[str, int]]:
    return [(row["problem_id"], row["sample"]) for row in read_jsonl(folder / "traces.jsonl")]


def test_every_problem_gets_its_samples_with_their_provenance(open_r1: Command, tmp_path: Path) -> None:
    source = write_problems(tmp_path / "p.jsonl", 20)
    with running_fake(FakeSettings(model="teacher")) as fake:
        ran = open_r1(
            "data", "generate", source, "--server", fake.url, "--num_samples", 3, "--output_dir", tmp_path / "out",
            "--price_prompt", 1, "--price_completion", 2, "--json", *FAST,
        )  # fmt: skip
    assert ran.status == 0, ran.err
    rows = read_jsonl(tmp_path / "out" / "traces.jsonl")
    assert len(rows) == len({(row["problem_id"], row["sample"]) for row in rows}) == 60
    assert sorted(row["number"] for row in rows) == sorted(list(range(20)) * 3)
    assert len({row["seed"] for row in rows}) == 60
    for row in rows:
        assert row["completion"].startswith(f"<think>\n{row['problem']}\n")
        assert (row["model"], row["endpoint"], row["finish_reason"], row["answer"]) == (
            "teacher",
            fake.url,
            "stop",
            "3",
        )
    summary = json.loads(ran.out)
    assert summary == read_json(tmp_path / "out" / "summary.json")
    assert (summary["samples"], summary["samples_missing"], summary["prompt_tokens"]) == (60, 0, 600)
    assert summary["cost"] == pytest.approx((600 + 2 * summary["completion_tokens"]) / 1e6)
    assert (tmp_path / "out" / "done.json").exists()
    (step,) = read_json(tmp_path / "out" / "provenance.json")["steps"]
    assert (step["action"], step["settings"]["model"], step["counts"]["samples"]) == ("generate", "teacher", 60)


def test_a_finished_folder_asks_nothing_and_more_samples_or_problems_add_just_those(
    open_r1: Command, tmp_path: Path
) -> None:
    source, out = write_problems(tmp_path / "p.jsonl", 10), tmp_path / "out"
    with running_fake() as fake:
        for count, samples, asked in ((10, 2, 20), (10, 2, 0), (10, 3, 10), (15, 3, 15), (10, 1, 0)):
            write_problems(source, count)
            before = fake.server.counts["requests"]
            ran = open_r1(
                "data", "generate", source, "--server", fake.url, "--num_samples", samples, "--output_dir", out, *FAST
            )
            assert ran.status == 0, ran.err
            assert fake.server.counts["requests"] - before == asked
    keys = keys_of(out)
    assert len(keys) == len(set(keys)) == 45


def test_several_samples_a_request_come_out_the_same_in_number(open_r1: Command, tmp_path: Path) -> None:
    source = write_problems(tmp_path / "p.jsonl", 30)
    for name, fake_settings in {
        "well": FakeSettings(),
        "ignoring": FakeSettings(ignores_n=True),
        "wrong": FakeSettings(faults={"fewer": 0.3, "more": 0.3}),
    }.items():
        with running_fake(fake_settings) as fake:
            ran = open_r1(
                "data", "generate", source, "--server", fake.url, "--num_samples", 5, "--samples_per_request", 4,
                "--output_dir", tmp_path / name, *FAST,
            )  # fmt: skip
            answers = fake.server.counts["answers"]
        assert ran.status == 0, ran.err
        assert len(set(keys_of(tmp_path / name))) == len(keys_of(tmp_path / name)) == 150
        assert {"well": answers == 60, "ignoring": answers == 150, "wrong": answers > 60}[name]
        rows = read_jsonl(tmp_path / name / "traces.jsonl")
        if name == "well":
            assert sum(row["completion_tokens"] for row in rows) == 30 * 5 * 20
            assert sum(row["prompt_tokens"] for row in rows) == 60 * 10


def test_a_hostile_server_costs_time_and_not_a_single_sample(open_r1: Command, tmp_path: Path) -> None:
    source = write_problems(tmp_path / "p.jsonl", 100)
    with running_fake(FakeSettings(latency_s=0.002, faults=HOSTILE)) as fake:
        ran = open_r1(
            "data",
            "generate",
            source,
            "--server",
            fake.url,
            "--num_samples",
            4,
            "--output_dir",
            tmp_path / "out",
            *FAST,
        )
    assert ran.status == 0, ran.err
    assert len(set(keys_of(tmp_path / "out"))) == len(keys_of(tmp_path / "out")) == 400
    assert all("boxed" in row["completion"] for row in read_jsonl(tmp_path / "out" / "traces.jsonl"))


def test_samples_that_cannot_be_drawn_are_kept_with_their_reason_and_tried_again(
    open_r1: Command, tmp_path: Path
) -> None:
    source, out = write_problems(tmp_path / "p.jsonl", 50), tmp_path / "out"
    port = 0
    with running_fake(FakeSettings(faults={"refused": 0.2})) as fake:
        port = int(fake.url.split(":")[2].split("/")[0])
        ran = open_r1("data", "generate", source, "--server", fake.url, "--output_dir", out, *FAST)
    assert ran.status == 1
    assert "samples could not be generated (refused" in ran.err
    assert "the same command tries them again" in ran.err
    failed = read_jsonl(out / "failed.jsonl")
    assert len(failed) == read_json(out / "summary.json")["samples_missing"] == 50 - len(keys_of(out)) > 0
    assert all("maximum context length" in row["detail"] for row in failed)
    assert not (out / "done.json").exists()
    with running_fake(FakeSettings(), port) as fake:
        ran = open_r1("data", "generate", source, "--server", fake.url, "--output_dir", out, *FAST)
        assert fake.server.counts["requests"] == len(failed)
    assert ran.status == 0, ran.err
    assert read_jsonl(out / "failed.jsonl") == []
    assert len(set(keys_of(out))) == 50


def test_a_server_that_dies_for_good_ends_the_run_with_what_is_done(
    open_r1: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/open-r1", "data", "generate", "p q.jsonl"])
    source, out = write_problems(tmp_path / "p.jsonl", 100), tmp_path / "out"
    with running_fake(FakeSettings(dies_after=30, latency_s=0.002)) as fake:
        ran = open_r1(
            "data", "generate", source, "--server", fake.url, "--concurrency", 4, "--output_dir", out, "--patience", 0.3,
            "--pause", 0.02, "--max_attempts", 1000,
        )  # fmt: skip
    assert ran.status == 1
    assert "no server is left to ask" in ran.err
    assert "unreachable" in ran.err
    done = len(keys_of(out))
    assert f"{done} of 100 samples are in" in ran.err
    assert "run the same command again: open-r1 data generate 'p q.jsonl'" in ran.err
    assert 20 <= done <= 34


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--prompt_column", "problm"], "no column 'problm'; did you mean 'problem'?"),
        (["--model", "teachr"], "has no model 'teachr'; did you mean 'teacher'?"),
        (["--num_samples", "4", "--temperature", "0"], "temperature 0 gives the same completion every time"),
        (["--top_p", "0"], "top_p must be above 0"),
        (["--max_cost", "5"], "max_cost needs prices"),
        (["--concurrency", "0"], "concurrency must be at least 1"),
        (["--backend", "transformers"], "--backend transformers needs a model"),
        (["--prompt_template", "{{ problm }}"], "did you mean 'problem'"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_asked(
    open_r1: Command, tmp_path: Path, words: list[str], said: str
) -> None:
    source = write_problems(tmp_path / "p.jsonl", 5)
    with running_fake(FakeSettings(model="teacher")) as fake:
        server = [] if "--backend" in words else ["--server", fake.url]
        ran = open_r1("data", "generate", source, "--output_dir", tmp_path / "out", *server, *words)
        assert fake.server.counts["requests"] == 0
    assert ran.status == 2
    assert said in ran.err
    assert not (tmp_path / "out").exists()


def test_an_absent_server_leaves_no_folder_behind(open_r1: Command, tmp_path: Path) -> None:
    source = write_problems(tmp_path / "p.jsonl", 5)
    ran = open_r1("data", "generate", source, "--output_dir", tmp_path / "out", "--server", "127.0.0.1:1")
    assert ran.status == 2
    assert "no server answers (http://127.0.0.1:1/v1/models: Connection refused)" in ran.err
    assert not (tmp_path / "out").exists()


def test_other_settings_in_the_same_folder_are_refused(open_r1: Command, tmp_path: Path) -> None:
    source, out = write_problems(tmp_path / "p.jsonl", 5), tmp_path / "out"
    with running_fake() as fake:
        command = ["data", "generate", source, "--server", fake.url, "--output_dir", out, *FAST]
        assert open_r1(*command).status == 0
        ran = open_r1(*command, "--temperature", 1.0)
        assert (ran.status, "temperature" in ran.err) == (2, True)
        assert len(keys_of(out)) == 5
        assert open_r1(*command, "--temperature", 1.0, "--overwrite").status == 0
        assert fake.server.counts["requests"] == 10


def test_the_cost_limit_stops_the_run_which_can_go_on(open_r1: Command, tmp_path: Path) -> None:
    source, out = write_problems(tmp_path / "p.jsonl", 200), tmp_path / "out"
    with running_fake(FakeSettings(latency_s=0.001)) as fake:
        command = [
            "data", "generate", source, "--server", fake.url, "--output_dir", out, "--concurrency", 4,
            "--price_completion", 1000, *FAST,
        ]  # fmt: skip
        ran = open_r1(*command, "--max_cost", 1)
        assert (ran.status, "has reached --max_cost 1" in ran.err) == (1, True)
        assert 50 <= len(keys_of(out)) <= 60
        assert open_r1(*command).status == 0
    assert len(set(keys_of(out))) == len(keys_of(out)) == 200


def test_a_dry_run_shows_the_first_request_and_asks_nothing(open_r1: Command, tmp_path: Path) -> None:
    source = write_problems(tmp_path / "p.jsonl", 5)
    ran = open_r1(
        "data", "generate", source, "--output_dir", tmp_path / "out", "--dry-run", "--num_samples", 4,
        "--system_prompt", "Think.", "--price_completion", 2,
    )  # fmt: skip
    assert ran.status == 0, ran.err
    assert "5 problems × 4 samples" in ran.out
    assert "--- system\nThink.\n--- user\nSolve 0x = 0" in ran.out
    assert not (tmp_path / "out").exists()


def test_a_model_in_this_process_draws_traces_too(open_r1: Command, tmp_path: Path, tiny_model: Path) -> None:
    source, out = write_problems(tmp_path / "p.jsonl", 6), tmp_path / "out"
    command = [
        "data", "generate", source, "--backend", "transformers", "--model", tiny_model, "--num_samples", 2,
        "--temperature", 1.0, "--max_new_tokens", 8, "--batch_size", 4, "--output_dir", out,
    ]  # fmt: skip
    assert open_r1(*command, "--max_problems", 4).status == 0
    ran = open_r1(*command)
    assert ran.status == 0, ran.err
    assert len(set(keys_of(out))) == len(keys_of(out)) == 12
    rows = read_jsonl(out / "traces.jsonl")
    assert all(1 <= row["completion_tokens"] <= 8 and row["endpoint"] == "in-process" for row in rows)
    by_problem: dict[str, set[str]] = {}
    for row in rows:
        by_problem.setdefault(row["problem_id"], set()).add(row["completion"])
    assert all(len(texts) == 2 for texts in by_problem.values())


def test_another_model_under_the_same_name_is_not_mixed_in(open_r1: Command, tmp_path: Path, tiny_model: Path) -> None:
    source, model, out = write_problems(tmp_path / "p.jsonl", 2), tmp_path / "model", tmp_path / "out"
    shutil.copytree(tiny_model, model)
    command = ["data", "generate", source, "--backend", "transformers", "--model", model, "--max_new_tokens", 4]
    assert open_r1(*command, "--output_dir", out).status == 0
    weights = bytearray((model / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (model / "model.safetensors").write_bytes(weights)
    ran = open_r1(*command, "--num_samples", 2, "--output_dir", out)
    assert ran.status == 2
    assert "contents of the model folder" in ran.err


def start(source: Path, fake: Running, out: Path, samples: int) -> subprocess.Popen[bytes]:
    words = ["data", "generate", source, "--server", fake.url, "--num_samples", samples, "--output_dir", out, *FAST]
    command = [sys.executable, "-m", "open_r1.cli.main", *map(str, words)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True, preexec_fn=heed_interrupts)


def heed_interrupts() -> None:
    """What a shell starts in the background, these tests perhaps, ignores them, and so does all that it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def kill_and_go_on(source: Path, fake: Running, out: Path, samples: int, kills: int, seed: int) -> list[int]:
    """Kill the command once it has drawn a random number of further samples, again and again; then let it end."""
    rng = random.Random(seed)
    step = sum(1 for _ in source.open()) * samples / (kills + 1)
    sizes = []
    for _ in range(kills):
        process = start(source, fake, out, samples)
        target = count_lines(out) + rng.uniform(0.2, 0.9) * step
        deadline = time.monotonic() + 120
        while count_lines(out) < target and process.poll() is None and time.monotonic() < deadline:
            time.sleep(rng.uniform(0.001, 0.02))
        assert process.poll() is None, process.stderr and process.stderr.read().decode()
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        sizes.append(count_lines(out))
    for _ in range(
        5
    ):  # the last runs may leave samples that failed many times in a row: the same command takes them up
        process = start(source, fake, out, samples)
        _, said = process.communicate(timeout=300)
        if process.returncode == 0:
            return sizes
        assert b"the same command tries them again" in said, said.decode()
    raise AssertionError(said.decode())


def count_lines(out: Path) -> int:
    path = out / "traces.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def check_kills(tmp_path: Path, problems: int, samples: int, kills: int) -> None:
    source, out = write_problems(tmp_path / "p.jsonl", problems), tmp_path / "out"
    with running_fake(FakeSettings(latency_s=0.02, faults=HOSTILE)) as fake:
        sizes = kill_and_go_on(source, fake, out, samples, kills, seed=problems)
    assert len(sizes) == kills
    assert sizes == sorted(set(sizes))
    keys = keys_of(out)
    assert len(keys) == len(set(keys)) == problems * samples
    numbers = [(row["number"], row["sample"]) for row in read_jsonl(out / "traces.jsonl")]
    assert sorted(numbers) == [(number, sample) for number in range(problems) for sample in range(samples)]


def test_three_kills_lose_nothing_and_draw_nothing_twice(tmp_path: Path) -> None:
    check_kills(tmp_path, problems=300, samples=4, kills=3)


@pytest.mark.slow
def test_twenty_kills_of_eight_thousand_samples_lose_nothing_and_draw_nothing_twice(tmp_path: Path) -> None:
    check_kills(tmp_path, problems=2000, samples=4, kills=20)


def test_a_polite_stop_keeps_what_has_come_and_says_how_to_go_on(tmp_path: Path) -> None:
    source, out = write_problems(tmp_path / "p.jsonl", 20_000), tmp_path / "out"
    for sent, status, said in (
        (signal.SIGTERM, 1, b"run the same command again"),
        (signal.SIGINT, 130, b"interrupted"),
    ):
        with running_fake(FakeSettings(latency_s=1.0)) as fake:
            process = start(source, fake, out, 1)
            before = count_lines(out)
            while count_lines(out) < before + 100:
                assert process.poll() is None
                time.sleep(0.01)
            process.send_signal(sent)
            _, words = process.communicate(timeout=60)
        assert process.returncode == status
        assert said in words
        assert read_json(out / "summary.json")["samples"] == count_lines(out)
    assert len(set(keys_of(out))) == len(keys_of(out))


def test_two_commands_on_one_folder_do_not_mix(tmp_path: Path) -> None:
    source, out = write_problems(tmp_path / "p.jsonl", 10_000), tmp_path / "out"
    with running_fake(FakeSettings(latency_s=0.3)) as fake:
        first = start(source, fake, out, 1)
        while count_lines(out) < 10:
            assert first.poll() is None
            time.sleep(0.01)
        second = start(source, fake, out, 1)
        _, said = second.communicate(timeout=60)
        os.killpg(first.pid, signal.SIGKILL)
        first.communicate()
    assert second.returncode == 2
    assert b"another run is writing" in said


def test_a_model_that_fails_in_this_process_ends_the_run_with_what_is_done(
    open_r1: Command, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from open_r1.generation.slots import SlotEngine

    source, out = write_problems(tmp_path / "p.jsonl", 12), tmp_path / "out"
    whole = SlotEngine.complete

    def fail_after_eight(self: Any, *arguments: Any) -> Any:
        yield from itertools.islice(whole(self, *arguments), 8)
        raise RuntimeError("out of memory")

    monkeypatch.setattr(SlotEngine, "complete", fail_after_eight)
    command = [
        "data", "generate", source, "--backend", "transformers", "--model", tiny_model, "--max_new_tokens", 4,
        "--batch_size", 4, "--output_dir", out,
    ]  # fmt: skip
    ran = open_r1(*command)
    assert (ran.status, "the model in this process has failed (out of memory)" in ran.err) == (1, True)
    assert len(keys_of(out)) == 8
    assert open_r1(*command).status == 0
    assert len(set(keys_of(out))) == len(keys_of(out)) == 12
