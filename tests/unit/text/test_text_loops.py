from __future__ import annotations

import random

import pytest

from open_r1.text.loops import looping_share

WORDS = [f"word{number}" for number in range(400)]


def prose(count: int, seed: int = 0) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=count))


@pytest.mark.parametrize(
    "text",
    [
        "Wait, let me check that again. " * 60,
        "9" * 5000,
        "哈" * 3000,
        "等一下，我再检查一遍。" * 80,
        "!" * 20000,
        prose(400) + " so the answer is x, no it is y, " * 100,
        "\n".join("x = 3" for _ in range(300)),
    ],
)
def test_going_round_in_circles_is_seen(text: str) -> None:
    assert looping_share(text) > 0.3


@pytest.mark.parametrize(
    "text",
    [
        "",
        "4",
        "Compute  $3(1+3(1+3(1+3(1+3(1+3(1+3(1+3(1+3(1+3)))))))))$",
        prose(3000),
        prose(300) * 3,  # stated three times is no loop
        "\n".join(f"Step {n}: {n} + {n + 1} = {2 * n + 1}, and then {prose(6, n)}" for n in range(300)),
        "|" + "-" * 200 + "|\n" + prose(200),
        "".join(chr(0x4E00 + random.Random(1).randrange(3000) + n) for n in range(2000)),
    ],
)
def test_long_and_repetitive_prose_is_none(text: str) -> None:
    assert looping_share(text) < 0.3


def test_the_share_is_that_of_the_part_that_loops() -> None:
    text = prose(1000) + " around and around we go without any end in sight" * 100  # 1,000 words either way
    assert looping_share(text) == pytest.approx(0.5, abs=0.03)
