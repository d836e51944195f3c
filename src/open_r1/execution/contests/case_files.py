"""Tests in files: Parquet or JSON lines in the published columns, in a folder or from the Hub.

    GeneratedTests("/data/codeforces").load("852/A", "852")      # the folder that CF_TESTS_FOLDER names: [TestData, …]
    IoiTests("/data/ioi-test-cases").load(2024, "nile", ["1-01", "1-02"])     # {"1-01": TestData, …}

Reads the rows of one problem and never a whole file: those of one year have 1.8 GB and all generated tests 110 GB.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from open_r1.errors import ConfigError, nearest
from open_r1.execution.contests.rows import ProblemError, TestData, parse_test
from open_r1.execution.environment import read_environment

CODEFORCES_FOLDER = "CF_TESTS_FOLDER"
IOI_FOLDER = "IOI_TESTS_FOLDER"
IOI_HUB_ID = "open-r1/ioi-test-cases"
RETRY_S = 300
"""A download that failed is tried again after this."""
ROWS_AT_ONCE = 8
"""Rows decoded at a time; one may have tens of megabytes."""

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Columns:
    """What the columns of a kind of test file are called; `names` are the spellings of that of a test's name."""

    names: tuple[str, ...]
    input: str
    output: str
    problem: str = "problem_id"

    def find(self, path: Path, found: Sequence[str]) -> list[str]:
        """Those of problem, name, input and output. ProblemError when one isn't there."""
        name = next((name for name in self.names if name in found), self.names[0])
        columns = [self.problem, name, self.input, self.output]
        for column in columns:
            if column not in found:
                raise ProblemError(
                    "tests_unreadable",
                    f"test file '{path}' has no column '{column}'{nearest(column, found)} "
                    f"Found: {', '.join(found) or 'none'}.",
                )
        return columns


IOI_COLUMNS = Columns(names=("test_name",), input="test_input", output="test_output")
CODEFORCES_COLUMNS = Columns(names=("test_case_i", "test_i"), input="input", output="output")


def read_tests(path: Path, columns: Columns, problem: str, names: Sequence[str] | None = None) -> dict[str, TestData]:
    """The tests of a problem in a file, or those of them that are named. ProblemError for a file that can't be read."""

    def is_wanted(of_problem: Any, name: Any) -> bool:
        return str(of_problem) == problem and (names is None or str(name) in names)

    tests: dict[str, TestData] = {}
    try:
        for name, record in READERS[path.suffix](path, columns, is_wanted):
            where = f"{path}, test {name} of '{problem}'"
            tests.setdefault(str(name), parse_test(record, where, (columns.input, columns.output)))
    except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors or OSErrors
        raise ProblemError(
            "tests_unreadable", f"test file '{path}' can't be read: {' '.join(str(error).split())}; get it anew."
        ) from None
    return tests


def _read_parquet(path: Path, columns: Columns, is_wanted: Callable[[Any, Any], bool]) -> Iterator[tuple[Any, Record]]:
    from pyarrow.parquet import ParquetFile

    with ParquetFile(path, memory_map=True, pre_buffer=False) as file:
        problem, name, *data = columns.find(path, file.schema_arrow.names)
        for group in range(file.num_row_groups):
            keys = file.read_row_group(group, [problem, name])
            pairs = zip(keys[problem].to_pylist(), keys[name].to_pylist(), strict=True)
            wanted = {
                row: of_test for row, (of_problem, of_test) in enumerate(pairs) if is_wanted(of_problem, of_test)
            }
            if not wanted:
                continue
            start = 0
            for batch in file.iter_batches(ROWS_AT_ONCE, row_groups=[group], columns=data):
                for row in range(start, start + batch.num_rows):
                    if row in wanted:
                        yield wanted[row], {column: batch.column(column)[row - start].as_py() for column in data}
                start += batch.num_rows
                if start > max(wanted):
                    break


def _read_json_lines(
    path: Path, columns: Columns, is_wanted: Callable[[Any, Any], bool]
) -> Iterator[tuple[Any, Record]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except ValueError as error:
                raise ValueError(f"line {number} is not JSON: {error}") from None
            if not isinstance(record, dict):
                raise ValueError(f"line {number} is a {type(record).__name__}, not an object")
            problem, name, *_ = columns.find(path, list(record))
            if is_wanted(record[problem], record[name]):
                yield record[name], record


READERS = {".parquet": _read_parquet, ".jsonl": _read_json_lines}


class GeneratedTests:
    """The generated tests of `open-r1/codeforces`: a Parquet file a contest, in a folder or its `generated_tests`."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = check_folder(folder, CODEFORCES_FOLDER)

    @classmethod
    def from_environment(cls) -> GeneratedTests | None:
        """Those in CF_TESTS_FOLDER; None where it isn't set. ConfigError for a folder that isn't there."""
        folder = read_environment().get(CODEFORCES_FOLDER, "")
        return cls(folder) if folder else None

    def load(self, problem: str, contest: str) -> list[TestData]:
        """All generated tests of a problem, in order. ProblemError when there are none."""
        path = self.find(contest)
        tests = read_tests(path, CODEFORCES_COLUMNS, problem)
        if not tests:
            raise ProblemError(
                "no_generated_tests",
                f"{path} has no tests of problem '{problem}', whose row says that there are some; get the file anew.",
            )
        return [tests[name] for name in sorted(tests, key=_by_number)]

    def find(self, contest: str) -> Path:
        """The file of a contest, whose number is padded to four digits. ProblemError when it isn't there."""
        if any(character in contest for character in "/\\\0"):
            raise ProblemError(
                "no_generated_tests", f"'{contest}' is not the number of a contest, so it has no test file."
            )
        names = dict.fromkeys([f"test_cases_{contest.zfill(4)}.parquet", f"test_cases_{contest}.parquet"])
        candidates = [folder / name for name in names for folder in (self.folder, self.folder / "generated_tests")]
        path = next((path for path in candidates if path.is_file()), None)
        if path is None:
            raise ProblemError(
                "no_generated_tests",
                f"the generated tests of contest {contest} are not in '{self.folder}' (looked for "
                f"{', '.join(str(path.relative_to(self.folder)) for path in candidates)}); download them.",
            )
        return path


class IoiTests:
    """The tests of `open-r1/ioi-test-cases`: from a folder or a file, else from the Hub, a year at a time."""

    def __init__(self, folder: str | Path | None = None) -> None:
        self.folder = check_folder(folder, IOI_FOLDER, may_be_file=True) if folder else None

    @classmethod
    def from_environment(cls) -> IoiTests:
        """Those in IOI_TESTS_FOLDER; the Hub's where it isn't set."""
        return cls(read_environment().get(IOI_FOLDER) or None)

    def load(self, year: int, problem: str, names: Sequence[str]) -> dict[str, TestData]:
        """The named tests of a problem. ProblemError when one isn't there."""
        missing = list(names)
        tests: dict[str, TestData] = {}
        for path in self.find(year):
            tests |= read_tests(path, IOI_COLUMNS, problem, missing)
            missing = [name for name in names if name not in tests]
            if not missing:
                return tests
        raise ProblemError(
            "no_tests",
            f"{len(missing)} of {len(names)} tests of IOI {year} '{problem}' are not in {self.folder or IOI_HUB_ID} "
            f"(such as {missing[0]}).",
        )

    def find(self, year: int) -> list[Path]:
        """The files that may hold tests of a year."""
        folder = self.folder or _folder_of_year(year)
        if folder.is_file():
            return [folder]
        of_year = folder / str(year)
        paths = sorted(path for path in (of_year if of_year.is_dir() else folder).iterdir() if path.suffix in READERS)
        if not paths:
            raise ProblemError("no_tests", f"'{folder}' has no test files ({', '.join(READERS)}) for IOI {year}.")
        return paths


def check_folder(folder: str | Path, setting: str, may_be_file: bool = False) -> Path:
    """ConfigError for a folder that isn't there."""
    path = Path(folder).expanduser()
    if not (path.is_dir() or (may_be_file and path.is_file() and path.suffix in READERS)):
        raise ConfigError(
            f"{setting} is '{folder}', which is not a folder; set it to the folder that contains the test files."
        )
    return path


def _folder_of_year(year: int) -> Path:
    found = _download_year(year, int(time.monotonic() / RETRY_S))
    if isinstance(found, str):
        raise ProblemError(
            "no_tests",
            f"the tests of IOI {year} could not be downloaded from the Hub ({found:.200}); download {IOI_HUB_ID} and set "
            f"{IOI_FOLDER}.",
        )
    return found


@lru_cache(maxsize=16)
def _download_year(year: int, attempt: int) -> Path | str:
    """The year's folder, or why it couldn't be had: remembered too, so that a batch doesn't try once a sample."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(IOI_HUB_ID, repo_type="dataset", allow_patterns=f"{year}/*.parquet"))
    except Exception as error:  # noqa: BLE001 - network, access and naming failures all end here
        return " ".join(str(error).split())


def _by_number(name: str) -> tuple[int, str]:
    return (int(name), "") if name.isdecimal() else (2**62, name)
