"""The demonstration over several seeds: accuracy of base, SFT and GRPO with intervals, seconds and memory.

    .venv/bin/python benchmarks/demo.py --seeds 0 1 2 3 4

Runs `open-r1 run recipes/tiny/pipeline.yaml` once a seed, one after the other, each in a new folder, and prints a
Markdown table of what the runs' own records say. `--keep FOLDER` keeps the runs; `--write` keeps the output under
benchmarks/results/.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

REPO = Path(__file__).parents[1]
STAGES = ("base", "sft", "grpo")


def run_seed(seed: int, folder: Path) -> dict[str, Any]:
    """One demonstration: its seconds and its evaluations."""
    command = [sys.executable, "-m", "open_r1.cli.main", "run", "recipes/tiny/pipeline.yaml"]
    started = time.monotonic()
    subprocess.run([*command, "--seed", str(seed), "--output_dir", str(folder)], cwd=REPO, check=True)
    seconds = time.monotonic() - started
    stages = {stage["name"]: stage["seconds"] for stage in read(folder / "pipeline.json")["stages"]}
    return {
        "seed": seed,
        "seconds": seconds,
        "stages": stages,
        "summaries": {stage: read(folder / f"evaluate_{stage}" / "summary.json") for stage in STAGES},
        "gain": read(folder / "evaluate_grpo" / "comparison.json")["modes"],
        "lengths": [row["completions/mean_length"] for row in rollout_metrics(folder)],
        "weights": read(folder / "grpo" / "done.json")["weights"][:12],
    }


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def rollout_metrics(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "grpo" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [row for row in map(json.loads, lines) if row.get("completions/mean_length") is not None]


def percent(share: dict[str, float]) -> str:
    return f"{100 * share['value']:.1f} [{100 * share['low']:.1f}, {100 * share['high']:.1f}]"


def accuracy_table(results: list[dict[str, Any]]) -> str:
    lines = [
        "| seed | stage | greedy, % [95 % interval] | sampled at T 1 | by family, greedy / sampled | tokens |",
        "|---|---|---|---|---|---|",
    ]
    for result in results:
        for stage in STAGES:
            modes = result["summaries"][stage]["modes"]
            greedy, sampled = modes["greedy"], modes["sampled"]
            families = ", ".join(
                f"{name} {100 * share['value']:.1f} / {100 * sampled['groups'][name]['value']:.1f}"
                for name, share in greedy["groups"].items()
            )
            lines.append(
                f"| {result['seed']} | {stage} | {percent(greedy['accuracy'])} | {percent(sampled['accuracy'])} "
                f"| {families} | {sampled['mean_tokens']:.1f} |"
            )
    return "\n".join(lines)


def gain_table(results: list[dict[str, Any]]) -> str:
    lines = [
        "| seed | gain over SFT, greedy, points | gain, sampled | length, first to last step | s, all | s, SFT | s, GRPO |",
        "|---|---|---|---|---|---|---|",
    ]
    for result in results:
        gains = [percent(result["gain"][mode]["difference"]) for mode in ("greedy", "sampled")]
        lengths = f"{result['lengths'][0]:.1f} → {result['lengths'][-1]:.1f}"
        lines.append(
            f"| {result['seed']} | {gains[0]} | {gains[1]} | {lengths} | {result['seconds']:.0f} "
            f"| {result['stages']['sft']:.0f} | {result['stages']['grpo']:.0f} |"
        )
    return "\n".join(lines)


def verdicts(results: list[dict[str, Any]]) -> list[str]:
    """The promises of the demonstration, each held against every seed."""
    missed = []
    for result in results:
        shares = {
            (stage, mode): result["summaries"][stage]["modes"][mode]["accuracy"]["value"]
            for stage in STAGES
            for mode in ("greedy", "sampled")
        }
        promises = {
            "base about 0": max(shares["base", "greedy"], shares["base", "sampled"]) <= 0.02,
            "SFT greedy 30 to 60 %": 0.30 <= shares["sft", "greedy"] <= 0.60,
            "SFT sampled 30 to 60 %": 0.30 <= shares["sft", "sampled"] <= 0.60,
            "GRPO greedy at least 90 %": shares["grpo", "greedy"] >= 0.90,
            "GRPO sampled at least 85 %": shares["grpo", "sampled"] >= 0.85,
            "gain's interval above 25 points": min(g["difference"]["low"] for g in result["gain"].values()) > 0.25,
            "length grows": result["lengths"][-1] > result["lengths"][0],
            "at most 4 minutes": result["seconds"] <= 240,
        }
        missed += [f"seed {result['seed']}: {promise}" for promise, is_kept in promises.items() if not is_kept]
    return missed


def describe_machine() -> str:
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.split(":")[1].strip()
            for line in cpuinfo.read_text(encoding="utf-8").splitlines()
            if "model name" in line
        ]
        model = names[0] if names else model
    return f"{date.today().isoformat()}, {os.cpu_count()} cores ({model}), Python {platform.python_version()}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--keep", type=Path, help="folder that keeps the runs")
    parser.add_argument("--write", action="store_true", help="keep the output in benchmarks/results/demo.md")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = arguments.keep or Path(temporary)
        results = [run_seed(seed, root / f"seed-{seed}") for seed in arguments.seeds]
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    missed = verdicts(results)
    text = "\n\n".join(
        [
            "# The demonstration",
            f"{describe_machine()}; `benchmarks/demo.py --seeds {' '.join(map(str, arguments.seeds))}`",
            f"{results[0]['summaries']['base']['num_problems']} held-out problems; 1 greedy and "
            f"{results[0]['summaries']['base']['modes']['sampled']['num_samples']} sampled completions each.",
            accuracy_table(results),
            gain_table(results),
            f"Peak memory {memory:.2f} GiB. " + (f"Missed: {'; '.join(missed)}." if missed else "Every promise kept."),
        ]
    )
    print(text)
    if arguments.write:
        (REPO / "benchmarks" / "results" / "demo.md").write_text(text + "\n", encoding="utf-8")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
