"""HumanEval (arXiv:2107.03374): 164 Python functions to complete, run against their tests in the sandbox."""

from collections.abc import Sequence

from open_r1.evaluation.benchmarks.base import Benchmark, Row, Source, text_in
from open_r1.evaluation.programs import Tests, provider, score_programs
from open_r1.execution.judge.humaneval import COLUMNS, complete_program, record_tests
from open_r1.execution.judge.test_cases import read_verification
from open_r1.records import Outcome, Problem

PROMPT = """Complete this Python function. Give the whole function, with the imports it needs, in one ```python block.

```python
{prompt}
```"""


def read(row: Row, seed: int) -> Problem:
    """The problem of a row, its prompt within the benchmark's instructions."""
    columns = {column: text_in(row, column) for column in COLUMNS}
    prompt = PROMPT.format(prompt=columns["prompt"].rstrip())
    return Problem(prompt, columns["canonical_solution"], metadata=columns, name=columns["task_id"])


def score(completions: Sequence[str], problems: Sequence[Problem]) -> list[Outcome]:
    """Each function against the calls that the problem's own `check` makes."""
    functions = {problem.id: problem.metadata for problem in problems}
    infos = dict(zip(functions, record_tests(list(functions.values()), provider()), strict=True))

    def tests_of(problem: Problem) -> Tests:
        verification = read_verification(infos[problem.id])
        return verification.tests if verification else ()

    return score_programs(
        completions, problems, tests_of, lambda problem, code, tests: complete_program(functions[problem.id], code)
    )


BENCHMARK = Benchmark(
    "humaneval",
    "HumanEval, 164 Python functions",
    Source("openai/openai_humaneval", split="test"),
    COLUMNS,
    read,
    score,
    num_samples=16,
    votes=False,
    check=provider,
)
