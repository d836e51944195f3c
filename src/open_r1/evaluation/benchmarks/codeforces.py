"""Codeforces: problems whose tests are complete, each with the prompt and language that the data set has for it."""

from collections.abc import Sequence

from open_r1.evaluation.benchmarks.base import Benchmark, Row, Source, groups_in, id_in, text_in
from open_r1.evaluation.programs import provider, score_contest
from open_r1.records import Outcome, Problem
from open_r1.rewards.functions.cf_code import MAY_HAVE, NEEDS


def read(row: Row, seed: int) -> Problem:
    """The problem of a row, named by its id and language."""
    kept = {column: row[column] for column in NEEDS} | {column: row.get(column) for column in MAY_HAVE}
    language = str(row.get("language") or "python")
    id = id_in(row, "id")
    groups = groups_in(row, {"subject": "language", "level": "rating"})
    metadata = {**kept, "language": language}
    return Problem(text_in(row, "prompt"), "", metadata=metadata, name=id and f"{id}-{language}", groups=groups)


def score(completions: Sequence[str], problems: Sequence[Problem]) -> list[Outcome]:
    """1 where every test is passed, else 0; generated tests are read from CF_TESTS_FOLDER."""
    from open_r1.rewards import get_cf_code_reward

    return score_contest(get_cf_code_reward(scoring_mode="pass_fail"), completions, problems, (*NEEDS, *MAY_HAVE))


BENCHMARK = Benchmark(
    "codeforces",
    "Codeforces, problems with complete tests",
    Source("open-r1/codeforces", "verifiable-prompts", "test"),
    ("prompt", *NEEDS),
    read,
    score,
    num_samples=4,
    votes=False,
    check=provider,
)
