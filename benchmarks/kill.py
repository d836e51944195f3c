"""The demonstration killed at random moments: does it end with the weights of an unbroken run?

    .venv/bin/python benchmarks/kill.py --kills 10

Runs recipes/tiny/pipeline.yaml once unbroken, then once more in another folder, where SIGKILL hits it at random
moments, each time followed by the same command again. Compares the hashes of all weights and of every evaluated sample.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from demo import REPO, describe_machine

COMPARED = ("base/model.safetensors", "sft/model.safetensors", "grpo/model.safetensors", "evaluate_grpo/samples.jsonl")


def start(folder: Path, seed: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "open_r1.cli.main", "run", "recipes/tiny/pipeline.yaml", "--seed", str(seed)]
    return subprocess.Popen(
        [*command, "--output_dir", str(folder)], cwd=REPO, stderr=subprocess.DEVNULL, start_new_session=True
    )


def hashes(folder: Path) -> dict[str, str]:
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest()[:16] for name in COMPARED}


def run_with_kills(folder: Path, seed: int, kills: int, longest: float, rng: random.Random) -> list[float]:
    """Kill after a random time, start again, until the kills are used up; then let it end. Returns the moments."""
    moments: list[float] = []
    while True:
        process = start(folder, seed)
        if len(moments) < kills:
            moment = rng.uniform(1, longest)
            try:
                process.wait(timeout=moment)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                moments.append(moment)
                print(f"killed after {moment:.1f} s ({len(moments)}/{kills})", flush=True)
                continue
        if process.wait() != 0:
            raise SystemExit(f"a rerun after {len(moments)} kills failed with status {process.returncode}")
        return moments


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--moments", type=int, default=int(time.time()), help="seed of the moments")
    parser.add_argument("--longest", type=float, default=40.0, help="most seconds between start and kill")
    parser.add_argument("--unbroken", type=Path, help="folder of a finished unbroken run to compare with")
    parser.add_argument("--write", action="store_true", help="keep the output in benchmarks/results/kill.md")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        unbroken = arguments.unbroken or Path(temporary) / "unbroken"
        if not arguments.unbroken and start(unbroken, arguments.seed).wait():
            raise SystemExit("the unbroken run failed")
        rng = random.Random(arguments.moments)
        moments = run_with_kills(Path(temporary) / "killed", arguments.seed, arguments.kills, arguments.longest, rng)
        expected, found = hashes(unbroken), hashes(Path(temporary) / "killed")
    lines = [
        f"# The demonstration, killed {len(moments)} times",
        f"{describe_machine()}; `benchmarks/kill.py --kills {arguments.kills} --seed {arguments.seed} "
        f"--moments {arguments.moments} --longest {arguments.longest:g}`",
        "SIGKILL after " + ", ".join(f"{moment:.1f}" for moment in moments) + " s of each start.",
        "| file | unbroken | killed | same |\n|---|---|---|---|",
    ]
    rows = [f"| {n} | {expected[n]} | {found[n]} | {'yes' if expected[n] == found[n] else 'NO'} |" for n in COMPARED]
    text = "\n\n".join(lines) + "\n" + "\n".join(rows)
    print(text)
    if arguments.write:
        (REPO / "benchmarks" / "results" / "kill.md").write_text(text + "\n", encoding="utf-8")
    return 0 if expected == found else 1


if __name__ == "__main__":
    sys.exit(main())
