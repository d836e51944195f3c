"""GPQA Diamond (arXiv:2311.12022): 198 graduate-level questions with four options each.

The options are shuffled for each question by the seed and the question's id, and the seed is recorded; the gold is the
letter that the right one gets.
"""

import random

from open_r1.answers.choices import LETTERS
from open_r1.evaluation.benchmarks.base import Benchmark, Row, Source, groups_in, id_in, text_in
from open_r1.evaluation.scoring import score_choice
from open_r1.records import Problem

RIGHT = "Correct Answer"
WRONG = ("Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")

PROMPT = """{question}

{options}

Please reason step by step, and put the letter of the correct option, and nothing else, within \\boxed{{}}."""


def read(row: Row, seed: int) -> Problem:
    """A question with its options in an order that the seed and the question decide."""
    question, right = text_in(row, "Question").strip(), text_in(row, RIGHT).strip()
    options = [right, *(text_in(row, column).strip() for column in WRONG)]
    name = id_in(row, "Record ID") or Problem(question, right).id
    order = random.Random(f"{seed}\n{name}").sample(range(len(options)), len(options))
    shuffled = [options[place] for place in order]
    listed = "\n".join(f"{letter}) {option}" for letter, option in zip(LETTERS, shuffled, strict=False))
    prompt = PROMPT.format(question=question, options=listed)
    groups = groups_in(row, {"subject": "High-level domain"})
    return Problem(prompt, LETTERS[order.index(0)], metadata={"options": shuffled}, name=name, groups=groups)


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
