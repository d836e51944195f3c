"""What it costs to measure seconds by phase: processor time of GRPO steps with the clock and without it, in turn.

    .venv/bin/python benchmarks/phases.py

One training of a tiny model with random weights. Every other step has a clock that does nothing, and its tokens are not
counted. Prints the median processor time of both kinds of step, the 95 % interval of the difference between neighbours, and
what the phases of a step cost by themselves.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

from demo import describe_machine
from transformers import TrainerCallback

from open_r1.cli.main import main as open_r1
from open_r1.rundir import write_jsonl
from open_r1.training import grpo, phases
from open_r1.training.tiny_models import ModelShape, make_model_folder

WARM_UP = 10


def vowels(completions: list[Any], **columns: Any) -> list[float]:
    """A reward that differs within a group of random completions, so that each step has an update."""
    return [sum(letter in "aeiou" for letter in turns[0]["content"]) / 8 for turns in completions]


class NoClock(phases.PhaseClock):
    """A clock that measures nothing."""

    def enter(self, phase: str) -> None:
        return

    leave = read = lambda self: {}  # type: ignore[assignment]

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        yield


class CountingClock(phases.PhaseClock):
    """The clock, with the number of phases that it has measured."""

    entered = 0

    def enter(self, phase: str) -> None:
        self.entered += 1
        super().enter(phase)


def seconds_a_phase(repetitions: int = 100_000) -> float:
    """Processor seconds to begin and end a phase."""
    clock, started = phases.PhaseClock(), time.process_time()
    for _ in range(repetitions):
        with clock.phase("update"):
            pass
    return (time.process_time() - started) / repetitions


class Turns(TrainerCallback):
    """Takes the clock away at every other step; the processor seconds of each step, what follows it included."""

    def __init__(self, trainer: Any) -> None:
        self.trainer, self.without, self.count = trainer, NoClock(), phases.count_tokens
        self.seconds: list[float] = []
        self.started: float | None = None
        self.clock: Any = None

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        now = time.process_time()
        if self.started is not None:
            self.seconds.append(now - self.started)
        self.clock = self.clock or CountingClock()
        is_measured = state.global_step % 2 == 0
        self.trainer.clock = self.clock if is_measured else self.without
        phases.count_tokens = self.count if is_measured else lambda inputs: (0, 0)
        self.started = time.process_time()


def train(folder: Path, steps: int) -> Turns:
    """What was measured of each step but the last, from the first, which has the clock."""
    texts = ["Compute 7+5-3", "<think>\n7+5=12\n12-3=9\n</think>\n<answer>\n\\boxed{9}\n</answer>"] * 20
    make_model_folder(folder / "model", texts, ModelShape(hidden_size=96, num_layers=2), seed=0)
    rows = [{"prompt": f"Compute {a}+{b}", "solution": str(a + b)} for a in range(20) for b in range(20)]
    write_jsonl(folder / "problems.jsonl", rows)
    build: Callable[..., Any] = grpo.prepare_trainer
    turns: list[Turns] = []

    def prepare(trainer: Any, *rest: Any) -> None:
        build(trainer, *rest)
        turns.append(Turns(trainer))
        trainer.add_callback(turns[0])

    grpo.prepare_trainer = prepare
    status = open_r1([
        "grpo", "--model_name_or_path", str(folder / "model"), "--dataset_name", str(folder / "problems.jsonl"),
        "--output_dir", str(folder / "out"), "--reward_funcs", f"{__file__}:vowels", "--max_steps", str(steps + 1),
        "--per_device_train_batch_size", "32", "--num_generations", "8", "--max_completion_length", "32", "--logging_steps",
        "1", "--gradient_checkpointing", "false", "--report_to", "none", "--preflight_prompts", "0", "--save_strategy", "no",
        "--use_cpu", "true", "--guards", "off",
    ])  # fmt: skip
    if status:
        raise SystemExit(status)
    return turns[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=200)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        turns = train(Path(folder), arguments.steps + WARM_UP)
    seconds = turns.seconds[WARM_UP:]
    measured, plain = seconds[0::2], seconds[1::2]
    differences = [(with_clock - without) / median(plain) for with_clock, without in zip(measured, plain, strict=True)]
    half = 1.96 * stdev(differences) / len(differences) ** 0.5
    print(f"{describe_machine()}; `benchmarks/phases.py {' '.join(sys.argv[1:])}`")
    print(f"median processor time of a step: {median(measured):.4f} s with the clock, {median(plain):.4f} s without")
    print(
        f"mean difference: {mean(differences):+.2%} [{mean(differences) - half:+.2%}, {mean(differences) + half:+.2%}]"
    )
    a_step, a_phase = turns.clock.entered / (len(turns.seconds) / 2), seconds_a_phase()
    share = a_step * a_phase / median(plain)
    print(f"{a_step:.1f} phases a step, {1e6 * a_phase:.1f} µs each: {share:.3%} of a step")


if __name__ == "__main__":
    main()
