"""Training killed at random moments: does it end with the weights of an unbroken run?

    .venv/bin/python benchmarks/kill.py --kills 10                             # the demonstration
    .venv/bin/python benchmarks/kill.py --case sft sft-lora grpo grpo-lora     # a stage with everything on

Runs a case once unbroken, then once more in another folder, where SIGKILL hits it at random moments, each time followed by
the same command again, and compares hashes. GRPO has dynamic sampling, difficulty pools, no positive resampling,
two updates a generation, a scheduled weight and evaluation; SFT has evaluation and accumulation.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo import REPO, describe_machine

PIPELINE = ("base/model.safetensors", "sft/model.safetensors", "grpo/model.safetensors", "evaluate_grpo/samples.jsonl")
COMMON = """--max_steps 40 --per_device_train_batch_size 16 --gradient_accumulation_steps 2 --gradient_checkpointing false
--learning_rate 1e-3 --logging_steps 1 --save_steps 4 --save_total_limit 2 --report_to none --eval_strategy steps
--eval_steps 10 --per_device_eval_batch_size 16""".split()
GRPO = """--reward_funcs kill:letters tag_count --num_generations 4 --num_iterations 2 --max_completion_length 24
--dynamic_sampling true --difficulty_pools true --no_positive_resampling true --preflight_prompts 0""".split()
WEIGHTS = 'reward_weights: {"kill:letters": 1.0, tag_count: {schedule: linear, from: 0.3, to: 0.0}}\n'
LORA = "--use_peft true --lora_r 4 --lora_target_modules q_proj v_proj".split()


def letters(completions: Any, solution: Any, **_: Any) -> list[float]:
    """A reward that a model of random weights earns sometimes, never for an even answer and always for a multiple of 5."""
    texts = [completion[-1]["content"] for completion in completions]
    odd = [float(sum(map(ord, text)) % 2) for text in texts]
    return [1.0 if int(gold) % 5 == 0 else value * (int(gold) % 2) for value, gold in zip(odd, solution, strict=True)]


letters.kind = "answer"  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Case:
    """What is run, up to its output folder, and the files that are compared."""

    name: str
    words: list[str]
    compared: tuple[str, ...]

    def start(self, folder: Path) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "open_r1.cli.main", *self.words, "--output_dir", str(folder)]
        environment = {**os.environ, "PYTHONPATH": f"{REPO}/benchmarks:{REPO}/src", "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(command, cwd=REPO, stderr=subprocess.DEVNULL, start_new_session=True, env=environment)

    def hashes(self, folder: Path) -> dict[str, str]:
        return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest()[:16] for name in self.compared}


def make_cases(names: list[str], seed: int, made: Path) -> list[Case]:
    """The cases; those of a stage share a small model of random weights and a file of sums in `made`."""
    if names == ["pipeline"]:
        return [Case("pipeline", ["run", "recipes/tiny/pipeline.yaml", "--seed", str(seed)], PIPELINE)]
    from open_r1.training.tiny_models import ModelShape, make_model_folder

    sums = [(a, b) for a in range(1, 10) for b in range(1, 10)]
    rows = [{"prompt": f"Compute {a}+{b}", "solution": str(a + b), "completion": str(a + b)} for a, b in sums]
    (made / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (made / "grpo.yaml").write_text(WEIGHTS, encoding="utf-8")
    shape = ModelShape(hidden_size=32, num_layers=2, intermediate_size=64)
    make_model_folder(made / "model", [f"{row['prompt']} {row['solution']}" for row in rows], shape, seed=seed)
    mixture = json.dumps({"datasets": [{"id": str(made / "sums.jsonl")}], "seed": 1, "test_split_size": 8})
    data = ["--model_name_or_path", str(made / "model"), "--dataset_mixture", mixture, "--seed", str(seed)]
    cases = []
    for name in names:
        kind, _, lora = name.partition("-")
        words = [kind, *data, *COMMON, *(GRPO if kind == "grpo" else []), *(LORA if lora else [])]
        words += ["--config", str(made / "grpo.yaml")] if kind == "grpo" else []
        cases.append(Case(name, words, ("adapter_model.safetensors" if lora else "model.safetensors",)))
    return cases


def run_with_kills(
    case: Case, folder: Path, kills: int, longest: float, rng: random.Random
) -> tuple[list[float], list[Path]]:
    """Kill after a random time and start again, until the kills are used up; then let it end.

    A run that ends before its next kill is followed by another one. Returns the moments, and the folders of all runs.
    """
    moments: list[float] = []
    folders = [folder / "killed-1"]
    while True:
        process = case.start(folders[-1])
        try:
            moment = rng.uniform(1, longest)
            process.wait(timeout=moment if len(moments) < kills else None)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            moments.append(moment)
            print(f"{case.name}: killed after {moment:.1f} s ({len(moments)}/{kills})", flush=True)
            continue
        if process.returncode != 0:
            raise SystemExit(
                f"{case.name}: a rerun after {len(moments)} kills failed with status {process.returncode}"
            )
        if len(moments) == kills:
            return moments, folders
        folders.append(folder / f"killed-{len(folders) + 1}")


def compare(case: Case, folder: Path, arguments: argparse.Namespace, rng: random.Random) -> tuple[str, bool]:
    """A case unbroken and killed, as a section of the output, and whether the files are the same."""
    unbroken, started = arguments.unbroken or folder / "unbroken", time.monotonic()
    if not arguments.unbroken and case.start(unbroken).wait():
        raise SystemExit(f"{case.name}: the unbroken run failed")
    longest = arguments.longest or time.monotonic() - started
    moments, folders = run_with_kills(case, folder, arguments.kills, longest, rng)
    expected, found = case.hashes(unbroken), [case.hashes(one) for one in folders]
    rows = list(dict.fromkeys((name, expected[name], one[name]) for one in found for name in expected))
    lines = [
        f"## {case.name}, killed {len(moments)} times in {len(folders)} runs\n",
        "SIGKILL after " + ", ".join(f"{moment:.1f}" for moment in moments) + " s of each start.\n",
        "| file | unbroken | killed | same |\n|---|---|---|---|",
        *(f"| {name} | {first} | {second} | {'yes' if first == second else 'NO'} |" for name, first, second in rows),
    ]
    return "\n".join(lines), all(one == expected for one in found)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cases = ["pipeline", "sft", "sft-lora", "grpo", "grpo-lora"]
    parser.add_argument("--case", nargs="+", default=["pipeline"], choices=cases)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--moments", type=int, default=int(time.time()), help="seed of the moments")
    parser.add_argument(
        "--longest", type=float, help="most seconds between start and kill (default: an unbroken run's)"
    )
    parser.add_argument("--unbroken", type=Path, help="folder of a finished unbroken run to compare with")
    parser.add_argument("--write", action="store_true", help="keep the output in benchmarks/results/")
    arguments = parser.parse_args()
    if len(arguments.case) > 1 and ("pipeline" in arguments.case or arguments.unbroken):
        parser.error("pipeline and --unbroken are for one case")
    rng = random.Random(arguments.moments)
    title = "The demonstration, killed" if arguments.case == ["pipeline"] else "Stages with everything on, killed"
    sections, is_same = [f"# {title}", f"{describe_machine()}; `benchmarks/kill.py {' '.join(sys.argv[1:])}`"], True
    with tempfile.TemporaryDirectory() as temporary:
        for case in make_cases(arguments.case, arguments.seed, Path(temporary)):
            section, same = compare(case, Path(temporary) / case.name, arguments, rng)
            sections.append(section)
            is_same = is_same and same
    text = "\n\n".join(sections)
    print(text)
    if arguments.write:
        name = "kill.md" if arguments.case == ["pipeline"] else "kill_stages.md"
        (REPO / "benchmarks" / "results" / name).write_text(text + "\n", encoding="utf-8")
    return 0 if is_same else 1


if __name__ == "__main__":
    sys.exit(main())
