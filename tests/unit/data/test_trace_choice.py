from __future__ import annotations

import random

import numpy as np
import pytest

from open_r1.data.deduplication import NUM_HASHES, sign, similarities
from open_r1.data.trace_choice import NGRAM, By, Candidates, choose, find_duplicates
from open_r1.text.ngrams import PLAIN


def candidates(problems: list[int], texts: list[int], lengths: list[int], signatures: list[np.ndarray] | None = None):
    drawn = () if signatures is None else (np.stack(signatures), np.arange(len(signatures)))
    return Candidates(np.array(problems, np.uint64), np.array(texts, np.uint64), np.array(lengths, np.int32), *drawn)


PROBLEMS = [7, 2**64 - 1, 7, 7, 2**64 - 1, 0]
LENGTHS = [30, 5, 10, 20, 4, 1]


@pytest.mark.parametrize(
    ("by", "chosen"), [("shortest", [2, 3, 1, 4, 5]), ("longest", [0, 3, 1, 4, 5]), ("first", [0, 2, 1, 4, 5])]
)
def test_two_of_each_problem_wherever_its_rows_lie(by: By, chosen: list[int]) -> None:
    found = choose(candidates(PROBLEMS, list(range(6)), LENGTHS), np.arange(6), 2, by, seed=0)
    assert sorted(found.tolist()) == sorted(chosen)


def test_only_rows_that_are_still_kept_are_chosen() -> None:
    found = choose(candidates(PROBLEMS, list(range(6)), LENGTHS), np.array([0, 3, 4]), 1, "shortest", seed=0)
    assert sorted(found.tolist()) == [3, 4]
    assert choose(candidates(PROBLEMS, list(range(6)), LENGTHS), np.array([], np.int64), 1, "shortest", 0).size == 0


def test_random_is_the_same_for_a_seed_whatever_the_order_of_the_rows() -> None:
    problems, texts = [n // 10 for n in range(1000)], random.Random(0).sample(range(2**60), 1000)
    order = np.random.default_rng(0).permutation(1000)
    drawn = {}
    for seed in (0, 1):
        plain = choose(candidates(problems, texts, [0] * 1000), np.arange(1000), 2, "random", seed)
        mixed = candidates([problems[i] for i in order], [texts[i] for i in order], [0] * 1000)
        shuffled = order[choose(mixed, np.arange(1000), 2, "random", seed)]
        assert sorted(plain.tolist()) == sorted(shuffled.tolist())
        assert len(plain) == 200
        drawn[seed] = set(plain.tolist())
    assert len(drawn[0] & drawn[1]) < 100
    assert {n % 10 for n in drawn[0]} == set(range(10))


def test_duplicates_are_those_of_the_same_problem_after_the_first() -> None:
    found = find_duplicates(candidates([1, 2, 1, 1, 2, 1], [5, 5, 5, 6, 5, 5], [0] * 6), np.array([0, 1, 2, 3, 4, 5]))
    assert sorted(found.tolist()) == [2, 4, 5]
    assert find_duplicates(candidates([1, 1], [5, 5], [0, 0]), np.array([1])).size == 0


def signature(text: str) -> np.ndarray:
    return sign(PLAIN.words([text]), NGRAM)[0][0]


def words(seed: int, count: int = 600) -> list[str]:
    return [f"w{n}" for n in random.Random(seed).choices(range(5000), k=count)]


@pytest.mark.parametrize("shared", [0, 150, 300, 450, 600])
def test_the_estimated_similarity_is_near_the_exact_one(shared: int) -> None:
    one, other = words(1), words(1)[:shared] + words(2)[shared:]
    sets = [{tuple(text[i : i + 4]) for i in range(len(text) - 3)} for text in (one, other)]
    exact = len(sets[0] & sets[1]) / len(sets[0] | sets[1])
    found = similarities(signature(" ".join(one))[None], signature(" ".join(other)))[0]
    assert found == pytest.approx(exact, abs=0.15)  # three standard errors


def test_diverse_leaves_near_copies_out() -> None:
    texts = [" ".join(words(seed)) for seed in (1, 2, 3)]
    copies = [text + f" and {n} more" for text in texts for n in range(5)]
    order = random.Random(3).sample(range(15), 15)
    signatures = [signature(copies[i]) for i in order]
    for seed in range(5):
        drawn = candidates([1] * 15, [order[n] * 7919 for n in range(15)], [0] * 15, signatures)
        found = choose(drawn, np.arange(15), 3, "diverse", seed)
        assert {order[n] // 5 for n in found.tolist()} == {0, 1, 2}


def test_texts_without_an_ngram_have_one_signature_and_are_unlike_all_others() -> None:
    signatures, has_ngram = sign(
        PLAIN.words(["", "one two three", "one two three four", "ONE two three  four"]), NGRAM
    )
    assert signatures.shape == (4, NUM_HASHES)
    assert has_ngram.tolist() == [False, False, True, True]
    assert similarities(signatures, signatures[0]).tolist() == [1, 1, 0, 0]
    assert similarities(signatures, signatures[2]).tolist() == [0, 0, 1, 1]
    assert similarities(signatures[:0], signatures[0]).size == 0
