"""A small simulator of training at scale, and its predictions beside runs on this machine.

    python benchmarks/scaling.py                     # the tables of docs/scaling.md
    python benchmarks/scaling.py --check [--write]   # and three predictions beside real runs, about five minutes

Simulated are the seconds of a GRPO step whose rewards are scored afterwards or while others are sampled, tokens a second of
synchronous and asynchronous training, the wall time of a run that is killed, and the bytes of a rollout. The checks run
`open-r1 grpo` with a reward that waits, so that a step's seconds depend little on what else the machine does.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from demo import REPO, describe_machine

from open_r1.gpus import find_gpu
from open_r1.launch.plan.durations import BANDWIDTH_SHARE, MFU

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


# --- the simulator


def scored_at(ends: Iterable[float], each_s: float, servers: int = 1) -> float:
    """When the last sample is scored, if each is scored for `each_s` seconds from its end on, by so many servers."""
    free = [0.0] * servers
    for end in sorted(ends):
        first = free.index(min(free))
        free[first] = max(free[first], end) + each_s
    return max(free)


def step_seconds(
    lengths: Sequence[int], sampling_s: float, each_s: float, rest_s: float, is_overlapped: bool
) -> float:
    """Seconds of a GRPO step on one machine: sampling, rewards, and the rest (update, log-probabilities, logging).

    Args:
        lengths: Tokens of each completion; all start together, so one ends at its share of the longest.
        each_s: Of scoring one sample; one is scored at a time.
    """
    if not is_overlapped:
        return sampling_s + each_s * len(lengths) + rest_s
    ends = [sampling_s * length / max(lengths) for length in lengths]
    return max(sampling_s, scored_at(ends, each_s)) + rest_s


def wall_seconds(
    steps: int, step_s: float, every: int, save_s: float, start_s: float, kills: Iterable[float]
) -> float:
    """Wall time of a run of so many steps that is killed so many seconds after each start, and started again.

    A checkpoint is complete `save_s` after its step; a start takes `start_s` before its first step.
    """
    wall, done = 0.0, 0
    for kill in [*kills, math.inf]:
        clock, step = start_s, done
        while step < steps:
            clock += step_s
            step += 1
            is_saved = step % every == 0 or step == steps
            clock += save_s if is_saved else 0.0
            if clock > kill:
                break
            done = step if is_saved else done
        if done == steps:
            return wall + clock
        wall += kill
    return wall


def young(save_s: float, mean_failure_s: float) -> float:
    """The best time between checkpoints (Young 1974): sqrt(2 x save x mean time between failures)."""
    return math.sqrt(2 * save_s * mean_failure_s)


def daly(save_s: float, mean_failure_s: float) -> float:
    """The best time between checkpoints (Daly 2006, its higher-order estimate), better where failures are frequent."""
    if save_s >= 2 * mean_failure_s:
        return mean_failure_s
    x = save_s / (2 * mean_failure_s)
    return math.sqrt(2 * save_s * mean_failure_s) * (1 + math.sqrt(x) / 3 + x / 9) - save_s


def lost_share(interval_s: float, save_s: float, start_s: float, mean_failure_s: float) -> float:
    """Share of the wall time that is lost, with exponential times between failures (Daly 2006, its complete cost)."""
    m = mean_failure_s
    wall_of_interval = m * math.exp(start_s / m) * (math.exp((interval_s + save_s) / m) - 1)
    return 1 - interval_s / wall_of_interval


@dataclass(frozen=True)
class Regime:
    """A model on GPUs of one kind that samples completions and learns from them; the defaults are Qwen2.5-7B's.

    Args:
        at_once: Sequences that one GPU samples at a time.
        median, p95, cap: Tokens of a completion, log-normal.
    """

    parameters: float = 7.6e9
    cache_bytes: int = 2 * 2 * 28 * 512
    gpu: str = "H100-80GB"
    at_once: int = 128
    median: int = 3000
    p95: int = 12000
    cap: int = 16384

    def lengths(self, count: int, seed: int = 0) -> np.ndarray:
        spread = math.log(self.p95 / self.median) / 1.6449
        sampled = np.random.default_rng(seed).lognormal(math.log(self.median), spread, count)
        return np.minimum(sampled, self.cap).astype(int)

    def token_s(self, contexts: np.ndarray) -> float:
        """Seconds of one more token of each sequence: weights and cache are read once."""
        read = 2 * self.parameters + float(contexts.sum()) * self.cache_bytes
        return read / (BANDWIDTH_SHARE * find_gpu(self.gpu).bandwidth)

    def sampling(self, batches: int, is_endless: bool, stride: int = 32) -> tuple[float, float]:
        """(seconds, tokens) of one GPU that samples `batches` x `at_once` completions; one that ends makes room for another.

        Endless: the time is read when no other is left to take the room; else when the longest has ended.
        """
        waiting = list(self.lengths(batches * self.at_once))
        seconds = tokens = 0.0
        left, contexts = np.zeros(0, int), np.zeros(0, int)
        while waiting or (left.size and not is_endless):
            room = self.at_once - left.size
            new, waiting = np.array(waiting[:room], int), waiting[room:]
            left, contexts = np.concatenate([left, new]), np.concatenate([contexts, np.zeros(new.size, int)])
            seconds += stride * self.token_s(contexts)
            tokens += float(np.minimum(left, stride).sum())
            left, contexts = left - stride, contexts + stride
            left, contexts = left[left > 0], contexts[left > 0]
        return seconds, tokens

    def update_s(self, tokens: float) -> float:
        """Seconds of one GPU that learns from so many tokens: log-probabilities (2), forward and backward (6)."""
        return 8 * self.parameters * tokens / (MFU * find_gpu(self.gpu).flops)


def regime_rows(regime: Regime) -> list[list[str]]:
    """Tokens a second for each GPU: sampling and learning in turn, and at the same time on GPUs of their own."""
    rows = []
    for name, sampled in (
        ("in turn, one batch a round", regime.sampling(1, is_endless=False)),
        ("in turn, four batches a round", regime.sampling(4, is_endless=False)),
        ("at the same time, GPUs divided to fit", regime.sampling(6, is_endless=True)),
    ):
        seconds, tokens = sampled
        update = regime.update_s(tokens)
        rows.append(
            [
                name,
                f"{tokens / seconds:,.0f}",
                f"{update / (seconds + update):.0%}",
                f"{tokens / (seconds + update):,.0f}",
            ]
        )
    return rows


# --- its predictions beside runs


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
            "--reward_funcs", f"scaling:{self.reward}", "--num_generations", "4", "--per_device_train_batch_size", "32",
            "--max_completion_length", str(self.completion), "--max_steps", str(self.steps), "--logging_steps", "1",
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


# --- tables


def markdown(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [list(headings), ["---"] * len(headings), *map(list, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def failure_rows(save_s: float = 60.0, start_s: float = 600.0, hours_each: float = 50_700.0) -> list[list[str]]:
    """Time between failures, best interval and what is lost, by the number of GPUs."""
    rows = []
    for gpus in (8, 64, 256, 1000, 4096, 16384):
        mean_s = hours_each * 3600 / gpus
        best = daly(save_s, mean_s)
        lost = [lost_share(one, save_s, start_s, mean_s) for one in (best, 3600.0, 6 * 3600.0)]
        rows.append(
            [f"{gpus:,}", f"{mean_s / 3600:,.1f} h", f"{best / 60:,.0f} min", *(f"{share:.1%}" for share in lost)]
        )
    return rows


ANSWERS_PER_CORE = 1024 / 0.497 / 2
"""Answers a second: benchmarks/results/rewards.json, the median round of 1,024 samples, on two cores."""
RUNS_PER_CORE = 2560 / 7.1 / 2
"""Runs of a trivial program a second: benchmarks/results/execution.md, 256 programs x 10 tests, on two cores."""
CHARACTERS = 3.0
"""Characters of a token of reasoning, assumed."""


def verifier_rows(tests: int = 10, heavy_s: float = 0.5) -> list[list[str]]:
    """Cores that keep up with a trainer, by its GPUs; a program has so many tests, heavy ones of so many seconds."""
    regime = Regime()
    seconds, tokens = regime.sampling(6, is_endless=True)
    each = tokens / (seconds + regime.update_s(tokens)) / float(regime.lengths(100_000).mean())
    rows = []
    for gpus in (8, 64, 1000):
        rate = gpus * each
        cores = (rate / ANSWERS_PER_CORE, rate * tests / RUNS_PER_CORE, rate * tests * (heavy_s + 1 / RUNS_PER_CORE))
        rows.append([f"{gpus:,}", f"{rate:,.1f}", *(f"{one:,.2f}" if one < 1 else f"{one:,.0f}" for one in cores)])
    return rows


def storage_rows(problems: float = 1e7, samples: int = 16) -> list[list[str]]:
    """What so many problems leave on disk, with the mean completion of each regime; `BYTES` of a rollout's character."""
    rows = []
    for regime in REGIMES:
        tokens = problems * samples * float(regime.lengths(100_000).mean())
        kept = (tokens * CHARACTERS, tokens * CHARACTERS * BYTES, tokens * 4)
        rows.append(
            [
                f"{regime.lengths(100_000).mean():,.0f}",
                f"{tokens / 1e12:.2f} T",
                *(f"{one / 1e12:.1f} TB" for one in kept),
            ]
        )
    return rows


BYTES = 0.47
"""Bytes of a rollout's file for each character, as `check_bytes` measures it."""

REGIMES = (Regime(median=800, p95=2400, cap=4096), Regime(), Regime(median=8000, p95=28000, cap=32768, at_once=32))
OF_REGIME = (
    "median, p95, cap",
    "at once",
    "regime",
    "sampled, tokens/s a GPU",
    "learning, share",
    "whole, tokens/s a GPU",
)
OF_FAILURE = ("GPUs", "between failures", "best interval", "lost at best", "lost at 1 h", "lost at 6 h")
OF_VERIFIER = (
    "GPUs",
    "completions a second",
    "cores for answers",
    "for 10 trivial tests each",
    "for 10 tests of 0.5 s",
)
OF_STORAGE = ("tokens of a completion", "tokens", "text", "rollouts (Parquet)", "log-probabilities, 4 bytes a token")


def tables() -> str:
    rows = [
        [f"{one.median:,}, {one.p95:,}, {one.cap:,}", f"{one.at_once}", *row]
        for one in REGIMES
        for row in regime_rows(one)
    ]
    return "\n\n".join(
        [
            "## Sampling and learning, Qwen2.5-7B on H100",
            markdown(OF_REGIME, rows),
            "## Cores that keep up",
            markdown(OF_VERIFIER, verifier_rows()),
            "## Ten million problems, 16 samples each",
            markdown(OF_STORAGE, storage_rows()),
            "## Failures",
            markdown(OF_FAILURE, failure_rows()),
        ]
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="run the predictions beside real runs")
    parser.add_argument(
        "--data", type=Path, default=REPO.parent / "shared" / "data", help="folder with GSM8K and MATH"
    )
    parser.add_argument("--write", action="store_true", help="keep the output in benchmarks/results/scaling.md")
    arguments = parser.parse_args()
    command = f"benchmarks/scaling.py{' --check' if arguments.check else ''}"
    parts = ["# Scaling: the simulator", f"{describe_machine()}; `{command}`", tables()]
    if arguments.check:
        load = os.getloadavg()[0]
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            make_inputs(folder)
            rows = check_bytes(folder, arguments.data) if arguments.data.is_dir() else []
            for check in (check_step, check_kills):
                rows += check(folder)
                print(rows, file=sys.stderr, flush=True)
        parts += [
            "## Predictions beside runs",
            f"Load of the machine: {load:.1f} before, {os.getloadavg()[0]:.1f} after.",
        ]
        parts.append(markdown(["what", "predicted", "measured", "error"], rows))
    text = "\n\n".join(parts)
    print(text)
    if arguments.write:
        (REPO / "benchmarks" / "results" / "scaling.md").write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
