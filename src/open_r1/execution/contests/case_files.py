"""Tests in files: Parquet or JSON lines in the published columns, in a folder or from the Hub.

    generated = GeneratedTests("/data/codeforces")       # what CF_TESTS_FOLDER names
    generated.load("852/A", "852")                       # [TestData, …]
    IoiTests("/data/ioi-test-cases").load(2024, "nile", ["1-01", "1-02"])     # {"1-01": TestData, …}

Does: find the file of a contest or a year, index its keys, read the rows of one problem, remember the last ones up to a
size. Reads no whole file, since those of one year have 1.8 GB and all generated tests 110 GB; of Parquet, a page or a row
group is what can't be cut further. Does not: judge.
"""

from __future__ import annotations

import json
import threading
import time
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from open_r1.errors import ConfigError, nearest
from open_r1.execution.contests.rows import BYTES_PER_MB, ProblemError, TestData, parse_test
from open_r1.execution.environment import read_environment

CODEFORCES_FOLDER = "CF_TESTS_FOLDER"
IOI_FOLDER = "IOI_TESTS_FOLDER"
IOI_HUB_ID = "open-r1/ioi-test-cases"
CACHE_MB = 256
RETRY_S = 300
"""A download that failed is tried again after this."""
ROWS_AT_ONCE = 8
"""Rows decoded at a time; one may have tens of megabytes."""


@dataclass(frozen=True)
class Columns:
    """What the columns of a kind of test file are called; `name` is the first of several spellings that is there."""

    name: tuple[str, ...]
    input: str
    output: str
    problem: str = "problem_id"


IOI_COLUMNS = Columns(name=("test_name",), input="test_input", output="test_output")
CODEFORCES_COLUMNS = Columns(name=("test_case_i", "test_i"), input="input", output="output")


class TestFile(ABC):
    """One file of tests, of which only the keys are held."""

    __test__ = False

    def __init__(self, path: Path, columns: Columns) -> None:
        self.path, self.columns = path, columns
        try:
            self._places = self._index()
        except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors or OSErrors
            raise ProblemError(
                "tests_unreadable", f"test file '{path}' can't be read: {' '.join(str(error).split())}; get it anew."
            ) from None

    def names(self, problem: str) -> list[str]:
        """The names of a problem's tests, in the file's order; empty for a problem that it doesn't have."""
        return list(self._places.get(problem, {}))

    def read(self, problem: str, names: Iterable[str]) -> dict[str, TestData]:
        """Those of the named tests that the file has."""
        places = self._places.get(problem, {})
        wanted = {places[name]: name for name in names if name in places}
        try:
            records = self._records(sorted(wanted))
            return {
                wanted[place]: parse_test(
                    record,
                    f"{self.path}, test {wanted[place]} of '{problem}'",
                    (self.columns.input, self.columns.output),
                )
                for place, record in records.items()
            }
        except (OSError, ValueError) as error:
            raise ProblemError(
                "tests_unreadable",
                f"test file '{self.path}' can't be read: {' '.join(str(error).split())}; get it anew.",
            ) from None

    @abstractmethod
    def _index(self) -> dict[str, dict[str, int]]:
        """Problem -> test name -> where its row is."""

    @abstractmethod
    def _records(self, places: Sequence[int]) -> dict[int, Mapping[str, Any]]:
        """The rows at these places."""

    def _find_columns(self, found: Sequence[str]) -> tuple[str, str]:
        """The columns of problem and name; ProblemError when one of the four isn't there."""
        name = next((name for name in self.columns.name if name in found), self.columns.name[0])
        for column in (self.columns.problem, name, self.columns.input, self.columns.output):
            if column not in found:
                raise ProblemError(
                    "tests_unreadable",
                    f"test file '{self.path}' has no column '{column}'{nearest(column, found)} "
                    f"Found: {', '.join(found) or 'none'}.",
                )
        return self.columns.problem, name


class ParquetTests(TestFile):
    """A Parquet file; a place is a row number."""

    def _index(self) -> dict[str, dict[str, int]]:
        with self._open() as file:
            problem, name = self._find_columns(file.schema_arrow.names)
            places: dict[str, dict[str, int]] = {}
            start = 0
            for batch in file.iter_batches(batch_size=4096, columns=[problem, name]):
                keys = zip(batch.column(problem).to_pylist(), batch.column(name).to_pylist(), strict=True)
                for row, (of_problem, of_test) in enumerate(keys, start=start):
                    places.setdefault(str(of_problem), {}).setdefault(str(of_test), row)
                start += batch.num_rows
        return places

    def _records(self, places: Sequence[int]) -> dict[int, Mapping[str, Any]]:
        records: dict[int, Mapping[str, Any]] = {}
        with self._open() as file:
            start = 0
            for group in range(file.num_row_groups):
                count = file.metadata.row_group(group).num_rows
                wanted = [place for place in places if start <= place < start + count]
                if wanted:
                    records |= self._records_of_group(file, group, start, wanted)
                start += count
        return records

    def _records_of_group(
        self, file: Any, group: int, start: int, places: Sequence[int]
    ) -> dict[int, Mapping[str, Any]]:
        records: dict[int, Mapping[str, Any]] = {}
        columns = [self.columns.input, self.columns.output]
        for batch in file.iter_batches(batch_size=ROWS_AT_ONCE, row_groups=[group], columns=columns):
            for place in places:
                if start <= place < start + batch.num_rows:
                    records[place] = {name: batch.column(name)[place - start].as_py() for name in columns}
            start += batch.num_rows
            if start > places[-1]:
                break
        return records

    def _open(self) -> Any:
        from pyarrow.parquet import ParquetFile

        return ParquetFile(self.path, memory_map=True, pre_buffer=False)


class JsonLinesTests(TestFile):
    """JSON lines; a place is an offset in bytes."""

    def _index(self) -> dict[str, dict[str, int]]:
        places: dict[str, dict[str, int]] = {}
        with self.path.open("rb") as file:
            offset = 0
            for number, line in enumerate(file, start=1):
                if line.strip():
                    record = self._parse(line, number)
                    problem, name = self._find_columns(list(record))
                    places.setdefault(str(record[problem]), {}).setdefault(str(record[name]), offset)
                offset += len(line)
        return places

    def _records(self, places: Sequence[int]) -> dict[int, Mapping[str, Any]]:
        records = {}
        with self.path.open("rb") as file:
            for place in places:
                file.seek(place)
                records[place] = self._parse(file.readline(), None)
        return records

    def _parse(self, line: bytes, number: int | None) -> Mapping[str, Any]:
        try:
            record = json.loads(line)
        except ValueError as error:
            raise ValueError(f"line {number or '?'} is not JSON: {error}") from None
        if not isinstance(record, dict):
            raise ValueError(f"line {number or '?'} is a {type(record).__name__}, not an object")
        return record


READERS: dict[str, type[TestFile]] = {".parquet": ParquetTests, ".jsonl": JsonLinesTests}


def open_test_file(path: Path, columns: Columns) -> TestFile:
    """The file with its keys, indexed anew when it has changed."""
    status = path.stat()
    return _open_test_file(path, columns, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=64)
def _open_test_file(path: Path, columns: Columns, changed_ns: int, size: int) -> TestFile:
    return READERS[path.suffix](path, columns)


class RecentTests:
    """The tests read last, up to a size in all. Safe to use from any thread."""

    def __init__(self, megabytes: float = CACHE_MB) -> None:
        self._budget = int(megabytes * BYTES_PER_MB)
        self._size = 0
        self._tests: OrderedDict[tuple[str, str], dict[str, TestData]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[str, str], names: Iterable[str]) -> dict[str, TestData]:
        """Those of the named tests that are held."""
        with self._lock:
            held = self._tests.get(key, {})
            if held:
                self._tests.move_to_end(key)
            return {name: held[name] for name in names if name in held}

    def add(self, key: tuple[str, str], tests: Mapping[str, TestData]) -> None:
        """Hold these too; the least recently used problems go first."""
        with self._lock:
            held = self._tests.setdefault(key, {})
            self._size += sum(test.size for name, test in tests.items() if name not in held)
            held.update(tests)
            self._tests.move_to_end(key)
            while self._size > self._budget:
                _, dropped = self._tests.popitem(last=False)
                self._size -= sum(test.size for test in dropped.values())


class GeneratedTests:
    """The generated tests of `open-r1/codeforces`: a Parquet file a contest, in a folder or its `generated_tests`."""

    def __init__(self, folder: str | Path, cache_mb: float = CACHE_MB) -> None:
        self.folder = check_folder(folder, CODEFORCES_FOLDER)
        self._recent = RecentTests(cache_mb)

    @classmethod
    def from_environment(cls) -> GeneratedTests | None:
        """Those in CF_TESTS_FOLDER; None where it isn't set. ConfigError for a folder that isn't there."""
        folder = read_environment().get(CODEFORCES_FOLDER, "")
        return cls(folder) if folder else None

    def load(self, problem: str, contest: str) -> list[TestData]:
        """All generated tests of a problem, in order. ProblemError when there are none."""
        path = self.find(contest)
        file = open_test_file(path, CODEFORCES_COLUMNS)
        names = sorted(file.names(problem), key=_by_number)
        if not names:
            raise ProblemError(
                "no_generated_tests",
                f"{path} has no tests of problem '{problem}', whose row says that there are some; get the file anew.",
            )
        tests = read_through(self._recent, file, problem, names)
        return [tests[name] for name in names]

    def find(self, contest: str) -> Path:
        """The file of a contest, whose number is padded to four digits. ProblemError when it isn't there."""
        number = f"{int(contest):04d}" if contest.isdecimal() else contest
        if any(character in contest for character in "/\\\0"):
            raise ProblemError(
                "no_generated_tests", f"'{contest}' is not the number of a contest, so it has no test file."
            )
        names = dict.fromkeys([f"test_cases_{number}.parquet", f"test_cases_{contest}.parquet"])
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

    def __init__(self, folder: str | Path | None = None, cache_mb: float = CACHE_MB) -> None:
        self.folder = check_folder(folder, IOI_FOLDER, may_be_file=True) if folder else None
        self._recent = RecentTests(cache_mb)

    @classmethod
    def from_environment(cls) -> IoiTests:
        """Those in IOI_TESTS_FOLDER; the Hub's where it isn't set."""
        return cls(read_environment().get(IOI_FOLDER) or None)

    def load(self, year: int, problem: str, names: Sequence[str]) -> dict[str, TestData]:
        """The named tests of a problem. ProblemError when one isn't there."""
        missing = list(names)
        tests: dict[str, TestData] = {}
        for path in self.find(year):
            file = open_test_file(path, IOI_COLUMNS)
            tests |= read_through(self._recent, file, problem, missing)
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


def read_through(recent: RecentTests, file: TestFile, problem: str, names: Sequence[str]) -> dict[str, TestData]:
    """The named tests that the file has, from memory where they are there."""
    key = (str(file.path), problem)
    tests = recent.get(key, names)
    if missing := [name for name in names if name not in tests]:
        read = file.read(problem, missing)
        recent.add(key, read)
        tests |= read
    return tests


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
