"""`samples:word_problems`, `samples:code`: a hundred rows each that ship with the package, made by scripts/make_samples.py.

word_problems    question, answer (steps with <<calculations>>, then `#### ` and the number), as GSM8K has them
code             problem, solution (a fenced Python program), verification_info (its tests)
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from open_r1.configs.references import SourceReference
from open_r1.errors import DataError, nearest

PREFIX = "samples"
FOLDER = Path(__file__).parents[1] / "samples"


def load(source: SourceReference) -> list[dict[str, Any]]:
    """The rows of one of the files in `FOLDER`."""
    source.require_known(())
    names = sorted(path.stem for path in FOLDER.glob("*.jsonl"))
    if source.what not in names:
        raise DataError(
            f"there are no samples '{source.what}'{nearest(source.what, names)} Known: {', '.join(names)}."
        )
    text = (FOLDER / f"{source.what}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]
