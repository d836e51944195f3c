"""The guide's ways to evaluate: scripts/run_benchmarks.py, make evaluate, slurm/evaluate.slurm."""

from __future__ import annotations

import importlib.util
import json
import runpy
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from fake_server import FakeSettings, running_fake

from open_r1.rundir import read_json


@pytest.fixture
def script(repo: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("run_benchmarks", repo / "scripts" / "run_benchmarks.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_guides_flags(script: ModuleType, real_data: Path, tmp_path: Path) -> None:
    with running_fake(FakeSettings(model="M")) as fake:
        status = script.run(
            ["--model-id", "M", "--benchmarks", "aime24,math_500", "--system-prompt", "Think.", "--server", fake.url,
             "--data", f"aime24={real_data / 'aime24.jsonl'}", "--data", f"math_500={real_data / 'math500.jsonl'}",
             "--max_problems", "3", "--n", "2", "--output_dir", str(tmp_path / "out")]
        )  # fmt: skip
    assert status == 0
    results = read_json(tmp_path / "out" / "results.json")["benchmarks"]
    assert set(results) == {"aime24", "math_500"}
    assert results["aime24"]["settings"]["system_prompt"] == "Think."


def test_the_originals_flags_reach_whoever_answers(
    script: ModuleType,
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    from open_r1.evaluation import backends

    given: dict[str, object] = {}

    def load(
        model: str, batch_size: int, parallel: object = None, num_gpus: int = 1, **options: object
    ) -> backends.Backend:
        given.update(options, model=model, parallel=parallel)
        return backends.transformers_backend(str(tiny_model), batch_size)

    monkeypatch.setattr(backends, "vllm_backend", load)
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *_: name == "vllm" or None)
    numbers = tmp_path / "numbers.jsonl"
    numbers.write_text(json.dumps({"problem": "1?", "answer": 1}) + "\n")
    command = ["--model-id", "me/model", "--model-revision", "v1", "--trust-remote-code"]
    monkeypatch.chdir(tmp_path)
    assert script.run([*command, "--benchmarks", str(numbers), "--n", "1", "--max_new_tokens", "4"]) == 0
    assert given == {
        "model": "me/model", "revision": "v1", "tokenizer_revision": "v1", "trust_remote_code": True, "parallel": None
    }  # fmt: skip
    assert (tmp_path / "data" / "evals" / "me" / "model@v1" / "results.json").exists()
    capsys.readouterr()
    assert script.run([*command, "--benchmarks", "aime24", "--lighteval", "print"]) == 0
    assert "model_name=me/model,revision=v1,trust_remote_code=True,dtype=bfloat16" in capsys.readouterr().out
    assert script.run(["--model-id", str(tiny_model), "--model-revision", "v1", "--benchmarks", "aime24"]) == 2
    assert "--model_revision v1 has no use with a folder" in capsys.readouterr().err


def test_the_list(script: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert script.run(["--list"]) == 0
    assert "GPQA Diamond" in capsys.readouterr().out


def test_what_is_missing_is_told(script: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert script.run(["--model-id", "M"]) == 2
    assert "--benchmarks" in capsys.readouterr().err


def test_tensor_parallel_here_is_refused(script: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert script.run(["--model-id", "M", "--benchmarks", "aime24", "--tensor-parallel"]) == 2
    assert "--parallel tensor --num_gpus N" in capsys.readouterr().err


def test_jobs_are_submitted_a_benchmark_each(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "sbatch"
    program.write_text(f'#!/bin/sh\nprintf "%s " "$@" >> {tmp_path}/submitted; echo >> {tmp_path}/submitted\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert (
        script.run(["--model-id", "M", "--benchmarks", "aime24", "gpqa", "--slurm", "--tensor-parallel", "--n", "2"])
        == 0
    )
    lines = [line.split() for line in (tmp_path / "submitted").read_text().splitlines()]
    assert [line[1:] for line in lines] == [["M", "aime24", "tp", "--n", "2"], ["M", "gpqa", "tp", "--n", "2"]]
    assert lines[0][0].endswith("slurm/evaluate.slurm")
    assert script.run(["--model-id", "M", "--benchmarks", "aime42", "--slurm"]) == 2


def make(repo: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = ["make", "--no-print-directory", "-n", "evaluate", *words]
    return subprocess.run(command, cwd=repo, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("parallel", ["data", "tensor"])
def test_make_evaluate_as_in_the_guide(repo: Path, parallel: str) -> None:
    ran = make(repo, "MODEL=M", "TASK=aime24", f"PARALLEL={parallel}", "NUM_GPUS=8")
    line = " ".join(ran.stdout.replace("\\\n", " ").splitlines()[-1].split())
    words = f"'M' --benchmarks 'aime24' --backend vllm --parallel {parallel} --num_gpus 8"
    assert line.endswith(f"bin/python scripts/run_benchmarks.py {words}")
    assert "unknown: data or tensor" in make(repo, "PARALLEL=both").stderr


def test_make_evaluate_hands_words_on_whole_and_refuses_gpus_without_a_use(repo: Path) -> None:
    ran = make(repo, "MODEL=M", "TASK=tasks:sums?n=100&split=x")
    assert [word for word in shlex.split(ran.stdout.replace("\\\n", " ")) if word.startswith("tasks")] == [
        "tasks:sums?n=100&split=x"
    ]
    assert "'tasks:sums?n=100&split=x'" in ran.stdout
    assert "NUM_GPUS=8 has no use without PARALLEL" in make(repo, "MODEL=M", "TASK=aime24", "NUM_GPUS=8").stderr


def run_slurm_script(
    repo: Path, folder: Path, environment: dict[str, str], *words: str
) -> subprocess.CompletedProcess[str]:
    """What a job runs, with an interpreter that shows its arguments."""
    shown = folder / "python"
    shown.write_text('#!/bin/sh\necho "$@"\n')
    shown.chmod(0o755)
    return subprocess.run(
        ["bash", str(repo / "slurm" / "evaluate.slurm"), *words],
        env={"PATH": "/usr/bin:/bin", "OPEN_R1_PYTHON": str(shown), **environment},
        capture_output=True, text=True, check=False, cwd=folder,
    )  # fmt: skip


def test_the_slurm_script_takes_the_originals_arguments(repo: Path, tmp_path: Path) -> None:
    gpus = {"SLURM_GPUS_ON_NODE": "8"}
    head = "-P -m open_r1.cli.main eval M --benchmarks aime24"
    for words, tail in {
        ("M", "aime24"): "--backend vllm --parallel data --num_gpus 8",
        ("M", "aime24", "tp"): "--backend vllm --parallel tensor --num_gpus 8",
        ("M", "aime24", "dp", "--n", "2"): "--backend vllm --parallel data --num_gpus 8 --n 2",
    }.items():
        assert run_slurm_script(repo, tmp_path, gpus, *words).stdout.strip() == f"{head} {tail}"
    assert run_slurm_script(repo, tmp_path, {}, "M", "aime24", "--n", "2").stdout.strip() == f"{head} --n 2"
    assert "usage" in run_slurm_script(repo, tmp_path, {}, "M").stderr


def test_the_slurm_script_evaluates(repo: Path, tmp_path: Path) -> None:
    numbers = tmp_path / "numbers.jsonl"
    numbers.write_text(json.dumps({"problem": "1?", "answer": 1}) + "\n")
    with running_fake(FakeSettings(model="M")) as fake:
        ran = subprocess.run(
            ["bash", str(repo / "slurm" / "evaluate.slurm"), "M", str(numbers), "--server", fake.url, "--output_dir",
             str(tmp_path / "out")],
            env={"PATH": "/usr/bin:/bin", "OPEN_R1_PYTHON": sys.executable, "HOME": str(tmp_path)},
            capture_output=True, text=True, check=False, timeout=120, cwd=tmp_path,
        )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "out" / "results.json").exists()


@pytest.mark.parametrize(("gpus", "shared"), [("8", "2"), ("1", "1"), ("6", "2")])
def test_the_gpus_that_share_a_model_divide_its_attention_heads(
    gpus: str,
    shared: str,
    repo: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = {"model_type": "qwen2", "num_attention_heads": 14, "hidden_size": 896}
    (tmp_path / "config.json").write_text(json.dumps(config))
    for name in ("model.safetensors", "tokenizer.json"):
        (tmp_path / name).touch()
    words = ["--model_name", str(tmp_path), "--revision", "main", "--default_tp", gpus]
    monkeypatch.setattr(sys, "argv", ["get_tensor_parallel_size.py", *words])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(repo / "scripts" / "get_tensor_parallel_size.py"), run_name="__main__")
    assert (ended.value.code, capsys.readouterr().out.strip()) == (0, shared)
