"""IOI: subtasks of the International Olympiad in Informatics, scored from 0 to 1 by their official tests, in C++."""

from collections.abc import Sequence

from open_r1.evaluation.benchmarks.base import Benchmark, Row, Source, groups_in, text_in
from open_r1.evaluation.programs import provider, score_contest
from open_r1.records import Outcome, Problem
from open_r1.rewards.functions.ioi_code import MAY_HAVE, NEEDS

PROMPT = """{problem}
{starting}
Solve the subtask "{subtask}". The time limit is {time_limit} seconds and the memory limit {memory_limit} bytes. Put the \
whole solution in one ```cpp block."""

STARTING = "\nThe solution is compiled along with a grader and begins like this:\n\n```cpp\n{code}\n```\n"


def read(row: Row, seed: int) -> Problem:
    """A subtask with its limits and, where the data set has it, the code to begin with."""
    code = str(row.get("starting_code") or "").strip()
    prompt = PROMPT.format(
        problem=text_in(row, "problem"),
        starting=STARTING.format(code=code) if code else "",
        subtask=text_in(row, "subtask"),
        time_limit=row["time_limit"],
        memory_limit=row["memory_limit"],
    )
    kept = {column: row[column] for column in NEEDS} | {column: row.get(column) for column in MAY_HAVE}
    kept["language"] = "cpp"
    year = f"{row['year']}-" if row.get("year") else ""
    name = f"{year}{row['id']}-{row['subtask']}"
    return Problem(prompt, "", metadata=kept, name=name, groups=groups_in(row, {"subject": "id"}))


def score(completions: Sequence[str], problems: Sequence[Problem]) -> list[Outcome]:
    """The score of each subtask, 0 to 1; its tests are in the row, in IOI_TESTS_FOLDER or on the Hub."""
    from open_r1.rewards import ioi_code_reward

    return score_contest(ioi_code_reward, completions, problems, (*NEEDS, *MAY_HAVE))


BENCHMARK = Benchmark(
    "ioi",
    "IOI 2024, a score a subtask",
    Source("open-r1/ioi", split="test"),
    ("problem", *NEEDS),
    read,
    score,
    num_samples=4,
    votes=False,
    check=provider,
)
