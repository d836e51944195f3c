"""Peak memory of each stage of the data engine on few and on many rows, and on rows of 200,000 characters.

    .venv/bin/python benchmarks/bounded_memory.py [--rows 10000000] [--long 2000] [--stages dedup verify …] [--write]

Each stage is the command a user would give, started anew; what is shown is the most that it and its processes together had
in RAM, and the seconds it took. Pages of mapped files are left out, since the system takes them back at will. Memory is
bounded where many rows take what a tenth of them take, but for the bytes a row that a stage says it keeps.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from demo import describe_machine

from open_r1.execution.sandbox.worker import resident_mb

REPO = Path(__file__).resolve().parents[1]
RESULT = REPO / "benchmarks" / "results" / "bounded_memory.md"
LONG_CHARS = 200_000
STAGES = ("survey", "dedup", "decontaminate", "verify", "select", "mix", "publish")


@dataclass(frozen=True)
class Measured:
    """One stage on one file."""

    stage: str
    rows: int
    mb: float
    seconds: float


def write_rows(path: Path, count: int, chars: int) -> None:
    """`count` traces of distinct small problems, each padded to about `chars` characters."""
    padding = "so we go on and on " * (chars // 19)
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            left, right = number % 9973, number // 7
            answer = left + right - number % 3 // 2
            row = {
                "problem_id": f"{number // 2:x}",
                "sample": number % 2,
                "prompt_tokens": 10,
                "completion_tokens": 20,
                "finish_reason": "stop",
                "problem": f"case {number // 2:x}: add {left} to {right}",
                "solution": str(left + right),
                "completion": f"<think>\n{padding}{left} {right}\n</think>\n<answer>\n{answer}\n</answer>",
            }
            file.write(json.dumps(row) + "\n")


def command_of(stage: str, rows: Path, folder: Path) -> list[str]:
    """The command that a user would type, with earlier output removed."""
    out = str(folder / f"{stage}.jsonl")
    if stage == "mix":
        recipe = folder / "mixture.json"
        recipe.write_text(json.dumps({"dataset_mixture": {"datasets": [{"id": str(rows), "weight": 0.5}]}}))
        return ["mix", str(recipe), "--output_dir", str(folder / "mixed")]
    held_out = folder / "held_out.jsonl"
    held_out.write_text(
        json.dumps({"problem": "What is the sum of the first hundred odd numbers, and why is it so?"}) + "\n"
    )
    given = str(rows)
    return {
        "survey": ["generate", given, "--output_dir", str(folder / "traces"), "--dry-run", "--streaming"],
        "dedup": ["dedup", given, "--columns", "completion", "--output", out],
        "decontaminate": [
            "decontaminate",
            given,
            "--columns",
            "completion",
            "--against",
            str(held_out),
            "--output",
            out,
        ],
        "verify": ["verify", given, "--output", out],
        "select": ["select", str(folder / "verify.jsonl"), "--output", out, "--keep_per_problem", "1"],
        "publish": ["publish", given, "--repo_id", "me/rows", "--output_dir", str(folder / "shards"), "--dry-run"],
    }[stage]


def measure(stage: str, rows: Path, count: int, folder: Path) -> Measured:
    """Run a stage, and look every 50 ms at what it and its processes hold in RAM, pages of mapped files left out."""
    command = [sys.executable, "-m", "open_r1.cli.main", "data", *command_of(stage, rows, folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_DATASETS_CACHE": str(folder / "cache")}
    started, most = time.monotonic(), 0.0
    with (folder / "said").open("w+", encoding="utf-8") as said:
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=said)
        while process.poll() is None:
            most = max(most, resident_mb(os.getpid()))
            time.sleep(0.05)
        if process.returncode:
            said.seek(0)
            raise SystemExit(f"{stage} failed on {rows.name}: {said.read()[-2000:]}")
    return Measured(stage, count, most, time.monotonic() - started)


def run(stages: list[str], rows: int, long: int) -> list[Measured]:
    found = []
    for count, chars in ((rows // 10, 20), (rows, 20), (long // 10, LONG_CHARS), (long, LONG_CHARS)):
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            write_rows(folder / "rows.jsonl", count, chars)
            for stage in stages:
                found.append(measure(stage, folder / "rows.jsonl", count, folder))
                print(found[-1], file=sys.stderr)
    return found


def table(found: list[Measured], stages: list[str]) -> str:
    counts = list(dict.fromkeys(measured.rows for measured in found))
    lines = ["| stage | " + " | ".join(f"{count:,} rows" for count in counts) + " |", "|---" * (len(counts) + 1) + "|"]
    for stage in stages:
        cells = [f"{measured.mb:,.0f} MB, {measured.seconds:,.0f} s" for measured in found if measured.stage == stage]
        lines.append(f"| {stage} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000, help="short rows")
    parser.add_argument("--long", type=int, default=2_000, help="rows of 200,000 characters")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--write", action="store_true", help="keep the table in benchmarks/results")
    arguments = parser.parse_args()
    found = run(arguments.stages, arguments.rows, arguments.long)
    command = " ".join(["benchmarks/bounded_memory.py", *sys.argv[1:]])
    page = f"{describe_machine()}; `{command}`\n\n{table(found, arguments.stages)}\n"
    print(page)
    if arguments.write:
        RESULT.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
