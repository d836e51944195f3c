"""A small simulator of training at scale, and its predictions beside runs on this machine.

    python benchmarks/scaling.py                     # the tables of docs/scaling.md
    python benchmarks/scaling.py --check [--write]   # and three predictions beside real runs, about five minutes

Simulated are the seconds of a GRPO step whose rewards are scored afterwards or while others are sampled, tokens a second of
synchronous and asynchronous training, the wall time of a run that is killed, and the bytes of a rollout.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from demo import REPO, describe_machine

from open_r1.gpus import find_gpu
from open_r1.launch.plan.durations import BANDWIDTH_SHARE, MFU

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
        from scaling_checks import run_checks

        load = os.getloadavg()[0]
        rows = run_checks(arguments.data)
        loads = f"Load of the machine: {load:.1f} before, {os.getloadavg()[0]:.1f} after."
        parts += ["## Predictions beside runs", loads, markdown(["what", "predicted", "measured", "error"], rows)]
    text = "\n\n".join(parts)
    print(text)
    if arguments.write:
        (REPO / "benchmarks" / "results" / "scaling.md").write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
