"""OlympiadBench (arXiv:2402.14008): English, text only, open-ended competition problems in mathematics.

The published gold is a list of answers; a problem with several wants all of them.
"""

from open_r1.evaluation.benchmarks.base import BOXED, Benchmark, Row, Source, groups_in, id_in, text_in
from open_r1.evaluation.scoring import find_unreadable_gold, score_answers
from open_r1.records import Problem


def read(row: Row, seed: int) -> Problem:
    """A problem; its gold is a list where the problem has several answers."""
    answers = row["final_answer"]
    gold = ", ".join(map(str, answers)) if isinstance(answers, list) else str(answers or "")
    context = f"{row['context']}\n\n" if row.get("context") else ""
    prompt = f"{context}{text_in(row, 'question')}\n\n{BOXED}"
    return Problem(prompt, gold, name=id_in(row, "id"), groups=groups_in(row, {"subject": "subfield"}))


BENCHMARK = Benchmark(
    "olympiadbench",
    "OlympiadBench, English text-only mathematics",
    Source("Hothan/OlympiadBench", "OE_TO_maths_en_COMP"),
    ("question", "final_answer"),
    read,
    score_answers,
    num_samples=4,
    find_trouble=find_unreadable_gold,
)
