"""A real pretrained model on a laptop: SmolLM2-135M-Instruct's recipes over several seeds, accuracy before and after.

    .venv/bin/python scripts/make_smollm2.py models/SmolLM2-135M-Instruct
    .venv/bin/python benchmarks/smollm2.py --seeds 0 1 2 --keep runs/smollm2

Runs recipes/SmolLM2-135M-Instruct/r1_zero.yaml and sft_grpo.yaml, or those named by `--recipes`, once a seed, one after the
other. Prints held-out accuracy of each model with its interval, what each training gained, paired by problem, and its
minutes. With `--keep` a run that was interrupted continues, and a finished one is read again.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from demo import REPO, describe_machine, read
from pipelines import percent, table

from open_r1.pipeline import read_pipeline
from open_r1.pipeline.kinds.evaluate import EvaluationStage

RECIPES = REPO / "recipes" / "SmolLM2-135M-Instruct"
MODES = ("greedy", "sampled")


def run(recipe: str, seed: int, folder: Path) -> None:
    """One run of a recipe; what is done already stays."""
    command = [sys.executable, "-m", "open_r1.cli.main", "run", RECIPES / f"{recipe}.yaml"]
    subprocess.run([*command, "--seed", str(seed), "--output_dir", folder], cwd=REPO, check=True)


def evaluations(recipe: str) -> list[EvaluationStage]:
    """The evaluations of a recipe, in its order."""
    return [stage for stage in read_pipeline(RECIPES / f"{recipe}.yaml").stages if isinstance(stage, EvaluationStage)]


def accuracy_rows(recipe: str, seed: int, folder: Path) -> Iterable[list[str]]:
    """Each model's accuracy, and the tokens of its sampled completions."""
    for stage in evaluations(recipe):
        modes = read(folder / stage.name / "summary.json")["modes"]
        shares = [percent(modes[mode]["accuracy"]) for mode in MODES]
        yield [
            recipe,
            str(seed),
            stage.name.removeprefix("evaluate_"),
            *shares,
            f"{modes['sampled']['mean_tokens']:.1f}",
        ]


def gain_rows(recipe: str, seed: int, folder: Path) -> Iterable[list[str]]:
    """What each training gained over the model before it, with the minutes of its stage and of the whole run."""
    seconds = {stage["name"]: stage["seconds"] for stage in read(folder / "pipeline.json")["stages"]}
    for stage in evaluations(recipe):
        if stage.baseline:
            modes = read(folder / stage.name / "comparison.json")["modes"]
            trained = stage.name.removeprefix("evaluate_")
            gains = [percent(modes[mode]["difference"]) for mode in MODES]
            yield [
                recipe,
                str(seed),
                trained,
                *gains,
                f"{seconds[trained] / 60:.0f}",
                f"{sum(seconds.values()) / 60:.0f}",
            ]


def describe(recipes: list[str], seeds: list[int], root: Path) -> str:
    """Both tables."""
    runs = [(recipe, seed, root / f"{recipe}-{seed}") for recipe in recipes for seed in seeds]
    first = evaluations(recipes[0])[0]
    accuracies = [
        "recipe",
        "seed",
        "model",
        "greedy, % [95 % interval]",
        f"sampled at T {first.temperature:g}",
        "tokens",
    ]
    gains = ["recipe", "seed", "training", "gain, greedy, points", "gain, sampled", "minutes", "minutes of all"]
    return "\n\n".join([
        "# A real pretrained model on a laptop",
        f"{describe_machine()}; `benchmarks/smollm2.py --recipes {' '.join(recipes)} --seeds {' '.join(map(str, seeds))}`",
        table(accuracies, [row for one in runs for row in accuracy_rows(*one)]),
        table(gains, [row for one in runs for row in gain_rows(*one)]),
    ])  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", nargs="+", default=["r1_zero", "sft_grpo"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--keep", type=Path, help="folder that keeps the runs")
    parser.add_argument("--write", action="store_true", help="keep the output in benchmarks/results/smollm2.md")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = (arguments.keep or Path(temporary)).absolute()
        for recipe in arguments.recipes:
            for seed in arguments.seeds:
                run(recipe, seed, root / f"{recipe}-{seed}")
        text = describe(arguments.recipes, arguments.seeds, root)
    print(text)
    if arguments.write:
        (REPO / "benchmarks" / "results" / "smollm2.md").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
