"""Every verb says something before it loads a library that takes longer than half a second."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from open_r1.cli.data import ACTIONS
from open_r1.cli.main import verb_modules

COMMANDS = {
    "chat": "chat http://127.0.0.1:1/v1",
    "compare": "compare gone",
    "eval": "eval gone/model --problems p.jsonl --output_dir out",
    "doctor": "doctor",
    "executor": "executor check --url http://127.0.0.1:1",
    "grpo": "grpo --model_name_or_path ./gone --dataset_name p.jsonl --output_dir out",
    "launch": "launch --model gone --task sft --config x",
    "merge": "merge gone out",
    "model": "model new p.jsonl out",
    "monitor": "monitor p.jsonl",
    "new": "new mine",
    "plan": "plan gone.yaml",
    "publish": "publish gone --repo_id a/b",
    "report": "report gone",
    "rewards": "rewards score p.jsonl --rewards accuracy",
    "run": "run gone.yaml",
    "serve": "serve ./gone",
    "sft": "sft --model_name_or_path ./gone --dataset_name p.jsonl --output_dir out",
    "data generate": "data generate p.jsonl --server http://127.0.0.1:1 --output_dir out",
    "data verify": "data verify p.jsonl --output out.jsonl",
    "data select": "data select p.jsonl --keep all --output out.jsonl",
    "data pass-rate": "data pass-rate p.jsonl --server http://127.0.0.1:1 --output_dir out",
    "data dedup": "data dedup p.jsonl",
    "data decontaminate": "data decontaminate p.jsonl --against p.jsonl",
    "data merge": "data merge out.jsonl",
    "data mix": "data mix mix.yaml --output_dir out",
    "data publish": "data publish p.jsonl --repo_id a/b --output_dir out --dry-run",
}

SCRIPT = """
import importlib.abc, json, sys

HEAVY = {"torch", "transformers", "trl", "vllm", "datasets", "pandas", "accelerate", "peft", "scipy", "fastapi"}

class Watch(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name in HEAVY:
            raise SystemExit(f"before the first line, {name} is loaded")
        return None

class FirstLine:
    def isatty(self):
        return False
    def flush(self):
        pass
    def write(self, text):
        if text.strip():
            print(json.dumps(text.strip()), file=sys.__stdout__, flush=True)
            __import__("os")._exit(0)

sys.meta_path.insert(0, Watch())
sys.stdout = sys.stderr = FirstLine()
from open_r1.cli.main import main
main(sys.argv[1:])
"""


def test_every_verb_is_tried() -> None:
    tried = {command for command in COMMANDS if not command.startswith("data ")}
    assert tried == set(verb_modules()) - {"data"}
    assert {command.removeprefix("data ") for command in COMMANDS if command.startswith("data ")} == set(ACTIONS)


@pytest.mark.parametrize("verb", COMMANDS)
def test_a_verb_says_something_before_it_loads_a_heavy_library(verb: str, tmp_path: Path) -> None:
    row = {"problem": "1+1", "solution": "2", "completion": "<think>\nx\n</think>\n\\boxed{2}"}
    (tmp_path / "p.jsonl").write_text(json.dumps(row) + "\n")
    (tmp_path / "mix.yaml").write_text("dataset_mixture:\n  datasets:\n    - {id: p.jsonl}\n")
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, *COMMANDS[verb].split()],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert json.loads(ran.stdout)
