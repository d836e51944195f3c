"""A working folder with files that are called like libraries, as a cloned repository may have: none of them runs."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from open_r1.cli.main import verb_modules

HOSTILE = """math_verify fastapi torch datasets sympy yaml transformers trl accelerate vllm uvicorn orjson aiohttp
numpy jinja2 rich pyarrow rensa matplotlib packaging zstandard pydantic starlette h11 dotenv
prometheus_client openai latex2sympy2_extended antlr4 pandas multiprocess dill peft tokenizers
huggingface_hub safetensors regex requests httpx wandb jieba logging argparse json socket subprocess
asyncio random string typing_extensions hashlib tempfile ctypes pickle unicodedata fractions
sitecustomize usercustomize""".split()

WAYS = {
    "open-r1": [str(Path(sys.executable).with_name("open-r1"))],
    "python -m": [sys.executable, "-m", "open_r1.cli.main"],
}
GOLD = "$\\frac{1}{2}$"

REWARD = """
def always(completions, **columns):
    return [0.25 for _ in completions]
"""


@pytest.fixture
def poisoned(tmp_path: Path) -> Path:
    """A folder where each import of a library by name would leave the file MARK."""
    folder = tmp_path / "cloned"
    folder.mkdir()
    for name in HOSTILE:
        (folder / f"{name}.py").write_text(
            f"import os\nos.close(os.open({str(folder / 'MARK')!r}, os.O_CREAT | os.O_WRONLY))\n"
            f"raise SystemExit({name!r} + ' of the working folder was imported')\n"
        )
    rows = [
        {"problem": f"What is 1/{n} + 0? Number {n} of many words that differ {n}", "solution": GOLD,
         "completion": "\\boxed{0.5}", "messages": [{"role": "user", "content": f"p{n}"},
                                                    {"role": "assistant", "content": "\\boxed{0.5}"}]}
        for n in range(6)
    ]  # fmt: skip
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "my_rewards.py").write_text(REWARD)
    return folder


def run(poisoned: Path, way: str, *words: str) -> subprocess.CompletedProcess[str]:
    """A command in the poisoned folder; fails where something of the folder was imported."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONSAFEPATH", "PYTHONPATH")}
    ran = subprocess.run(
        [*WAYS[way], *words], cwd=poisoned, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert not (poisoned / "MARK").exists(), ran.stderr
    assert "of the working folder was imported" not in ran.stderr + ran.stdout
    return ran


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("verb", ["", *verb_modules()])
def test_help_imports_nothing_of_the_working_folder(poisoned: Path, verb: str, way: str) -> None:
    assert run(poisoned, way, *([verb] if verb else []), "--help").returncode == 0


@pytest.mark.parametrize("way", WAYS)
def test_algebra_in_worker_processes_imports_nothing_of_the_working_folder(poisoned: Path, way: str) -> None:
    ran = run(poisoned, way, "rewards", "score", "rows.jsonl", "--rewards", "accuracy")
    assert ran.returncode == 0, ran.stderr


CALLS = {
    "verify": ["data", "verify", "rows.jsonl", "--output", "verified.jsonl"],
    "dedup": ["data", "dedup", "rows.jsonl", "--output", "unique.jsonl", "--processes", "2"],
    "decontaminate": [
        "data", "decontaminate", "rows.jsonl", "--against", "rows.jsonl", "--output", "clean.jsonl", "--processes", "2"
    ],
    "executor check": ["executor", "check", "--workers", "1"],
    "eval": ["eval", "some/model", "--server", "http://localhost:9/v1", "--problems", "rows.jsonl", "--dry-run"],
    "report": ["report", "."],
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("call", CALLS)
def test_a_verb_at_work_imports_nothing_of_the_working_folder(poisoned: Path, call: str, way: str) -> None:
    ran = run(poisoned, way, *CALLS[call])
    if call not in ("report",):  # the folder is no run, which is refused without importing anything of it
        assert ran.returncode == 0, ran.stderr


def test_the_models_server_imports_nothing_of_the_working_folder(poisoned: Path) -> None:
    """The line that `serve` starts, started."""
    ran = run(poisoned, "open-r1", "serve", "no/model", "--backend", "transformers", "--dry-run")
    assert ran.returncode == 0, ran.stderr
    started = subprocess.run(
        [*shlex.split(ran.stdout), "--help"], cwd=poisoned, capture_output=True, text=True, timeout=300, check=False
    )
    assert started.returncode == 0, started.stderr
    assert not (poisoned / "MARK").exists(), started.stderr


@pytest.mark.parametrize("way", WAYS)
def test_a_reward_of_the_working_folder_is_found_when_it_is_named(poisoned: Path, way: str) -> None:
    ran = run(poisoned, way, "rewards", "score", "rows.jsonl", "--rewards", "my_rewards:always")
    assert ran.returncode == 0, ran.stderr
    assert "0.25" in ran.stdout
