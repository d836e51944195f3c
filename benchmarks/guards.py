"""Guards: five faults, each to be named within 20 steps or before the first, and the demonstration, which is healthy.

    .venv/bin/python benchmarks/guards.py --seeds 0 1 2

For each seed the tiny recipe's model is made up to SFT, whose own alarms count as false. GRPO then trains it by
recipes/tiny/grpo.yaml, held-out accuracy every 5 steps: once as the recipe is, and once with each fault. Prints at which
step each fault is named, in which words, and how many alarms the healthy runs raise, which must be none.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo import REPO, describe_machine
from dynamic_sampling import TINY, make_model

from open_r1.rundir import read_jsonl, write_jsonl

WORD = "7"
LIMIT = 20
HELD_OUT = 150
WITHOUT_THINKING = (
    "{%- for message in messages %}{{- '<|im_start|>' + message['role'] + '\\n' }}"
    "{%- if message['role'] == 'assistant' %}"
    "{%- generation %}{{- message['content'].split('</think>')[-1] + '<|im_end|>' }}{%- endgeneration %}{{- '\\n' }}"
    "{%- else %}{{- message['content'] + '<|im_end|>\\n' }}{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)
"""A chat template that leaves out what comes before `</think>`, as some published ones do."""


def paid_for_a_word(completions: list[Any], **columns: Any) -> list[float]:
    """A reward for the word in the answer, whatever the problem.

    Anywhere in the completion it would not do: longer workings have more digits, and are right more often.
    """
    return [float(WORD in completion[0]["content"].rpartition("<answer>")[2]) for completion in completions]


@dataclass(frozen=True)
class Outcome:
    """What a run said: the step of each alarm with its words; the refusal, where it ended before the first step."""

    alarms: list[tuple[int, str]]
    refusal: str = ""


def train(kind: str, out: Path, *words: object) -> Outcome:
    """Train by the command line; an exit that is neither success nor a usage error ends the benchmark."""
    environment = os.environ | {"PYTHONPATH": f"{REPO}/benchmarks:{REPO}/src", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "open_r1.cli.main", kind, "--config", TINY / f"{kind}.yaml", "--output_dir", out]
    ran = subprocess.run([*map(str, command + list(words))], cwd=REPO, env=environment, capture_output=True, text=True)
    if ran.returncode == 2:
        return Outcome([], ran.stderr.strip().splitlines()[-1])
    if ran.returncode:
        raise SystemExit(ran.stderr)
    return Outcome(alarms_of(out))


def alarms_of(run: Path) -> list[tuple[int, str]]:
    """Step and words of the alarms in a run's records."""
    file = run / "alarms.jsonl"
    return [(row["step"], row["text"]) for row in read_jsonl(file)] if file.exists() else []


def split_problems(folder: Path) -> Path:
    """A data set of the recipe's problems, some of the held-out ones as its test split."""
    data = folder / "split"
    data.mkdir()
    write_jsonl(data / "train.jsonl", read_jsonl(folder / "problems" / "rl.jsonl"))
    write_jsonl(data / "test.jsonl", read_jsonl(folder / "problems" / "held_out.jsonl")[:HELD_OUT])
    return data


def without_gold(data: Path) -> Path:
    """The same problems without the column of their solutions."""
    file = data.parent / "without_gold.jsonl"
    write_jsonl(file, [{"prompt": row["prompt"]} for row in read_jsonl(data / "train.jsonl")])
    return file


def faults(folder: Path, seed: int, data: Path) -> dict[str, Callable[[], Outcome]]:
    """The runs by name; the first is the healthy one."""
    seeded = ["--seed", seed, "--save_strategy", "no", "--logging_steps", 1]
    watched = ["--eval_strategy", "steps", "--eval_steps", 5, "--eval_on_start", "--num_generations_eval", 4,
               "--per_device_eval_batch_size", 200]  # fmt: skip
    short = ["--max_steps", LIMIT]

    def grpo(name: str, *words: object, problems: Path = data) -> Outcome:
        model = ["--model_name_or_path", folder / "sft", "--dataset_name", problems]
        return train("grpo", folder / name, *model, *seeded, *words)

    def sft(name: str, *words: object) -> Outcome:
        model = ["--model_name_or_path", folder / "base", "--dataset_name", folder / "traces" / "traces.jsonl"]
        return train("sft", folder / name, *model, *seeded, *short, *words)

    word = ["--reward_funcs", "guards:paid_for_a_word", "--reward_weights", 1.0]
    cut, unchecked = ["--max_completion_length", 8], ["--preflight_prompts", 0]
    return {
        "none: GRPO": lambda: grpo("healthy", *watched),
        "rate × 100, GRPO": lambda: grpo("rate", *watched, *short, "--learning_rate", "3e-2"),
        "rate × 100, SFT": lambda: sft("sft_warmed_rate", "--learning_rate", "3e-1"),
        "rate × 100, SFT without warm-up": lambda: sft("sft_rate", "--learning_rate", "3e-1", "--warmup_steps", 0),
        "a reward paid for a word": lambda: grpo("word", *watched, *short, *word),
        "a template that removes `<think>`": lambda: sft("template", "--chat_template", WITHOUT_THINKING),
        "completions cut at 8 tokens": lambda: grpo("cut", *short, *cut),
        "the same, unchecked": lambda: grpo("cut_unchecked", *short, *cut, *unchecked),
        "a missing gold column": lambda: grpo("gold", *short, problems=without_gold(data)),
    }


def naming(fault: str, alarms: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """The first alarm that names the fault; of a healthy run all of them."""
    words = {"rate": "lower learning_rate", "a reward": "reward rose", "the same": "cut off"}
    word = next((word for start, word in words.items() if fault.startswith(start)), "")
    return alarms if fault.startswith("none") else [alarm for alarm in alarms if word in alarm[1]][:1]


def describe(seed: int, fault: str, outcome: Outcome) -> str:
    """A row of the table."""
    alarms = naming(fault, outcome.alarms)
    named = "before the first step" if outcome.refusal else ", ".join(str(step) for step, _ in alarms) or "never"
    words = outcome.refusal or " ".join(text for _, text in alarms) or "–"
    return f"| {seed} | {fault} | {named} | {words.replace('|', '/')} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--faults", nargs="+", help="only these, by what the table calls them")
    parser.add_argument("--keep", type=Path, help="keep the runs in this folder")
    parser.add_argument("--write", action="store_true", help="keep the output in benchmarks/results/")
    arguments = parser.parse_args()
    table, false, missed = [], 0, []
    with tempfile.TemporaryDirectory() as temporary:
        for seed in arguments.seeds:
            folder = (arguments.keep or Path(temporary)) / f"seed-{seed}"
            folder.parent.mkdir(parents=True, exist_ok=True)
            make_model(folder, seed, quick=False)
            table.append(describe(seed, "none: SFT", of_sft := Outcome(alarms_of(folder / "sft"))))
            false += len(of_sft.alarms)
            print(table[-1], flush=True)
            for fault, run in faults(folder, seed, split_problems(folder)).items():
                if arguments.faults and fault not in arguments.faults:
                    continue
                outcome = run()
                table.append(describe(seed, fault, outcome))
                print(table[-1], flush=True)
                if fault.startswith("none"):
                    false += len(outcome.alarms)
                elif not outcome.refusal and not naming(fault, outcome.alarms):
                    missed.append(f"seed {seed}: {fault}")
    text = "\n\n".join([
        "# Guards: faults and false alarms",
        f"{describe_machine()}; `benchmarks/guards.py {shlex.join(sys.argv[1:])}`",
        "\n".join(["| seed | fault | named at step | words |", "|---" * 4 + "|", *table]),
        f"False alarms of healthy runs: {false}. Faults not named within {LIMIT} steps: {', '.join(missed) or 'none'}.",
    ])  # fmt: skip
    print(text)
    if arguments.write:
        (REPO / "benchmarks" / "results" / "guards.md").write_text(text + "\n", encoding="utf-8")
    return 1 if false or missed else 0


if __name__ == "__main__":
    sys.exit(main())
