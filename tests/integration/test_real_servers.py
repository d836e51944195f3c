"""Traces from real engines with a tiny model: `transformers serve`, vLLM in the command's process."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from open_r1.rundir import read_json, read_jsonl


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    status: int
    out: str
    err: str


START_LIMIT_S = 480


def skip_without(*libraries: str) -> None:
    missing = [name for name in libraries if find_spec(name) is None]
    if missing:
        pytest.skip(f"REAL SERVER ABSENT: {', '.join(missing)} not installed")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Heads of 32, which is the least that vLLM's attention on a CPU takes."""
    from open_r1.training.tiny_models import ModelShape, make_model_folder

    folder = tmp_path_factory.mktemp("model")
    shape = ModelShape(hidden_size=128, num_layers=1, intermediate_size=128)
    make_model_folder(folder, ["Compute 7+5", "<think>\n7+5=12\n</think>\n\\boxed{12}"] * 20, shape, seed=0)
    own = folder / "generation_config.json"
    own.write_text(json.dumps(json.loads(own.read_text()) | {"repetition_penalty": 1.7}))
    return folder


@contextmanager
def serving(*words: object) -> Iterator[str]:
    """A server started with these words and a free port; its address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    command = [sys.executable, *map(str, words), "--port", str(port)]
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(timeout=60)


def draw(open_r1: Callable[..., Any], out: Path, *words: object) -> list[dict[str, Any]]:
    """Twenty problems, three samples each, in two commands; checked."""
    command = [
        "data", "generate", "tasks:linear_equations?level=1&n=20&seed=1", "--num_samples", 3, "--temperature", 1.0,
        "--max_new_tokens", 12, "--output_dir", out, *words,
    ]  # fmt: skip
    assert open_r1(*command, "--max_problems", 5).status == 0
    ran = open_r1(*command)
    assert ran.status == 0, ran.err
    rows = read_jsonl(out / "traces.jsonl")
    assert len({(row["problem_id"], row["sample"]) for row in rows}) == len(rows) == 60
    assert all(1 <= row["completion_tokens"] <= 12 for row in rows if row["request_samples"] == 1)
    assert 60 <= sum(row["completion_tokens"] for row in rows) <= 60 * 12
    assert {row["finish_reason"] for row in rows} <= {"stop", "length"}
    assert read_json(out / "summary.json")["samples_missing"] == 0
    return rows


@pytest.mark.slow
def test_transformers_serve(open_r1: Callable[..., Any], tmp_path: Path, model: Path) -> None:
    skip_without("transformers", "openai", "fastapi", "uvicorn")
    with serving(
        "-m", "transformers.cli.transformers", "serve", model, "--device", "cpu", "--dtype", "float32"
    ) as url:
        rows = draw(open_r1, tmp_path / "out", "--server", url, "--model", model, "--wait_for_server", START_LIMIT_S)
    assert all(row["prompt_tokens"] > 0 for row in rows)


@pytest.mark.vllm
def test_vllm_in_the_commands_own_process(open_r1: Callable[..., Any], tmp_path: Path, model: Path) -> None:
    skip_without("vllm")

    def run(*words: object) -> Ran:
        command = [sys.executable, "-m", "open_r1.cli.main", *map(str, words)]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=START_LIMIT_S, check=False)
        return Ran(ran.returncode, ran.stdout, ran.stderr)

    by_vllm = ["--backend", "vllm", "--model", model, "--engine_options", '{"dtype": "float32", "max_model_len": 256}']
    greedily = [
        "data", "generate", "tasks:linear_equations?level=1&n=20&seed=1", "--max_new_tokens", 12, "--temperature", 0,
        "--num_samples", 1,
    ]  # fmt: skip
    assert run(*greedily, "--output_dir", tmp_path / "vllm", *by_vllm).status == 0
    here = ["--backend", "transformers", "--model", model]
    assert open_r1(*greedily, "--output_dir", tmp_path / "here", *here).status == 0
    by_both = [
        {row["problem_id"]: row["completion"] for row in read_jsonl(tmp_path / name / "traces.jsonl")}
        for name in ("vllm", "here")
    ]
    assert by_both[0] == by_both[1], "no penalty of generation_config.json is applied"
