"""What tells two evaluations apart: the model's own files, who answers, and what answers are scored by."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from scripted import ScriptedCompleter

from open_r1 import __version__
from open_r1.errors import RunFolderError
from open_r1.evaluation import EvaluationSettings, Plan, plan_evaluation, run_evaluation
from open_r1.evaluation.backends import (
    Backend,
    BackendName,
    estimate_tokens,
    of_model,
    transformers_backend,
)
from open_r1.evaluation.benchmarks import get_benchmark
from open_r1.evaluation.benchmarks.base import PLACE
from open_r1.evaluation.sampling import hash_problems
from open_r1.records import Problem


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model that may be changed."""
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    path = tmp_path / "sums.jsonl"
    path.write_text("".join(json.dumps({"problem": f"{n}+1?", "answer": str(n + 1)}) + "\n" for n in range(3)))
    return plan_evaluation(get_benchmark(str(path)), EvaluationSettings(temperature=0, max_new_tokens=4))


def backend_of(name: BackendName | None, model_hash: str = "") -> Backend:
    return Backend(ScriptedCompleter(lambda prompt, seed: "\\boxed{1}"), None, estimate_tokens, name, model_hash)


def replace_weights(model: Path) -> None:
    """Other numbers in the same size, with the same times."""
    path = model / "model.safetensors"
    content, times = bytearray(path.read_bytes()), path.stat()
    content[-2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def change_end(model: Path) -> None:
    path = model / "generation_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"eos_token_id": [1, 2]}))


@pytest.mark.parametrize("change", [replace_weights, change_end])
def test_another_model_in_the_same_folder_is_refused(
    plan: Plan, model: Path, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    def run() -> dict[str, Any]:
        return run_evaluation(plan, transformers_backend(str(model), 4), tmp_path / "out")

    first = run()
    (model / "model.safetensors").touch()
    (model / "README.md").write_text("a card")
    assert run() == first
    change(model)
    message = "contents of the model folder have changed; choose another output_dir, or start over with --overwrite"
    with pytest.raises(RunFolderError, match=message):
        run()


def test_only_a_folder_has_a_hash(model: Path) -> None:
    def hash_of(name: str) -> str:
        return of_model(None, name, 1, None, estimate_tokens, "transformers").model_hash  # type: ignore[arg-type]

    assert len(hash_of(str(model))) == 64
    assert hash_of("org/model") == hash_of(str(model / "none")) == ""


def test_other_answerers_in_the_same_folder_are_refused(plan: Plan, tmp_path: Path) -> None:
    run_evaluation(plan, backend_of("server"), tmp_path / "out")
    with pytest.raises(RunFolderError, match="backend was 'server' and is now 'vllm'"):
        run_evaluation(plan, backend_of("vllm"), tmp_path / "out")


def test_the_summary_says_what_made_it(plan: Plan, model: Path, tmp_path: Path) -> None:
    settings = run_evaluation(plan, transformers_backend(str(model), 4), tmp_path / "out")["settings"]
    versions = {library: metadata.version(library) for library in ("torch", "transformers")}
    assert (settings["open_r1"], settings["backend"], settings["versions"]) == (__version__, "transformers", versions)


def test_what_answers_are_scored_by_is_part_of_the_questions() -> None:
    one, other = (Problem("Add.", "", name="q", metadata={"tests": tests}) for tests in (["1"], ["2"]))
    assert hash_problems([one]) != hash_problems([other])
    assert hash_problems([one]) == hash_problems([Problem("Add.", "", name="q", metadata={"tests": ["1"]})])


def test_tests_that_are_read_later_count_by_what_they_say_and_not_by_where_they_stand(tmp_path: Path) -> None:
    def hash_of(name: str, before: str, line: str) -> str:
        path = tmp_path / name
        path.write_text(before + line)
        return hash_problems([Problem("Add.", "", name="q", metadata={PLACE: (str(path), len(before))})])

    first = hash_of("a.jsonl", "", "tests 1\n")
    assert hash_of("b.jsonl", "something\n", "tests 1\n") == first
    assert hash_of("a.jsonl", "", "tests 2\n") != first


def test_what_a_generation_config_asks_for_and_is_not_applied_stands_in_the_summary(
    plan: Plan, model: Path, tmp_path: Path
) -> None:
    path = model / "generation_config.json"
    config = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(config | {"repetition_penalty": 1.3, "no_repeat_ngram_size": 0, "top_k": 20}))
    told: list[str] = []
    backend = transformers_backend(str(model), 4)
    settings = run_evaluation(plan, backend, tmp_path / "out", tell=told.append)["settings"]
    assert settings["not_applied"] == {"repetition_penalty": 1.3}
    assert any("repetition_penalty 1.3" in line and "not applied" in line for line in told)
