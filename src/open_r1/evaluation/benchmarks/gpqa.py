"""GPQA Diamond (arXiv:2311.12022): 198 graduate-level questions with four options each.

The options are shuffled for each question by the seed and the question's id, and the seed is recorded; the gold is the
letter that the right one gets.
"""

import random

from open_r1.answers.choices import LETTERS
from open_r1.evaluation.benchmarks.base import Benchmark, Question, Row, Source, groups_in, hash_of, text_in
from open_r1.evaluation.scoring import score_choice

RIGHT = "Correct Answer"
WRONG = ("Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")

PROMPT = """{question}

{options}

Please reason step by step, and put the letter of the correct option, and nothing else, within \\boxed{{}}."""


def read(row: Row, seed: int) -> Question:
    question, right = text_in(row, "Question").strip(), text_in(row, RIGHT).strip()
    options = [right, *(text_in(row, column).strip() for column in WRONG)]
    id = str(row.get("Record ID") or "") or hash_of(Question("", question, right))
    order = random.Random(f"{seed}\n{id}").sample(range(len(options)), len(options))
    shuffled = [options[place] for place in order]
    listed = "\n".join(f"{letter}) {option}" for letter, option in zip(LETTERS, shuffled, strict=False))
    return Question(
        id,
        PROMPT.format(question=question, options=listed),
        LETTERS[order.index(0)],
        groups_in(row, {"subject": "High-level domain"}),
        {"options": shuffled},
    )


BENCHMARK = Benchmark(
    "gpqa",
    "GPQA Diamond, 198 multiple-choice questions",
    Source("Idavidrein/gpqa", "gpqa_diamond"),
    ("Question", RIGHT, *WRONG),
    read,
    score_choice,
    num_samples=8,
    shuffles=True,
)
