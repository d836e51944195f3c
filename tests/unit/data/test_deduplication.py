"""Which rows repeat which, and that the first is kept."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import open_r1.data.rows as rows_module
from open_r1.data.deduplication import DedupSettings, DedupSummary, deduplicate, minhash
from open_r1.data.row_file import Destination
from open_r1.data.sources import open_rows
from open_r1.errors import ConfigError

SETTINGS = DedupSettings(threshold=0.8)
RANDOM = random.Random(5)
WORDS = ["".join(RANDOM.choices("abcdefghij", k=6)) for _ in range(2000)]


def draw_text(num_words: int, seed: int) -> list[str]:
    return random.Random(seed).choices(WORDS, k=num_words)


def write_rows(folder: Path, texts: list[Any]) -> str:
    lines = [json.dumps({"id": number, "text": text}) + "\n" for number, text in enumerate(texts)]
    (folder / "in.jsonl").write_text("".join(lines))
    return str(folder / "in.jsonl")


def run(folder: Path, texts: list[Any], settings: DedupSettings | None = None, processes: int = 1) -> DedupSummary:
    destination = Destination(folder / "out.jsonl", folder / "report.jsonl", overwrite=True)
    rows = open_rows(write_rows(folder, texts))
    return deduplicate(rows, destination, settings or SETTINGS, columns=["text"], processes=processes)


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def dropped(folder: Path) -> dict[int, int]:
    return {row["row"]: row["duplicate_of"] for row in read(folder / "report.jsonl")}


def kept(folder: Path) -> list[int]:
    return [row["id"] for row in read(folder / "out.jsonl")]


def test_exact_duplicates_are_told_by_words_and_operators(tmp_path: Path) -> None:
    texts = [
        "Find $x+1$, please", "find x + 1 please!", "Find x-1 please", "", None, "Find \\(x + 1\\) PLEASE",
        "In the picture, find x. [asy]dot(1);[/asy]", "In the picture, find x. [asy]dot(2);[/asy]", "8/(4/2)", "8/4/2",
    ]  # fmt: skip
    summary = run(tmp_path, texts, DedupSettings(exact=True))
    assert dropped(tmp_path) == {1: 0, 5: 0}
    assert kept(tmp_path) == [0, 2, 3, 4, 6, 7, 8, 9]
    assert (summary.rows, summary.empty, summary.exact, summary.near) == (10, 2, 2, 0)


def test_words_that_differ_far_in_are_no_exact_duplicates(tmp_path: Path) -> None:
    assert run(tmp_path, ["a" * 50 + "b", "a" * 50 + "c"], DedupSettings(exact=True)).exact == 0


def test_near_duplicates_repeat_the_first_that_is_kept(tmp_path: Path) -> None:
    first = draw_text(100, 1)
    near = [*first[:50], "another", *first[51:]]
    farther = [*near[:20], "other", *near[21:]]
    texts = [" ".join(words) for words in (draw_text(100, 2), first, near, farther, draw_text(100, 3), first)]
    summary = run(tmp_path, texts)
    assert dropped(tmp_path) == {2: 1, 3: 1, 5: 1}
    assert (summary.exact, summary.near) == (1, 2)
    assert kept(tmp_path) == [0, 1, 4]
    similarity = read(tmp_path / "report.jsonl")[0]["similarity"]
    assert similarity == pytest.approx(91 / 101, abs=0.12)


def test_likeness_does_not_travel_along_a_chain(tmp_path: Path) -> None:
    words = draw_text(200, 7)
    texts = []
    for step in range(12):
        words = [*words[: 16 * step], f"new{'abcdefghijkl'[step]}", *words[16 * step + 1 :]]
        texts.append(" ".join(words))
    run(tmp_path, texts, DedupSettings(threshold=0.85))
    assert len(kept(tmp_path)) > 1
    assert set(dropped(tmp_path).values()) <= set(kept(tmp_path))


def test_an_exact_duplicate_of_a_dropped_row_repeats_the_kept_one(tmp_path: Path) -> None:
    first = draw_text(100, 1)
    near = " ".join([*first[:50], "another", *first[51:]])
    run(tmp_path, [" ".join(first), near, near])
    assert dropped(tmp_path) == {1: 0, 2: 0}


def test_problems_that_differ_in_a_number_are_two_problems(tmp_path: Path) -> None:
    words = draw_text(60, 4)
    texts = [" ".join([*words, number, "apples"]) for number in ("12", "13")]
    assert run(tmp_path, texts).near == 0
    assert run(tmp_path, texts, DedupSettings(threshold=0.8, variants=True)).near == 1


def test_short_rows_have_exact_duplicates_only(tmp_path: Path) -> None:
    assert run(tmp_path, ["red green blue", "red green blue", "red green black", "green"]).exact == 1
    assert kept(tmp_path) == [0, 2, 3]


def test_any_number_of_processes_and_any_chunks_give_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [" ".join(draw_text(30, seed % 40)) + " tail" * (seed % 3) for seed in range(200)]
    results = set()
    for processes, chunk_bytes in ((1, 1 << 20), (1, 300), (2, 2000)):
        monkeypatch.setattr(rows_module, "CHUNK_BYTES", chunk_bytes)
        summary = run(tmp_path, texts, processes=processes)
        results.add(((tmp_path / "out.jsonl").read_bytes(), (tmp_path / "report.jsonl").read_bytes(), str(summary)))
    assert len(results) == 1
    assert summary.exact + summary.near > 100


def test_nearly_all_pairs_that_are_similar_enough_are_found(tmp_path: Path) -> None:
    texts = []
    for seed in range(150):
        words = draw_text(120, seed)
        texts += [" ".join(words), " ".join([*words[:60], "changed", *words[61:]])]  # similarity 111 / 121
    assert run(tmp_path, texts).near >= 147


def test_different_rows_are_kept(tmp_path: Path) -> None:
    texts = [" ".join(draw_text(50, seed)) for seed in range(500)]
    assert run(tmp_path, texts, DedupSettings(threshold=0.5)).near == 0


def test_signatures_estimate_the_jaccard_similarity() -> None:
    rng = np.random.default_rng(0)
    for share in (0.2, 0.5, 0.8):
        estimates = []
        for _ in range(40):
            common = rng.integers(0, 2**63, 100, np.uint64)
            own = rng.integers(0, 2**63, (2, int(50 * (1 - share) / share)), np.uint64)
            shingles = [*common, *own[0], *common, *own[1]]
            half = len(shingles) // 2
            first, second = minhash(np.array(shingles), np.array([0, half, 2 * half]))
            estimates.append(np.mean(first == second))
        assert np.mean(estimates) == pytest.approx(100 / (100 + own.size), abs=0.02)


def test_bands_let_nearly_all_pairs_at_the_threshold_come_up() -> None:
    assert DedupSettings(threshold=0.8).band_rows == 6
    assert DedupSettings(threshold=1.0).band_rows == 128
    with pytest.raises(ConfigError, match=r"at least 0.3 and at most 1, but is 0.1"):
        DedupSettings(threshold=0.1)
