"""HumanEval (arXiv:2107.03374): 164 Python functions to complete, run against their tests in the sandbox."""

from open_r1.evaluation.benchmarks.base import Benchmark, Question, Row, Source, text_in
from open_r1.evaluation.programs import provider, score_humaneval
from open_r1.execution.judge.humaneval import COLUMNS

PROMPT = """Complete this Python function. Give the whole function, with the imports it needs, in one ```python block.

```python
{prompt}
```"""


def read(row: Row, seed: int) -> Question:
    columns = {column: text_in(row, column) for column in COLUMNS}
    return Question(
        columns["task_id"],
        PROMPT.format(prompt=columns["prompt"].rstrip()),
        columns["canonical_solution"],
        columns=columns,
    )


BENCHMARK = Benchmark(
    "humaneval",
    "HumanEval, 164 Python functions",
    Source("openai/openai_humaneval", split="test"),
    COLUMNS,
    read,
    score_humaneval,
    num_samples=16,
    votes=False,
    check=provider,
)
