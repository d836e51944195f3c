"""What many tests share: the real data where it is, a tiny model folder, the command line in process."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from open_r1.errors import ConfigError
from open_r1.execution.sandbox.local import LocalProvider

REPO = Path(__file__).parents[1]

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@pytest.fixture(scope="session")
def repo() -> Path:
    return REPO


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with GSM8K, MATH and the like; a test that needs it is skipped, loudly, where it is absent."""
    folder = Path(os.environ.get("OPEN_R1_TEST_DATA", REPO.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"REAL DATA ABSENT: {folder} does not exist; set OPEN_R1_TEST_DATA to test on real problems")
    return folder


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with random weights and a byte-level tokenizer, made once for the session."""
    from open_r1.training.tiny_models import ModelShape, make_model_folder

    folder = tmp_path_factory.mktemp("models") / "tiny"
    texts = ["Compute 7+5-3", "<think>\n7+5=12\n12-3=9\n</think>\n<answer>\n\\boxed{9}\n</answer>"] * 20
    make_model_folder(folder, texts, ModelShape(hidden_size=32, num_layers=1, intermediate_size=64), seed=0)
    return folder


@pytest.fixture(autouse=True)
def no_handlers_left_behind() -> Iterator[None]:
    """The command line, run in process, gives our logger a handler on a stderr that is gone with the test."""
    ours = logging.getLogger("open_r1")
    yield
    ours.handlers, ours.propagate = [], True
    ours.setLevel(logging.NOTSET)


@pytest.fixture(scope="session")
def local() -> Iterator[LocalProvider]:
    """This machine's sandbox; a test that needs it is skipped, loudly, where there is none."""
    with LocalProvider() as provider:
        try:
            provider.check()
        except ConfigError as error:
            pytest.skip(f"NO SANDBOX HERE: {error}")
        yield provider


@dataclass(frozen=True)
class Ran:
    """How a command line ended."""

    status: int
    out: str
    err: str


@pytest.fixture
def open_r1(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Runs `open-r1 …` in this process."""
    from open_r1.cli.main import main

    def run(*arguments: object) -> Ran:
        status = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Ran(status, captured.out, captured.err)

    return run
