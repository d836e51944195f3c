"""The local sandbox for contests' tests, and their test files."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from contest_tasks import generated_rows, ioi_test_rows, write_parquet

from open_r1.errors import ConfigError
from open_r1.execution.contests.case_files import GeneratedTests, IoiTests
from open_r1.execution.programs import Provider
from open_r1.execution.sandbox.local import LocalProvider

sys.path.append(str(Path(__file__).parents[1] / "providers"))  # the servers that remote providers' tests have


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Provider]:
    """This machine's sandbox with a C++ compiler; tests that need it are skipped, loudly, where it can't be had."""
    with LocalProvider() as provider:
        try:
            provider.check()
        except ConfigError as error:
            pytest.skip(f"SANDBOX ABSENT: {error}")
        if provider.tier != "A":
            pytest.skip(f"SANDBOX TIER {provider.tier}: compiled programs need tier A; see `open-r1 executor check`")
        yield provider


@pytest.fixture(scope="session")
def cf_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What CF_TESTS_FOLDER names."""
    folder = tmp_path_factory.mktemp("codeforces")
    write_parquet(folder / "generated_tests" / "test_cases_9001.parquet", generated_rows())
    return folder


@pytest.fixture(scope="session")
def ioi_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What IOI_TESTS_FOLDER names: a year as Parquet in two files, another as JSON lines."""
    folder = tmp_path_factory.mktemp("ioi")
    rows = ioi_test_rows()
    write_parquet(folder / "2031" / "train-00000-of-00002.parquet", rows[:3])
    write_parquet(folder / "2031" / "train-00001-of-00002.parquet", rows[3:])
    (folder / "2032").mkdir()
    (folder / "2032" / "train.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return folder


@pytest.fixture
def generated(cf_folder: Path) -> GeneratedTests:
    return GeneratedTests(cf_folder)


@pytest.fixture
def ioi_tests(ioi_folder: Path) -> IoiTests:
    return IoiTests(ioi_folder)
