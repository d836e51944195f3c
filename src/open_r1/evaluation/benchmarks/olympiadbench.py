"""OlympiadBench (arXiv:2402.14008): English, text only, open-ended competition problems in mathematics.

The published gold is a list of answers; a problem with several wants all of them.
"""

from open_r1.evaluation.benchmarks.base import (
    BOXED,
    Benchmark,
    Question,
    Row,
    Source,
    find_unreadable_gold,
    groups_in,
    text_in,
)
from open_r1.evaluation.scoring import score_math


def read(row: Row, seed: int) -> Question:
    answers = row["final_answer"]
    gold = ", ".join(map(str, answers)) if isinstance(answers, list) else str(answers or "")
    context = f"{row['context']}\n\n" if row.get("context") else ""
    return Question(
        str(row.get("id") or ""),
        f"{context}{text_in(row, 'question')}\n\n{BOXED}",
        gold,
        groups_in(row, {"subject": "subfield"}),
    )


BENCHMARK = Benchmark(
    "olympiadbench",
    "OlympiadBench, English text-only mathematics",
    Source("Hothan/OlympiadBench", "OE_TO_maths_en_COMP"),
    ("question", "final_answer"),
    read,
    score_math,
    num_samples=4,
    find_trouble=find_unreadable_gold,
)
