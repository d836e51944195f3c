"""LiveCodeBench (arXiv:2403.07974), code generation: problems of programming contests, by the time they appeared.

A release is a file of JSON lines, a problem a line; `lcb` are releases 4 and 5, `lcb_v4` is release 4. Private tests come
as JSON, or as base64 of zlib of a pickled JSON text. The files are of gigabytes: a question keeps where its line stands,
and its tests are read when it is scored.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from open_r1.errors import DataError
from open_r1.evaluation.benchmarks.base import Benchmark, Question, Row, Source, groups_in, text_in
from open_r1.evaluation.programs import PLACE, find_lcb_trouble, provider, score_lcb

COLUMNS = ("question_content", "public_test_cases", "private_test_cases")

STDIN = """{question}

Write a Python program that reads the input from standard input and writes the answer to standard output. Put the whole \
program in one ```python block."""

FUNCTION = """{question}

Write the solution in Python, beginning with this code:

```python
{starter}
```

Put the whole solution in one ```python block."""


def read_lines(path: Path) -> Iterator[Row]:
    """The rows of a file of JSON lines, each with its place in it under `PLACE`."""
    with path.open("rb") as file:
        start = 0
        for number, line in enumerate(file, start=1):
            if line.strip():
                try:
                    row = json.loads(line)
                except ValueError as error:
                    raise DataError(f"{path}:{number} is not JSON: {error}; mend or remove that line.") from None
                if not isinstance(row, dict):
                    raise DataError(f"{path}:{number} is a {type(row).__name__}, not an object with columns.")
                yield {**row, PLACE: (str(path), start, len(line))}
            start += len(line)


def read(row: Row, seed: int) -> Question:
    question, starter = text_in(row, "question_content").strip(), str(row.get("starter_code") or "").strip()
    tests = {column: row[column] for column in COLUMNS[1:]} | {"metadata": row.get("metadata")}
    prompt = FUNCTION.format(question=question, starter=starter) if starter else STDIN.format(question=question)
    return Question(
        str(row.get("question_id") or ""),
        prompt,
        "",
        groups_in(row, {"subject": "platform", "level": "difficulty"}),
        {PLACE: row[PLACE]} if PLACE in row else tests,
    )


def release(name: str, title: str, *files: str) -> Benchmark:
    return Benchmark(
        name,
        title,
        Source("livecodebench/code_generation_lite", files=files),
        COLUMNS,
        read,
        score_lcb,
        num_samples=16,
        find_trouble=find_lcb_trouble,
        votes=False,
        check=provider,
        read_rows=read_lines,
    )


BENCHMARKS = (
    release("lcb", "LiveCodeBench, releases 4 and 5 (v4_v5)", "test4.jsonl", "test5.jsonl"),
    release("lcb_v4", "LiveCodeBench, release 4", "test4.jsonl"),
)
