"""How fast `open-r1 --help` and every verb's `--help` answer: median and spread of several runs.

.venv/bin/python benchmarks/help.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

from demo import REPO, describe_machine

from open_r1.cli.main import verb_modules

RUNS = 9


def seconds(words: list[str]) -> float:
    started = time.monotonic()
    subprocess.run(words, check=True, capture_output=True)
    return time.monotonic() - started


def main() -> int:
    command = str(Path(sys.executable).with_name("open-r1"))
    lines = [
        f"# Help\n\n{describe_machine()}; {RUNS} runs each, milliseconds",
        "| verb | median | lowest | highest |\n|---|---|---|---|",
    ]
    rows = []
    for verb in ["", *verb_modules()]:
        times = [1000 * seconds([command, *([verb] if verb else []), "--help"]) for _ in range(RUNS)]
        rows.append(f"| {verb or '(none)'} | {statistics.median(times):.0f} | {min(times):.0f} | {max(times):.0f} |")
    text = "\n\n".join(lines) + "\n" + "\n".join(rows)
    print(text)
    if "--write" in sys.argv:
        (REPO / "benchmarks" / "results" / "help.md").write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
