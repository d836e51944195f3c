"""GRPO with and without dynamic sampling and pools at equal tokens, on problems half of which are always or never solved.

    .venv/bin/python benchmarks/dynamic_sampling.py --seeds 0 1 2 --learning_rates 3e-4 6e-4

A small model learns the tiny recipe's tasks by SFT. Its pass rates on the problems for GRPO are measured, and as many that
are solved sometimes are put together with as many that are always or never solved. GRPO then trains on them by
recipes/tiny/grpo.yaml in steps of `--batch_size` samples with the reward `accuracy` alone, at each learning rate: as it is,
then for as many tokens with dynamic sampling, then with difficulty pools beside it, which begin with the measured rates.
Prints held-out accuracy by samples at temperature 1, with 95 % intervals clustered by problem, and the paired differences
from the first over all seeds. `--quick` is too short to learn from; it shows that everything runs.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import yaml
from demo import REPO, describe_machine, read
from transformers import TrainerCallback

from open_r1.estimates import estimate_difference, estimate_share, mean
from open_r1.rundir import read_jsonl, write_jsonl

BUDGET = "OPEN_R1_BENCHMARK_TOKENS"
ARMS = {
    "neither": [],
    "dynamic sampling": ["--dynamic_sampling", "true"],
    "dynamic sampling and pools": ["--dynamic_sampling", "true", "--difficulty_pools", "true"],
}
"""What is compared, the baseline first, and each one's settings."""
TINY = REPO / "recipes" / "tiny"


class StopAtTokens(TrainerCallback):
    """Ends training where one more step like those so far would sample more tokens than the environment says."""

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        seen = state.num_input_tokens_seen
        if seen + seen / state.global_step > float(os.environ.get(BUDGET, "inf")):
            control.should_training_stop = True


def run(*words: object, tokens: float = float("inf")) -> None:
    """Run `open-r1 …`; its words go to stderr."""
    environment = {
        **os.environ,
        "PYTHONPATH": f"{REPO}/benchmarks:{REPO}/src",
        "OMP_NUM_THREADS": "1",
        BUDGET: str(tokens),
    }
    command = [sys.executable, "-m", "open_r1.cli.main", *map(str, words)]
    subprocess.run(command, cwd=REPO, check=True, env=environment, stdout=subprocess.DEVNULL)


def make_model(folder: Path, seed: int, quick: bool) -> None:
    """The tiny recipe's problems, and its model up to SFT."""
    recipe = yaml.safe_load((TINY / "pipeline.yaml").read_text(encoding="utf-8"))
    stages = {name: recipe["stages"][name] for name in ("problems", "traces", "base", "sft")}
    stages["sft"]["recipe"] = str(TINY / "sft.yaml")
    if quick:
        stages["problems"] |= {"families": {"sums": [1, 3]}, "sft": 6000, "rl": 96, "held_out": 60}
        stages["traces"]["lazy_share"] = {3: 0.8}
        stages["sft"]["overrides"] = {"max_steps": 250}
    path = folder.parent / f"{folder.name}.yaml"
    path.write_text(yaml.safe_dump({**recipe, "threads": 1, "stages": stages}, sort_keys=False), encoding="utf-8")
    run("run", path, "--seed", seed, "--output_dir", folder)


def make_problems(folder: Path, seed: int) -> dict[str, int]:
    """`mixed.jsonl`: as many problems that are solved sometimes as always or never; returns how many of each."""
    source, rated = folder / "problems" / "rl.jsonl", folder / "rated"
    sampling = ["--num_samples", 8, "--max_new_tokens", 64, "--temperature", 1.0, "--seed", seed, "--batch_size", 256]
    model = ["--backend", "transformers", "--model", folder / "sft"]
    run("data", "pass-rate", source, *model, *sampling, "--output_dir", rated)
    pools: dict[str, list[Any]] = defaultdict(list)
    for row in read_jsonl(rated / "problems.jsonl"):
        rate = row["pass_rate"]
        kept = {key: row[key] for key in ("prompt", "solution", "pass_rate")}
        pools["sometimes" if 0 < rate < 1 else "always" if rate == 1 else "never"].append(kept)
    dull = [*pools["always"], *pools["never"]]
    rng = random.Random(seed)
    rng.shuffle(dull)
    half = min(len(dull), len(pools["sometimes"]))
    mixed = [*dull[:half], *pools["sometimes"][:half]]
    rng.shuffle(mixed)
    write_jsonl(folder / "mixed.jsonl", mixed)
    return {name: len(rows) for name, rows in pools.items()} | {"used": len(mixed)}


def train(folder: Path, seed: int, arm: str, words: list[str], tokens: float) -> dict[str, Any]:
    """One run of GRPO and its evaluation: tokens, steps, and each held-out problem's mean accuracy."""
    out = folder / arm
    run("grpo", "--config", TINY / "grpo.yaml", "--model_name_or_path", folder / "sft", "--dataset_name",
        folder / "mixed.jsonl", "--output_dir", out, "--seed", seed, "--callbacks", "dynamic_sampling:StopAtTokens",
        "--preflight_prompts", 0, "--reward_funcs", "accuracy", "--reward_weights", 1.0, *words, tokens=tokens)  # fmt: skip
    run("eval", out, "--problems", folder / "problems" / "held_out.jsonl", "--batch_size", 256, "--seed", seed,
        "--output_dir", folder / f"{arm}-eval")  # fmt: skip
    (samples,) = (folder / f"{arm}-eval").rglob("samples.jsonl")
    by_problem: dict[str, list[float]] = defaultdict(list)
    for row in read_jsonl(samples):
        if row["mode"] != "greedy":
            by_problem[row["problem_id"]].append(row["score"] or 0.0)
    rows = [row for row in read_jsonl(out / "metrics.jsonl") if "num_tokens" in row]
    return {
        "tokens": rows[-1]["num_tokens"],
        "steps": read(out / "done.json")["steps"],
        "without_variance": mean([row["frac_reward_zero_std"] for row in rows]),
        "accuracy": {problem: mean(scores) for problem, scores in by_problem.items()},
    }


def percent(found: Any) -> str:
    return f"{100 * found.value:.1f} [{100 * found.low:.1f}, {100 * found.high:.1f}]"


def describe(seed: int, pools: dict[str, int], rate: str, arm: str, found: dict[str, Any]) -> str:
    """A row of the table."""
    cells = (
        str(seed),
        rate,
        f"{pools['used']} of {pools.get('sometimes', 0)}/{pools.get('always', 0)}/{pools.get('never', 0)}",
        arm,
        f"{found['tokens']:,.0f}",
        str(found["steps"]),
        f"{found['without_variance']:.0%}",
        percent(estimate_share(list(found["accuracy"].values()))),
    )
    return f"| {' | '.join(cells)} |"


COLUMNS = (
    "seed",
    "rate",
    "problems, of those solved sometimes/always/never",
    "settings",
    "tokens",
    "steps",
    "groups without variance",
    "accuracy",
)


Accuracies = dict[str, dict[str, float]]
"""Of each arm: each held-out problem's mean accuracy."""


def compare(seed: int, folder: Path, words: list[str], rates: list[str]) -> tuple[list[str], dict[str, Accuracies]]:
    """The rows of a seed, and the accuracies at each rate; every arm samples as many tokens as the first."""
    pools, rows, accuracies = make_problems(folder, seed), [], {}
    for rate in rates:
        accuracies[rate], tokens = {}, float("inf")
        for arm, settings in ARMS.items():
            name = f"{arm} {rate}".replace(" ", "-")
            found = train(folder, seed, name, [*words, "--learning_rate", rate, *settings], tokens)
            tokens = min(tokens, found["tokens"])
            accuracies[rate][arm] = found["accuracy"]
            rows.append(describe(seed, pools, rate, arm, found))
            print(rows[-1], flush=True)
    return rows, accuracies


def differences(rate: str, seeds: list[Accuracies]) -> list[str]:
    """A line for each arm but the first: its accuracy less the first's, over all seeds' problems."""
    first, *others = ARMS
    lines = []
    for arm in others:
        pairs = [(found[first][problem], found[arm][problem]) for found in seeds for problem in found[first]]
        difference = estimate_difference([before for before, _ in pairs], [after for _, after in pairs])
        lines.append(f"Rate {rate}: accuracy with {arm} less accuracy with {first}: {percent(difference)} points.")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--learning_rates", nargs="+", default=["3e-4", "6e-4"])
    parser.add_argument(
        "--steps", type=int, default=60, help="steps of the first arm, whose tokens the others have too"
    )
    parser.add_argument("--batch_size", type=int, default=32, help="samples a step, eight of a problem")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--keep", type=Path, help="keep the runs in this folder")
    parser.add_argument("--write", action="store_true", help="keep the output in benchmarks/results/")
    arguments = parser.parse_args()
    steps = ["--max_steps", str(arguments.steps), "--save_strategy", "no"]
    steps += ["--per_device_train_batch_size", str(arguments.batch_size)]
    table, found = [], []
    with tempfile.TemporaryDirectory() as temporary:
        for seed in arguments.seeds:
            folder = (arguments.keep or Path(temporary)) / f"seed-{seed}"
            folder.parent.mkdir(parents=True, exist_ok=True)
            make_model(folder, seed, arguments.quick)
            rows, accuracies = compare(seed, folder, steps, arguments.learning_rates)
            table += rows
            found.append(accuracies)
    text = "\n\n".join([
        "# GRPO with and without dynamic sampling and pools, at equal tokens",
        f"{describe_machine()}; `benchmarks/dynamic_sampling.py {' '.join(sys.argv[1:])}`",
        "\n".join([f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|", *table]),
        "\n\n".join(line for rate in arguments.learning_rates for line in differences(rate, [one[rate] for one in found])),
    ])  # fmt: skip
    print(text)
    if arguments.write:
        (REPO / "benchmarks" / "results" / "dynamic_sampling.md").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
