"""Codeforces: problems whose tests are complete, each with the prompt and language that the data set has for it."""

from open_r1.evaluation.benchmarks.base import Benchmark, Question, Row, Source, groups_in, text_in
from open_r1.evaluation.programs import provider, score_codeforces
from open_r1.rewards.functions.cf_code import MAY_HAVE, NEEDS


def read(row: Row, seed: int) -> Question:
    kept = {column: row[column] for column in NEEDS} | {column: row.get(column) for column in MAY_HAVE}
    language = str(row.get("language") or "python")
    id = f"{row['id']}-{language}" if row.get("id") else ""
    groups = groups_in(row, {"subject": "language", "level": "rating"})
    return Question(id, text_in(row, "prompt"), "", groups, {**kept, "language": language})


BENCHMARK = Benchmark(
    "codeforces",
    "Codeforces, problems with complete tests",
    Source("open-r1/codeforces", "verifiable-prompts", "test"),
    ("prompt", *NEEDS),
    read,
    score_codeforces,
    num_samples=4,
    votes=False,
    check=provider,
)
