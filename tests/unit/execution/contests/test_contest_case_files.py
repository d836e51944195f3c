"""Tests in files: found, read piece by piece; broken ones named."""

from __future__ import annotations

import json
import random
import subprocess
import sys

import contest_tasks as tasks
import pytest

from open_r1.errors import ConfigError
from open_r1.execution.contests import case_files
from open_r1.execution.contests.case_files import (
    CODEFORCES_COLUMNS,
    IOI_COLUMNS,
    GeneratedTests,
    IoiTests,
    read_tests,
)
from open_r1.execution.contests.rows import ProblemError, TestData


@pytest.mark.parametrize("year", [2031, 2032], ids=["parquet", "jsonl"])
def test_the_named_tests_of_a_problem_are_read(ioi_tests, year):
    tests = ioi_tests.load(year, "total", ["2-01", "0-01"])
    assert tests == {name: TestData(*(text.encode() for text in tasks.TOTAL_TESTS[name])) for name in ("2-01", "0-01")}
    assert ioi_tests.load(year, "halves", ["1"])["1"].expected == b"0\n"


def test_a_single_file_may_be_named(ioi_folder):
    file = ioi_folder / "2032" / "train.jsonl"
    assert list(IoiTests(file).load(1999, "halves", ["1", "2"])) == ["1", "2"]


@pytest.mark.parametrize(
    "name", ["test_cases_0077.parquet", "test_cases_77.parquet", "generated_tests/test_cases_0077.parquet"]
)
@pytest.mark.parametrize("order", ["test_i", "test_case_i", None])
def test_a_contest_s_file_is_found_however_it_is_called_and_ordered(tmp_path, name, order):
    rows = [
        {"problem_id": "77/A", order or "test_i": number, "input": f"{number}", "output": "x"} for number in (2, 10, 0)
    ]
    if order is None:
        with pytest.raises(ProblemError, match="has no column 'test_case_i'; did you mean 'test_case'"):
            write_and_load(tmp_path / name, [{**row, "test_case": 1, "test_i": None} for row in rows], drop="test_i")
    else:
        assert write_and_load(tmp_path / name, rows) == [b"0", b"2", b"10"]


def write_and_load(path, rows, drop=None):
    tasks.write_parquet(path, [{key: value for key, value in row.items() if key != drop} for row in rows])
    folder = path.parent.parent if path.parent.name == "generated_tests" else path.parent
    return [test.input for test in GeneratedTests(folder).load("77/A", "77")]


def test_a_folder_that_is_not_there_is_an_error_at_once(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="CF_TESTS_FOLDER is '.*nowhere', which is not a folder"):
        GeneratedTests(tmp_path / "nowhere")
    monkeypatch.setenv("IOI_TESTS_FOLDER", str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match="IOI_TESTS_FOLDER is"):
        IoiTests.from_environment()
    monkeypatch.setenv("CF_TESTS_FOLDER", "")
    assert GeneratedTests.from_environment() is None


def test_the_folder_may_be_named_in_a_dotenv_file(tmp_path, monkeypatch, cf_folder):
    pytest.importorskip("dotenv", reason="python-dotenv is in the extra [code]")
    monkeypatch.delenv("CF_TESTS_FOLDER", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text(f"CF_TESTS_FOLDER={cf_folder}\n", encoding="utf-8")
    generated = GeneratedTests.from_environment()
    assert generated is not None and generated.folder == cf_folder


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.parquet", b"not parquet at all", "can't be read: .*get it anew"),
        ("x.parquet", b"", "can't be read"),
        ("x.jsonl", b'{"problem_id": "a"\n', "line 1 is not JSON"),
        ("x.jsonl", b"[1]\n", "line 1 is a list, not an object"),
        ("x.jsonl", b'{"problem_id": "a", "test_name": "1", "test_inpt": "", "test_output": ""}\n',
         "no column 'test_input'; did you mean 'test_inpt'. Found: problem_id"),
    ],
)  # fmt: skip
def test_a_broken_file_is_named(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ProblemError, match=message) as raised:
        IoiTests(tmp_path).load(2031, "total", ["1"])
    assert raised.value.reason == "tests_unreadable"


def test_a_parquet_file_that_is_cut_off_is_named(tmp_path):
    path = tasks.write_parquet(tmp_path / "test_cases_9001.parquet", tasks.generated_rows())
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ProblemError, match="can't be read"):
        read_tests(path, CODEFORCES_COLUMNS, "9001/A", ["0"])


def test_a_row_without_an_output_is_named(tmp_path):
    rows = [*tasks.generated_rows(), {"problem_id": "9001/E", "test_i": 0, "input": "1", "output": None}]
    tasks.write_parquet(tmp_path / "test_cases_9001.parquet", rows)
    with pytest.raises(ProblemError, match="test 0 of '9001/E' has no 'output'"):
        GeneratedTests(tmp_path).load("9001/E", "9001")


READ_ONE = """
import resource, sys
from pathlib import Path
from open_r1.execution.contests.case_files import CODEFORCES_COLUMNS, read_tests
read_tests(Path(sys.argv[1]), CODEFORCES_COLUMNS, "1/0", ["0"])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert len(read_tests(Path(sys.argv[1]), CODEFORCES_COLUMNS, "1/100")["0"].input) == 1 << 20
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_only_some_rows_of_a_file_are_in_memory_at_a_time(tmp_path):
    """128 MB of tests; to read one takes no more than a fraction beyond what reading the first took."""
    noise = random.Random(0)
    rows = [
        {"problem_id": f"1/{number}", "test_i": 0, "input": noise.randbytes(1 << 19).hex(), "output": "x"}
        for number in range(128)
    ]
    path = tasks.write_parquet(tmp_path / "test_cases_0001.parquet", rows, row_group_size=4)
    command = [sys.executable, "-c", READ_ONE, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert int(done.stdout) < 32 * 1024  # KiB


def test_without_a_folder_the_hub_is_asked_once_for_a_while(monkeypatch):
    import huggingface_hub

    asked = []

    def fail(name, **settings):
        asked.append((name, settings["allow_patterns"]))
        raise OSError("no network")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    case_files._download_year.cache_clear()
    for _ in range(3):
        with pytest.raises(
            ProblemError, match=r"could not be downloaded from the Hub \(no network\).*set IOI_TESTS_FOLDER"
        ):
            IoiTests().load(2031, "total", ["1-01"])
    assert len(asked) <= 2  # two only where the clock's slot ended in between
    assert asked[0] == ("open-r1/ioi-test-cases", "2031/*.parquet")
    case_files._download_year.cache_clear()


def test_the_hub_s_files_are_read_like_a_folder_s(monkeypatch, ioi_folder):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name, **settings: str(ioi_folder))
    case_files._download_year.cache_clear()
    assert list(IoiTests().load(2031, "total", ["1-01"])) == ["1-01"]
    case_files._download_year.cache_clear()


def test_columns_of_json_lines_may_hold_bytes_of_any_kind(tmp_path):
    rows = [{**row, "test_input": "\ud800 é \x00"} for row in tasks.ioi_test_rows()]
    (tmp_path / "odd.jsonl").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    tests = read_tests(tmp_path / "odd.jsonl", IOI_COLUMNS, "total", ["1-01"])
    assert tests["1-01"].input == "\ud800 é \x00".encode("utf-8", "surrogatepass")
