"""GRPO with rollouts from a real vLLM on a CPU: its engine has the trainer's policy, to 1e-4, and ends with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from open_r1.rundir import read_json, read_jsonl

pytestmark = pytest.mark.vllm

REWARD = '''
def vowels(completions, **columns):
    """A value that differs within a group of random completions."""
    return [sum(letter in "aeiou" for letter in turns[0]["content"]) / 8 for turns in completions]
'''
DIFFERENCE = "sampling/sampling_logp_difference/max"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with one matrix for its embeddings, penalties in its generation_config.json; problems; a reward."""
    if find_spec("vllm") is None:
        pytest.skip("VLLM ABSENT: GRPO by vLLM is not tested here; make test-vllm has an environment with it")
    from open_r1.training.tiny_models import ModelShape, make_model_folder

    made = tmp_path_factory.mktemp("vllm")
    texts = ["Compute 7+5-3", "<think>\n7+5=12\n12-3=9\n</think>\n<answer>\n\\boxed{9}\n</answer>"] * 20
    shape = ModelShape(hidden_size=128, num_layers=2, intermediate_size=128, tie_word_embeddings=True)
    make_model_folder(made / "model", texts, shape, seed=0)
    own = made / "model" / "generation_config.json"
    unseen = {"repetition_penalty": 1.7, "no_repeat_ngram_size": 2, "do_sample": True, "top_k": 3, "temperature": 0.3}
    own.write_text(json.dumps(json.loads(own.read_text()) | unseen))
    rows = [{"prompt": f"Compute {a}+{b}", "solution": str(a + b)} for a in range(1, 9) for b in range(1, 9)]
    (made / "problems.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (made / "vowels.py").write_text(REWARD)
    return made


def train(folder: Path, out: Path, *more: object) -> list[dict[str, Any]]:
    """Eleven steps by the command line; the records of the steps."""
    words = [
        "grpo", "--model_name_or_path", folder / "model", "--dataset_name", folder / "problems.jsonl",
        "--output_dir", out, "--reward_funcs", f"{folder / 'vowels.py'}:vowels", "--max_steps", 11,
        "--per_device_train_batch_size", 16, "--num_generations", 4, "--max_completion_length", 16,
        "--gradient_checkpointing", "false", "--report_to", "none", "--logging_steps", 1, "--save_steps", 6,
        "--learning_rate", "1e-2", "--use_vllm", "true", *more,
    ]  # fmt: skip
    command = [sys.executable, "-m", "open_r1.cli.main", *map(str, words)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400, check=False)
    assert ran.returncode == 0, ran.stderr[-4000:]
    return [row for row in read_jsonl(out / "metrics.jsonl") if DIFFERENCE in row]


def check_agreement(steps: list[dict[str, Any]]) -> None:
    """After each of ten updates that changed the weights, the engine's log-probabilities are the trainer's."""
    assert len(steps) == 11
    assert sum(step["grad_norm"] > 0 for step in steps[:10]) >= 5, "the policy must move, or this shows nothing"
    assert max(step[DIFFERENCE] for step in steps) < 1e-4
    ratios = [step["sampling/importance_sampling_ratio/mean"] for step in steps]
    assert ratios == pytest.approx([1.0] * 11, abs=1e-3)


def check_resuming(folder: Path, out: Path, *more: object) -> None:
    """The run that `train` left in `out`, gone on with from its checkpoint at step 6, ends in the same weights."""
    unbroken = read_json(out / "done.json")["weights"]
    for gone in (out / "done.json", *out.glob("*model.safetensors"), *(out / "checkpoint-11").iterdir()):
        gone.unlink()
    (out / "checkpoint-11").rmdir()
    check_agreement(train(folder, out, *more))
    assert read_json(out / "done.json") == read_json(out / "done.json") | {"weights": unbroken, "resumed": True}


def test_colocated_it_agrees_with_the_trainer_and_resumes_exactly(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    check_agreement(train(folder, out, "--vllm_mode", "colocate"))
    check_resuming(folder, out, "--vllm_mode", "colocate")


def test_by_a_server_of_its_own_it_agrees_with_the_trainer_and_leaves_no_process(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    check_agreement(train(folder, out, "--vllm_mode", "server"))
    assert not processes_with(str(folder / "model"))
    settings = (out / "resolved.yaml").read_text()
    assert "\nvllm_mode: " in settings and "\nvllm_server_base_url: null" in settings  # the recipe starts one again


LORA = "--use_peft true --lora_r 8 --lora_dropout 0 --lora_target_modules q_proj down_proj".split()


def test_an_adapter_reaches_the_engine_merged_and_the_run_resumes_exactly(folder: Path, tmp_path: Path) -> None:
    """Exactly, since merging leaves the model below the adapter as it is; adding and subtracting would not."""
    out, words = tmp_path / "out", ["--vllm_mode", "colocate", "--vllm_enable_sleep_mode", "true", *LORA]
    check_agreement(train(folder, out, *words))
    check_resuming(folder, out, *words)


def test_an_adapter_reaches_a_server_merged(folder: Path, tmp_path: Path) -> None:
    check_agreement(train(folder, tmp_path / "out", "--vllm_mode", "server", *LORA))
    assert not processes_with(str(folder / "model"))


def processes_with(word: str) -> list[str]:
    """The command lines of this machine's processes that have the word."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(file.read_text().replace("\0", " "))
        except OSError:
            continue
    return [line for line in found if word in line]
