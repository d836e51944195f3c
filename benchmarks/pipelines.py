"""R1-Zero, distillation and R1 in miniature, from one base model and for as many tokens: accuracy, tokens, seconds.

    .venv/bin/python benchmarks/pipelines.py --seeds 0 1 2 --write

Runs the three pipelines of recipes/pipelines/tiny for each seed, one after the other, and prints Markdown tables of what
their own records say. The stages that they share are run once a seed and copied: their fingerprints are the same, so that
`open-r1 run` takes them as done. Tokens are those that a stage trained on or generated, prompts included where it trained.
`--keep FOLDER` keeps the runs, and goes on with those that are there; `--write` keeps the output under
benchmarks/results/.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any

from open_r1.evaluation.table import compare_folders
from open_r1.pipeline import read_pipeline
from open_r1.rundir import read_json, read_jsonl, write_json

REPO = Path(__file__).parents[1]
RECIPES = REPO / "recipes" / "pipelines" / "tiny"
NAMES = ("r1-zero", "r1-distill", "r1")
MODES = ("greedy", "sampled")
SECONDS = "processor_seconds.json"


def run_seed(seed: int, root: Path) -> None:
    """The three pipelines of a seed, each in its folder; the first one's shared stages are the others' too."""
    for name in NAMES:
        folder = root / name
        words = [str(RECIPES / f"{name}.yaml"), "--seed", str(seed), "--output_dir", str(folder)]
        if not (folder / "pipeline.json").exists() and name != NAMES[0]:
            first, *others = shared_stages()
            run_pipeline(*words, "--until", first)  # a folder has to be this pipeline's before stages are put there
            for stage in others:
                shutil.copytree(root / NAMES[0] / stage, folder / stage)
        before = processor_seconds()
        run_pipeline(*words)
        earlier = read_json(folder / SECONDS)["seconds"] if (folder / SECONDS).exists() else 0.0
        write_json(folder / SECONDS, {"seconds": round(earlier + processor_seconds() - before, 1)})


def run_pipeline(*words: str) -> None:
    """Run `open-r1 run`; CalledProcessError where it fails."""
    subprocess.run([sys.executable, "-m", "open_r1.cli.main", "run", *words], cwd=REPO, check=True)


def processor_seconds() -> float:
    """Seconds of processor time of the finished children."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def shared_stages() -> list[str]:
    """The stages that every one of the pipelines has."""
    each = [[stage.name for stage in read_pipeline(RECIPES / f"{name}.yaml").stages] for name in NAMES]
    common = set.intersection(*map(set, each)) - {"evaluate", "report"}
    return [name for name in each[0] if name in common]


def count_tokens(folder: Path) -> dict[str, int]:
    """Tokens by stage: those that training read and wrote, and those that `generate` wrote."""
    spent = {}
    for stage in read_json(folder / "pipeline.json")["stages"]:
        run = folder / stage["folder"]
        if stage["kind"] in ("sft", "grpo", "pretrain"):
            spent[stage["name"]] = max(int(row.get("num_tokens") or 0) for row in read_jsonl(run / "metrics.jsonl"))
        elif stage["kind"] == "generate":
            spent[stage["name"]] = read_json(run / "done.json")["completion_tokens"]
    return spent


def percent(share: dict[str, float]) -> str:
    """A share with its interval, in percent."""
    return f"{100 * share['value']:.1f} [{100 * share['low']:.1f}, {100 * share['high']:.1f}]"


def table(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """A Markdown table."""
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def accuracy_rows(seed: int, root: Path) -> Iterable[list[str]]:
    """The base and what each pipeline made of it."""
    base = read_json(root / NAMES[0] / "evaluate_base" / "summary.json")["modes"]
    steps = read_json(root / NAMES[0] / "base" / "done.json")["steps"]
    trained = count_tokens(root / NAMES[0])["base"]
    yield [str(seed), f"base, {steps} steps", *(percent(base[mode]["accuracy"]) for mode in MODES), f"{trained:,}", ""]
    for name in NAMES:
        modes = read_json(root / name / "evaluate" / "summary.json")["modes"]
        spent = sum(count for stage, count in count_tokens(root / name).items() if stage != "base")
        seconds = read_json(root / name / SECONDS)["seconds"]
        yield [
            str(seed), name, *(percent(modes[mode]["accuracy"]) for mode in MODES), f"{spent:,}", f"{seconds:.0f}"
        ]  # fmt: skip


def difference_rows(seed: int, root: Path) -> Iterable[list[str]]:
    """R1 minus each of the others, paired by problem."""
    for name in NAMES[:2]:
        modes = compare_folders(root / name / "evaluate", root / NAMES[2] / "evaluate")["modes"]
        yield [str(seed), f"r1 − {name}", *(percent(modes[mode]["difference"]) for mode in MODES)]


def stage_rows(seed: int, root: Path) -> Iterable[list[str]]:
    """What each stage spent."""
    for name in NAMES:
        spent = (f"{stage} {count:,}" for stage, count in count_tokens(root / name).items() if stage != "base")
        yield [str(seed), name, ", ".join(spent)]


def describe(seeds: list[int], root: Path) -> str:
    """All tables of the seeds."""
    roots = {seed: root / f"seed-{seed}" for seed in seeds}
    for seed, folder in roots.items():
        if len({read_json(folder / name / "base" / "made.json")["model.safetensors"] for name in NAMES}) > 1:
            raise SystemExit(f"the pipelines of seed {seed} have different base models; remove {folder}")
    parts = [
        (accuracy_rows, ["seed", "model", "greedy, % [95 % interval]", "sampled at T 1", "tokens", "processor s"]),
        (difference_rows, ["seed", "difference", "greedy, points [95 % interval]", "sampled"]),
        (stage_rows, ["seed", "pipeline", "tokens by stage"]),
    ]
    tables = [table(head, [row for seed in seeds for row in rows(seed, roots[seed])]) for rows, head in parts]
    machine = f"{date.today().isoformat()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    return "\n\n".join([
        "# R1-Zero, distillation and R1 in miniature",
        f"{machine}; `benchmarks/pipelines.py --seeds {' '.join(map(str, seeds))}`",
        "600 held-out problems; 1 greedy and 4 sampled completions each. Tokens and seconds of a pipeline are those after "
        "the base; seconds of the first one contain the base's where it was made in the same run.",
        *tables,
    ])  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--keep", type=Path, help="folder that keeps the runs")
    parser.add_argument("--write", action="store_true", help="keep the output in benchmarks/results/pipelines.md")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = arguments.keep or Path(temporary)
        for seed in arguments.seeds:
            run_seed(seed, root / f"seed-{seed}")
        text = describe(arguments.seeds, root)
    print(text)
    if arguments.write:
        (REPO / "benchmarks" / "results" / "pipelines.md").write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
