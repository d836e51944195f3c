"""datatrove's MinHash, by our script, and `open-r1 data dedup` find the same duplicates."""

from __future__ import annotations

import importlib.util
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from open_r1.rundir import read_jsonl, write_jsonl


def write_rows(path: Path) -> None:
    """200 rows of random words, some of which are repeated: as they are, with other case, with one more word at the end."""
    rng = random.Random(0)
    texts = [" ".join(f"word{rng.choice('abcdefgh')}{rng.randrange(5000)}x" for _ in range(80)) for _ in range(200)]
    texts += [text.upper() for text in texts[:20]] + [f"{text} indeed" for text in texts[10:40]]
    texts += [f"{text} 7" for text in texts[50:60]]  # another number is another row
    texts += ["short row", "Short row!", "short rows", ""]
    rng.shuffle(texts)
    write_jsonl(path, ({"problem": text, "id": number} for number, text in enumerate(texts)))


@pytest.mark.slow
def test_datatrove_finds_the_duplicates_that_we_find(tmp_path: Path, repo: Path, open_r1: Callable[..., Any]) -> None:
    if importlib.util.find_spec("datatrove") is None:
        pytest.skip("DATATROVE ABSENT: pip install -e '.[datatrove]'")
    source = tmp_path / "rows.jsonl"
    write_rows(source)
    report = tmp_path / "duplicates.jsonl"
    ours = open_r1("data", "dedup", source, "--output", tmp_path / "unique.jsonl", "--report", report)
    assert ours.status == 0, ours.err
    words = [sys.executable, repo / "scripts" / "dedup_datatrove.py", source, "--output_dir", tmp_path / "theirs"]
    ran = subprocess.run([*words, "--tasks", "3"], capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stderr[-3000:]
    files = sorted((tmp_path / "theirs").glob("rows-*-of-00003.jsonl"))
    kept = {row["id"] for file in files for row in read_jsonl(file)}
    cluster_of = {row["id"]: row["id"] for row in read_jsonl(source)}
    cluster_of |= {one["row"]: one["duplicate_of"] for one in read_jsonl(report)}
    assert len(cluster_of) == 264 and len(set(cluster_of.values())) == 264 - 51
    assert sorted(cluster_of[row] for row in kept) == sorted(set(cluster_of.values()))
