"""The predictions of scaling.py beside runs on this machine; `benchmarks/scaling.py --check` carries them out.

The checks run `open-r1 grpo` with a reward that waits, so that a step's seconds depend little on what else the machine does.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from demo import REPO
from scaling import step_seconds, wall_seconds

WAIT = "OPEN_R1_SCALING_WAIT_S"


def waits(completions: Sequence[Any], **_: Any) -> list[float]:
    """A reward that takes a fixed time for each sample, as a verifier far away does."""
    for _one in completions:
        time.sleep(float(os.environ.get(WAIT, "0")))
    return [float(sum(map(ord, one[-1]["content"])) % 2) for one in completions]


def waits_alone(completions: Sequence[Any], **columns: Any) -> list[float]:
    """The same, scored while other completions are sampled."""
    return waits(completions, **columns)


waits_alone.scores_alone = True  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Job:
    """A small GRPO of a model with random weights, whose reward waits."""

    folder: Path
    reward: str
    wait_s: float
    steps: int
    save_steps: int = 1000
    completion: int = 192

    def words(self) -> list[str]:
        return [
            sys.executable, "-m", "open_r1.cli.main", "grpo", "--model_name_or_path", str(self.folder.parent / "model"),
            "--dataset_name", str(self.folder.parent / "sums.jsonl"), "--output_dir", str(self.folder), "--seed", "0",
            "--reward_funcs", f"scaling_checks:{self.reward}", "--num_generations", "4",
            "--per_device_train_batch_size", "32", "--max_completion_length", str(self.completion),
            "--max_steps", str(self.steps), "--logging_steps", "1",
            "--save_steps", str(self.save_steps), "--save_total_limit", "2", "--report_to", "none",
            "--learning_rate", "1e-5", "--preflight_prompts", "0", "--gradient_checkpointing", "false", "--use_cpu", "true",
            "--bf16", "false",
        ]  # fmt: skip

    def start(self) -> subprocess.Popen[bytes]:
        path = f"{REPO}/benchmarks:{REPO}/src"
        environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", WAIT: str(self.wait_s)}
        log = self.folder.with_suffix(".log").open("ab")
        return subprocess.Popen(
            self.words(), cwd=REPO, stdout=log, stderr=log, start_new_session=True, env=environment
        )

    def run(self) -> list[dict[str, Any]]:
        """Run it to its end; the rows of its metrics that have a step's seconds."""
        if self.start().wait():
            raise SystemExit(
                f"the run failed; see {self.folder.with_suffix('.log').read_text(encoding='utf-8')[-2000:]}"
            )
        return self.rows()

    def rows(self) -> list[dict[str, Any]]:
        lines = (self.folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        return [row for row in map(json.loads, lines) if "seconds/generation" in row]


def make_inputs(folder: Path) -> None:
    """A model of random weights, whose completions have all lengths, and a file of sums."""
    from open_r1.training.tiny_models import ModelShape, make_model_folder

    rows = [{"prompt": f"Compute {a}+{b}", "solution": str(a + b)} for a in range(1, 10) for b in range(1, 10)]
    (folder / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    shape = ModelShape(hidden_size=64, num_layers=2, intermediate_size=128)
    make_model_folder(folder / "model", [f"{row['prompt']} {row['solution']}" for row in rows], shape, seed=0)


def total(row: dict[str, Any], *left_out: str) -> float:
    """The seconds of a step, of all phases but those left out."""
    phases = {name.partition("/")[2]: value for name, value in row.items() if name.startswith("seconds/")}
    return sum(value for name, value in phases.items() if name not in left_out)


def lengths_of(folder: Path) -> dict[int, list[int]]:
    """Characters of each completion by step, which here are its tokens but for merged ones."""
    import pyarrow.parquet

    found: dict[int, list[int]] = {}
    for file in sorted((folder / "rollouts").glob("*.parquet")):
        for row in pyarrow.parquet.read_table(file, columns=["step", "completion"]).to_pylist():
            found.setdefault(row["step"], []).append(max(1, len(row["completion"])))
    return found


def check_step(folder: Path, wait_s: float = 0.05, steps: int = 6) -> list[list[str]]:
    """A step with rewards afterwards and with rewards while sampling, predicted from one without waiting."""
    plain = Job(folder / "plain", "waits", 0.0, steps).run()[1:]
    sampling = float(np.median([row["seconds/generation"] for row in plain]))
    rest = float(np.median([total(row, "generation", "rewards") for row in plain]))
    rows = []
    for name, is_overlapped in (("waits", False), ("waits_alone", True)):
        job = Job(folder / name, name, wait_s, steps)
        measured = float(np.median([total(row) for row in job.run()[1:]]))
        lengths = list(lengths_of(job.folder).values())[1:]
        predicted = float(np.median([step_seconds(one, sampling, wait_s, rest, is_overlapped) for one in lengths]))
        words = "rewards while others are sampled" if is_overlapped else "rewards after sampling"
        rows.append([f"step, {words}", f"{predicted:.2f} s", f"{measured:.2f} s", f"{predicted / measured - 1:+.0%}"])
    return rows


def pace_of(job: Job) -> tuple[float, float, float]:
    """Seconds of a step, of a checkpoint and of a start, of an unbroken run."""
    started = time.monotonic()
    rows = job.run()
    wall = time.monotonic() - started
    save_s = float(np.median([row["seconds/saving"] for row in rows if row.get("seconds/saving")] or [0.0]))
    step_s = float(np.median([total(row, "saving") for row in rows[1:]]))
    return step_s, save_s, wall - job.steps * step_s - job.steps / job.save_steps * save_s


def check_kills(folder: Path, mean_s: float = 25.0, steps: int = 40, seed: int = 1) -> list[list[str]]:
    """The wall time of a run with random kills, predicted from unbroken runs before and after it."""
    whole = Job(folder / "before", "waits", 0.03, steps, save_steps=4, completion=32)
    before = pace_of(whole)
    rng, kills, job = random.Random(seed), [], replace(whole, folder=folder / "killed")
    started = time.monotonic()
    while True:
        moment = before[2] + rng.expovariate(1 / mean_s)
        process = job.start()
        try:
            process.wait(timeout=moment)
            break
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            kills.append(moment)
    measured = time.monotonic() - started
    after = pace_of(replace(whole, folder=folder / "after"))
    step_s, save_s, start_s = ((first + second) / 2 for first, second in zip(before, after, strict=True))
    predicted = wall_seconds(steps, step_s, whole.save_steps, save_s, start_s, kills)
    moments = ", ".join(f"{one:.0f}" for one in kills)
    words = f"wall time, {steps} steps of {step_s:.2f} s, killed after {moments} s of a start"
    return [[words, f"{predicted:.0f} s", f"{measured:.0f} s", f"{predicted / measured - 1:+.0%}"]]


def write_step(path: Path, problems: Sequence[dict[str, str]], generations: int = 8) -> tuple[int, float, float]:
    """Write a step's rollouts; (bytes, characters of all completions, of all prompts).

    The completions of a problem are its answer with the words in other orders.
    """
    from open_r1.rundir.rollouts import rollout_table, write_rollouts

    rng = random.Random(0)
    prompts = [one["prompt"] for one in problems for _ in range(generations)]
    answers = [one["text"].split(" ") for one in problems for _ in range(generations)]
    texts = [" ".join(rng.sample(words, len(words))) for words in answers]
    rewards = {name: [float(rng.random() < 0.5) for _ in texts] for name in ("accuracy_reward", "format_reward")}
    reasons = {
        f"{name}_reason": ["correct" if value else "wrong" for value in values] for name, values in rewards.items()
    }
    table = rollout_table(1, prompts, texts, rewards, reasons, [rng.gauss(0, 1) for _ in texts])
    write_rollouts(path, [table])
    return path.stat().st_size, float(sum(map(len, texts))), float(sum(len(one["prompt"]) for one in problems))


def check_bytes(folder: Path, data: Path) -> list[list[str]]:
    """The bytes of a step's rollouts with MATH's solutions, predicted from those with GSM8K's."""

    def read(name: str, prompt: str, text: str) -> list[dict[str, str]]:
        lines = (data / name).read_text(encoding="utf-8").splitlines()[:400]
        return [{"prompt": row[prompt], "text": row[text]} for row in map(json.loads, lines)]

    short, long = read("gsm8k_train.jsonl", "question", "answer"), read("math500.jsonl", "problem", "solution")
    few = write_step(folder / "few.parquet", short[:20])
    many = write_step(folder / "many.parquet", short)
    each = (many[0] - few[0]) / (many[1] + many[2] - few[1] - few[2])
    fixed = few[0] - each * (few[1] + few[2])
    measured, texts, prompts = write_step(folder / "long.parquet", long)
    predicted = fixed + each * (texts + prompts)
    words = f"a rollout of {texts / 3200:,.0f} characters, at {each:.2f} bytes a character"
    return [[words, f"{predicted / 3200:,.0f} B", f"{measured / 3200:,.0f} B", f"{predicted / measured - 1:+.0%}"]]


def run_checks(data: Path) -> list[list[str]]:
    """A row for each prediction: what, predicted, measured, error; of bytes where `data` has GSM8K and MATH."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make_inputs(folder)
        rows = check_bytes(folder, data) if data.is_dir() else []
        for check in (check_step, check_kills):
            rows += check(folder)
            print(rows, file=sys.stderr, flush=True)
    return rows
