"""The settings of a stage do what they say: LoRA, evaluation split, callbacks, system prompt, limits, entry points."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import TrainerCallback

from open_r1.errors import REQUEUE_STATUS
from open_r1.rundir import read_json, read_jsonl
from open_r1.rundir.rollouts import read_rollouts
from open_r1.training.grpo import RolloutTrainer

SEEN: list[int] = []


class CountingCallback(TrainerCallback):
    """A user's own callback."""

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        SEEN.append(state.global_step)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rows = [{"prompt": f"Compute {a}+{b}", "solution": str(a + b)} for a in range(1, 10) for b in range(1, 10)]
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def words(kind: str, model: Path, data: Path, out: Path, *more: object) -> list[str]:
    common = [
        kind, "--model_name_or_path", model, "--dataset_name", data, "--output_dir", out, "--max_steps", 4,
        "--per_device_train_batch_size", 4, "--gradient_checkpointing", "false", "--report_to", "none",
        "--logging_steps", 1, "--save_steps", 2, "--learning_rate", "1e-3",
    ]  # fmt: skip
    group = ["--num_generations", 2, "--max_completion_length", 8] if kind == "grpo" else []
    return [str(word) for word in [*common, *group, *more]]


@pytest.mark.parametrize("kind", ["sft", "grpo"])
def test_lora_trains_an_adapter_resumes_exactly_and_can_be_evaluated(
    kind: str, open_r1: Callable[..., Any], tiny_model: Path, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "lora"
    lora = ["--use_peft", "true", "--lora_r", "4", "--lora_target_modules", "q_proj", "v_proj"]
    command = words(kind, tiny_model, data, out, *lora)
    ran = open_r1(*command)
    assert ran.status == 0, ran.err
    assert (out / "adapter_model.safetensors").exists()
    unbroken = read_json(out / "done.json")["weights"]
    shutil.rmtree(out / "checkpoint-4")
    (out / "done.json").unlink()
    (out / "adapter_model.safetensors").unlink()
    assert open_r1(*command).status == 0
    assert read_json(out / "done.json") | {"seconds": 0} == {
        "steps": 4, "weights": unbroken, "seconds": 0, "resumed": True,
    }  # fmt: skip
    ran = open_r1("eval", out, "--problems", data, "--max_problems", "3", "--max_new_tokens", "4", "--json")
    assert ran.status == 0, ran.err
    (summary,) = json.loads(ran.out).values()
    assert summary["num_problems"] == 3


def test_an_evaluation_split_is_evaluated_while_training(
    open_r1: Callable[..., Any], tiny_model: Path, data: Path, tmp_path: Path
) -> None:
    mixture = json.dumps({"datasets": [{"id": str(data)}], "seed": 1, "test_split_size": 0.2})
    command = words("sft", tiny_model, data, tmp_path / "out", "--eval_strategy", "steps", "--eval_steps", "2")
    at = command.index("--dataset_name")
    command[at : at + 2] = ["--dataset_mixture", mixture]
    ran = open_r1(*command)
    assert ran.status == 0, ran.err
    losses = [row["eval_loss"] for row in read_jsonl(tmp_path / "out" / "metrics.jsonl") if "eval_loss" in row]
    assert len(losses) == 2


def test_evaluation_without_a_split_is_refused(
    open_r1: Callable[..., Any], tiny_model: Path, data: Path, tmp_path: Path
) -> None:
    ran = open_r1(*words("sft", tiny_model, data, tmp_path / "out", "--eval_strategy", "steps", "--eval_steps", "2"))
    assert ran.status == 2
    assert "there is no split 'test' (found: train)" in ran.err


def test_a_callback_of_the_users_own_is_called(
    open_r1: Callable[..., Any], tiny_model: Path, data: Path, tmp_path: Path
) -> None:
    SEEN.clear()
    name = f"{CountingCallback.__module__}:CountingCallback"
    sys.modules.setdefault(CountingCallback.__module__, sys.modules[__name__])
    assert open_r1(*words("sft", tiny_model, data, tmp_path / "out", "--callbacks", name)).status == 0
    assert SEEN == [1, 2, 3, 4]
    ran = open_r1(*words("sft", tiny_model, data, tmp_path / "out2", "--callbacks", "nowhere:Nothing"))
    assert ran.status == 2
    assert "callback 'nowhere:Nothing': no module named 'nowhere'" in ran.err


def test_the_system_prompt_is_in_what_the_model_sees(
    open_r1: Callable[..., Any], tiny_model: Path, data: Path, tmp_path: Path
) -> None:
    ran = open_r1(*words("sft", tiny_model, data, tmp_path / "out", "--system_prompt", "Think first."))
    assert "<|im_start|>system\\nThink first.<|im_end|>" in ran.err


def test_long_prompts_are_left_out_and_counted(
    open_r1: Callable[..., Any], tiny_model: Path, data: Path, tmp_path: Path
) -> None:
    data.write_text(data.read_text() + json.dumps({"prompt": "Compute " + "1+" * 300, "solution": "300"}) + "\n")
    ran = open_r1(*words("grpo", tiny_model, data, tmp_path / "out", "--max_prompt_length", "100"))
    assert ran.status == 0, ran.err
    assert "left out 1 of 82 problems" in ran.err
    ran = open_r1(*words("grpo", tiny_model, data, tmp_path / "out2", "--max_prompt_length", "3"))
    assert ran.status == 2
    assert "max_prompt_length = 3" in ran.err


def test_a_reward_of_the_users_own_is_used(
    open_r1: Callable[..., Any], tiny_model: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_own_rewards.py").write_text(
        "def shortness(completions, **columns):\n    return [-len(c[0]['content']) / 100 for c in completions]\n"
    )
    monkeypatch.chdir(tmp_path)
    ran = open_r1(*words("grpo", tiny_model, data, tmp_path / "out", "--reward_funcs", "my_own_rewards:shortness"))
    assert ran.status == 0, ran.err
    assert "rewards/shortness/mean" in read_jsonl(tmp_path / "out" / "metrics.jsonl")[0]


def test_the_guides_entry_points_are_the_same_commands(
    repo: Path, tiny_model: Path, data: Path, tmp_path: Path
) -> None:
    for kind in ("sft", "grpo"):
        script = [sys.executable, str(repo / "src" / "open_r1" / f"{kind}.py")]
        given = words(kind, tiny_model, data, tmp_path / kind)[1:]
        ran = subprocess.run([*script, *given, "--dry_run"], capture_output=True, text=True, timeout=120, check=False)
        assert ran.returncode == 0, ran.stderr
        assert "max_steps: 4  # command line" in ran.stdout
        assert not (tmp_path / kind).exists()


def launch(module: str, command: list[str], processes: int) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    return subprocess.run(
        [*launcher, module, *command], capture_output=True, text=True, timeout=400, check=False, env=environment
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sft", "grpo"])
def test_two_processes_train_one_model_and_resume_it(
    kind: str, repo: Path, tiny_model: Path, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "ddp"
    data.write_text("".join(data.read_text().splitlines(keepends=True)[:8]))  # so that four steps take several epochs
    script = str(repo / "src" / "open_r1" / f"{kind}.py")
    command = words(kind, tiny_model, data, out)[1:]
    ran = launch(script, command, 2)
    assert ran.returncode == 0, ran.stderr
    unbroken = read_json(out / "done.json")["weights"]
    assert len(read_jsonl(out / "metrics.jsonl")) >= 4
    shutil.rmtree(out / "checkpoint-4")
    (out / "done.json").unlink()
    (out / "model.safetensors").unlink()
    ran = launch(script, command, 2)
    assert ran.returncode == 0, ran.stderr
    assert read_json(out / "done.json")["weights"] == unbroken
    assert ran.stderr.count("going on from checkpoint-2") == 1


def logits_of(model: Any) -> Any:
    import torch

    with torch.no_grad():
        return model.eval()(input_ids=torch.arange(10).unsqueeze(0)).logits


def test_lora_after_lora_goes_on_from_the_adapter(
    open_r1: Callable[..., Any], tiny_model: Path, data: Path, tmp_path: Path
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    from open_r1.training.models import get_model
    from open_r1.training.parse import parse_stage

    lora = ["--use_peft", "true", "--lora_r", "4", "--lora_target_modules", "q_proj", "v_proj"]
    assert open_r1(*words("sft", tiny_model, data, tmp_path / "sft", "--learning_rate", "0.1", *lora)).status == 0
    base = logits_of(AutoModelForCausalLM.from_pretrained(tiny_model))
    tuned = logits_of(AutoModelForCausalLM.from_pretrained(tmp_path / "sft"))
    assert not torch.allclose(base, tuned, atol=1e-3)
    for more in (lora, []):
        parsed = parse_stage("grpo", words("grpo", tmp_path / "sft", data, tmp_path / "x", *more)[1:])
        assert torch.allclose(logits_of(get_model(parsed.model, parsed.training)), tuned, atol=1e-5)
    ran = open_r1(*words("grpo", tmp_path / "sft", data, tmp_path / "grpo", *lora))
    assert ran.status == 0, ran.err
    ran = open_r1(*words("grpo", tmp_path / "sft", data, tmp_path / "whole"))
    assert ran.status == 0, ran.err
    assert (tmp_path / "grpo" / "adapter_model.safetensors").exists()
    assert (tmp_path / "whole" / "model.safetensors").exists()


def test_overwriting_never_removes_what_is_no_run_and_goes_on_with_what_is_unfinished(
    open_r1: Callable[..., Any], tiny_model: Path, data: Path, tmp_path: Path
) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.tex").touch()
    over = ["--overwrite_output_dir", "true"]
    ran = open_r1(*words("sft", tiny_model, data, precious, *over))
    assert ran.status == 2
    assert "contains no run of Open R1" in ran.err
    assert (precious / "thesis.tex").exists()
    ran = open_r1(*words("sft", tiny_model, data, data.parent, *over))
    assert ran.status == 2
    assert data.exists()
    out = tmp_path / "run"
    assert open_r1(*words("sft", tiny_model, data, out, *over)).status == 0
    (out / "done.json").unlink()
    shutil.rmtree(out / "checkpoint-4")
    ran = open_r1(*words("sft", tiny_model, data, out, *over))
    assert "going on from checkpoint-2" in ran.err
    ran = open_r1(*words("sft", tiny_model, data, out, *over))
    assert ran.status == 0
    assert "going on" not in ran.err
    assert "already done" not in ran.err


UNSCORED = """
from open_r1.records import Outcome

def flaky(completions, prompts, **columns):
    return [Outcome(None, "timeout") if index % 2 else Outcome(1.0, "fine") for index in range(len(completions))]

def broken(completions, **columns):
    return [Outcome(None, "error") for _ in completions]
"""


def test_a_sample_that_a_reward_failed_on_is_left_out_not_punished(
    open_r1: Callable[..., Any], tiny_model: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow.parquet

    (tmp_path / "unscored_rewards.py").write_text(UNSCORED)
    monkeypatch.chdir(tmp_path)
    rewards = ["--reward_funcs", "unscored_rewards:flaky", "tag_count"]
    ran = open_r1(*words("grpo", tiny_model, data, tmp_path / "out", *rewards))
    assert ran.status == 0, ran.err
    rows = pyarrow.parquet.read_table(tmp_path / "out" / "rollouts" / "step-000001.parquet").to_pylist()
    failed = [row for row in rows if row["flaky_reason"] == "timeout"]
    assert len(failed) == 2
    for row in failed:
        assert row["flaky"] is row["tag_count_reward"] is None
        assert row["advantage"] == 0
    assert read_jsonl(tmp_path / "out" / "metrics.jsonl")[0]["rewards/flaky/unscored"] == 0.5


def test_a_run_stops_when_a_reward_cannot_score(
    open_r1: Callable[..., Any], tiny_model: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from open_r1.training import reward_adapter

    (tmp_path / "unscored_rewards.py").write_text(UNSCORED)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(reward_adapter, "RECENT_OUTCOMES", 8)
    rewards = ["--reward_funcs", "unscored_rewards:broken", "tag_count"]
    ran = open_r1(*words("grpo", tiny_model, data, tmp_path / "out", *rewards))
    assert ran.status == 1
    assert "100% of 8 samples could not be scored (error 8)" in ran.err


PLAIN_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def test_a_template_without_markers_puts_the_loss_on_the_last_turn(
    open_r1: Callable[..., Any], tiny_model: Path, data: Path, tmp_path: Path
) -> None:
    ran = open_r1(*words("sft", tiny_model, data, tmp_path / "out", "--chat_template", PLAIN_TEMPLATE))
    assert ran.status == 0, ran.err
    assert "no generation markers" in ran.err
    assert "<|im_start|>assistant\\n⟦2<|im_end|>" in ran.err


def test_grpo_takes_a_template_that_leaves_thinking_out_of_history(
    open_r1: Callable[..., Any], tiny_model: Path, data: Path, tmp_path: Path
) -> None:
    template = PLAIN_TEMPLATE.replace("{{ m.content }}", "{{ m.content.split('</think>')[-1] }}")
    assert open_r1(*words("grpo", tiny_model, data, tmp_path / "out", "--chat_template", template)).status == 0
    ran = open_r1(*words("sft", tiny_model, data, tmp_path / "out2", "--chat_template", template))
    assert ran.status == 2
    assert "drops the thinking" in ran.err


def test_a_first_sample_that_is_cut_off_does_not_stop_the_run_but_all_of_them_do(
    open_r1: Callable[..., Any], tiny_model: Path, data: Path, tmp_path: Path
) -> None:
    long = json.dumps({"prompt": "q", "solution": "1+" * 200}) + "\n"
    data.write_text(long + data.read_text())
    assert open_r1(*words("sft", tiny_model, data, tmp_path / "out", "--max_length", "64")).status == 0
    data.write_text(long * 5)
    ran = open_r1(*words("sft", tiny_model, data, tmp_path / "out2", "--max_length", "64"))
    assert ran.status == 2
    assert "each of the first 5 samples has max_length = 64 tokens or more" in ran.err


def test_a_run_that_saves_the_model_only_trains_and_says_before_and_after_that_it_cannot_go_on(
    open_r1: Callable[..., Any], tiny_model: Path, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = words("sft", tiny_model, data, out, "--save_only_model", "true")
    ran = open_r1(*command)
    assert ran.status == 0, ran.err
    assert "can't go on from one and starts over" in ran.err
    checkpoint = out / "checkpoint-4"
    assert (checkpoint / "model.safetensors").exists() and not (checkpoint / "optimizer.pt").exists()
    weights = read_json(out / "done.json")["weights"]
    (out / "done.json").unlink()
    ran = open_r1(*command)
    assert ran.status != 0
    assert "checkpoint-4' contains the model only" in ran.err and "--resume_from_checkpoint false" in ran.err
    assert open_r1(*command, "--resume_from_checkpoint", "false").status == 0
    assert read_json(out / "done.json")["weights"] == weights


@pytest.mark.parametrize(("iterations", "per_generation", "accumulation"), [(2, 1, 1), (1, 4, 2), (1, 1, 2)])
def test_grpo_resumes_exactly_however_generations_and_updates_interleave(
    open_r1: Callable[..., Any], tiny_model: Path, data: Path, tmp_path: Path,
    iterations: int, per_generation: int, accumulation: int,
) -> None:  # fmt: skip
    out = tmp_path / "out"
    more = ["--num_iterations", iterations, "--steps_per_generation", per_generation]
    command = words("grpo", tiny_model, data, out, *more, "--gradient_accumulation_steps", accumulation)
    ran = open_r1(*command)
    assert ran.status == 0, ran.err
    unbroken = read_json(out / "done.json")["weights"]
    rollouts = sorted(path.name for path in (out / "rollouts").iterdir())
    shutil.rmtree(out / "checkpoint-4")
    (out / "done.json").unlink()
    assert open_r1(*command).status == 0
    assert read_json(out / "done.json")["weights"] == unbroken
    assert sorted(path.name for path in (out / "rollouts").iterdir()) == rollouts


def test_a_rewards_weight_follows_its_schedule(
    open_r1: Callable[..., Any], tiny_model: Path, data: Path, tmp_path: Path
) -> None:
    recipe = tmp_path / "grpo.yaml"
    schedule = "{schedule: step, values: [1.0, 0.25], at: [0.5]}"
    recipe.write_text(f"reward_funcs: [accuracy, tag_count]\nreward_weights: {{accuracy: 1, tag_count: {schedule}}}\n")
    command = words("grpo", tiny_model, data, tmp_path / "out", "--config", recipe)
    ran = open_r1(*command)
    assert ran.status == 0, ran.err
    rows = [row for row in read_jsonl(tmp_path / "out" / "metrics.jsonl") if "reward" in row]
    assert [row["rewards/tag_count_reward/weight"] for row in rows] == [1.0, 1.0, 0.25, 0.25]
    assert [row["rewards/accuracy_reward/weight"] for row in rows] == [1.0] * 4
    assert '"schedule": "step"' in (tmp_path / "out" / "resolved.yaml").read_text()
    recipe.write_text(recipe.read_text().replace("step", "stepp"))
    ran = open_r1(*words("grpo", tiny_model, data, tmp_path / "out2", "--config", recipe, "--dry-run"))
    assert ran.status == 2
    assert "unknown schedule 'stepp'; did you mean 'step'?" in ran.err


@pytest.mark.parametrize("kind", ["sft", "grpo"])
def test_a_run_killed_after_its_last_checkpoint_takes_no_step_more(
    kind: str, open_r1: Callable[..., Any], tiny_model: Path, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    rewards = ["--reward_funcs", "length_of_answers:length"] if kind == "grpo" else []
    (tmp_path / "length_of_answers.py").write_text(
        "def length(completions, **columns):\n    return [len(c[0]['content']) / 10 for c in completions]\n"
    )
    sys.path.insert(0, str(tmp_path))
    command = words(kind, tiny_model, data, out, "--max_steps", "3", "--lr_scheduler_type", "constant", *rewards)
    ran = open_r1(*command)
    assert ran.status == 0, ran.err
    unbroken = read_json(out / "done.json")
    (out / "done.json").unlink()
    (out / "model.safetensors").unlink()
    ran = open_r1(*command)
    assert "going on from checkpoint-3" in ran.err
    assert "step 4/3" not in ran.err
    resumed = read_json(out / "done.json")
    assert (resumed["steps"], resumed["weights"]) == (3, unbroken["weights"])
    steps = [row["step"] for row in read_jsonl(out / "metrics.jsonl") if "train_runtime" not in row]
    assert steps == [1, 2, 3]
    sys.path.remove(str(tmp_path))


def test_a_damaged_checkpoint_is_passed_over_for_an_older_whole_one(
    open_r1: Callable[..., Any], tiny_model: Path, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = words("sft", tiny_model, data, out)
    assert open_r1(*command).status == 0
    unbroken = read_json(out / "done.json")["weights"]
    (out / "done.json").unlink()
    optimizer = out / "checkpoint-4" / "optimizer.pt"
    optimizer.write_bytes(optimizer.read_bytes()[:100])
    ran = open_r1(*command)
    assert "going on from checkpoint-2" in ran.err
    assert read_json(out / "done.json")["weights"] == unbroken


def test_weights_that_are_no_numbers_are_no_finished_run(
    open_r1: Callable[..., Any], tiny_model: Path, data: Path, tmp_path: Path
) -> None:
    command = words("sft", tiny_model, data, tmp_path / "out", "--learning_rate", "1e38", "--max_grad_norm", "0")
    ran = open_r1(*command, "--lr_scheduler_type", "constant", "--optim", "sgd")
    assert ran.status == 1, ran.err
    assert "training diverged" in ran.err
    assert not (tmp_path / "out" / "done.json").exists()


def test_a_finished_run_whose_weights_are_gone_does_not_pass_for_done(
    open_r1: Callable[..., Any], tiny_model: Path, data: Path, tmp_path: Path
) -> None:
    command = words("sft", tiny_model, data, tmp_path / "out")
    assert open_r1(*command).status == 0
    (tmp_path / "out" / "model.safetensors").unlink()
    ran = open_r1(*command)
    assert ran.status == 2
    assert "are not those that the finished run wrote" in ran.err
    (tmp_path / "out" / "done.json").write_text("{")
    ran = open_r1(*command)
    assert ran.status == 2
    assert "done.json' can't be read" in ran.err


def test_a_stopped_run_keeps_a_checkpoint_and_goes_on_with_other_save_steps(
    open_r1: Callable[..., Any], tiny_model: Path, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = words("sft", tiny_model, data, out, "--save_steps", 500, "--max_steps", 400)
    process = subprocess.Popen(
        [sys.executable, "-m", "open_r1.cli.main", *command], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("step "):
            process.terminate()
            break
    said = process.stderr.read()
    assert process.wait(timeout=120) == REQUEUE_STATUS == 75, said
    assert "stopping with a checkpoint after this step" in said
    (kept,) = out.glob("checkpoint-*")
    assert f"the same command goes on from {kept.name}" in said
    step = int(kept.name.removeprefix("checkpoint-"))
    ran = open_r1(*words("sft", tiny_model, data, out, "--save_steps", 300, "--max_steps", 400))
    assert ran.status == 0 and f"going on from checkpoint-{step}" in ran.err, ran.err
    assert read_json(out / "done.json")["steps"] == 400


def test_too_few_problems_are_refused_before_anything_is_trained(
    open_r1: Callable[..., Any], tiny_model: Path, data: Path, tmp_path: Path
) -> None:
    few = tmp_path / "few.jsonl"
    few.write_text("".join(data.read_text().splitlines(keepends=True)[:1]))
    ran = open_r1(*words("grpo", tiny_model, few, tmp_path / "out"))
    assert ran.status == 2 and "a generation takes 2 problems (4 completions, 2 a problem), but there are 1" in ran.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("lora", [(), ("--use_peft", "true", "--lora_target_modules", "q_proj", "v_proj")])
def test_sampling_by_pass_rates_resumes_exactly_and_rollouts_name_the_round(
    open_r1: Callable[..., Any], tiny_model: Path, data: Path, tmp_path: Path, lora: tuple[str, ...]
) -> None:
    out = tmp_path / "out"
    sampling = ["--dynamic_sampling", "true", "--difficulty_pools", "true", "--no_positive_resampling", "true"]
    reward = ["--reward_funcs", f"{__name__}:sometimes_right", "--preflight_prompts", "0", "--max_samples", "20"]
    command = words("grpo", tiny_model, data, out, *sampling, *reward, *lora, "--max_steps", "6")
    sys.modules.setdefault(__name__, sys.modules[__name__])
    ran = open_r1(*command)
    assert ran.status == 0, ran.err
    unbroken, metrics = read_json(out / "done.json")["weights"], read_jsonl(out / "metrics.jsonl")
    assert read_json(out / "checkpoint-6" / "prompt_stream.json")["epoch"] > 0
    assert max(row.get("difficulty_pools/hard", 0) for row in metrics) > 0
    rounds = [row["sampling_round"] for row in read_rollouts(out / "rollouts" / "step-000001.parquet").rows]
    assert len(rounds) == 4
    for step in (4, 6):
        shutil.rmtree(out / f"checkpoint-{step}")
    (out / "done.json").unlink()
    assert open_r1(*command).status == 0
    assert read_json(out / "done.json")["weights"] == unbroken
    again = read_jsonl(out / "metrics.jsonl")
    measured = ("step_time", "train_", "seconds/", "tokens_per_second", "memory_gb", "mfu")
    assert [{k: v for k, v in row.items() if not k.startswith(measured)} for row in again] == [
        {k: v for k, v in row.items() if not k.startswith(measured)} for row in metrics
    ]


def sometimes_right(completions: Any, solution: Any, **_: Any) -> list[float]:
    """Never right for even answers, and for the others by the completion's letters."""
    texts = [completion[-1]["content"] for completion in completions]
    return [float(sum(map(ord, text)) % 2 and int(gold) % 2) for text, gold in zip(texts, solution, strict=True)]


sometimes_right.kind = "answer"  # type: ignore[attr-defined]


STARTED: list[float] = []
"""When the reward was called."""


def slow_letters(completions: Any, **_: Any) -> list[float]:
    """A reward that takes a while for each sample."""
    STARTED.append(time.monotonic())
    time.sleep(0.005 * len(completions))
    return [float(sum(map(ord, completion[-1]["content"])) % 3) for completion in completions]


def test_rewards_that_score_alone_run_beside_generation_and_change_nothing(
    open_r1: Callable[..., Any], tiny_model: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sys.modules.setdefault(__name__, sys.modules[__name__])
    generated, found = [], []
    sample = RolloutTrainer._generate_single_turn

    def timed(self: Any, *args: Any, **more: Any) -> Any:
        made = sample(self, *args, **more)
        generated.append(time.monotonic())
        return made

    monkeypatch.setattr(RolloutTrainer, "_generate_single_turn", timed)
    for scores_alone in (True, False):
        monkeypatch.setattr(slow_letters, "scores_alone", scores_alone, raising=False)
        STARTED.clear()
        generated.clear()
        out = tmp_path / str(scores_alone)
        reward = ["--reward_funcs", f"{__name__}:slow_letters", "tag_count", "--preflight_prompts", "0"]
        length = ["--max_completion_length", "64", "--temperature", "2", "--per_device_train_batch_size", "16"]
        ran = open_r1(*words("grpo", tiny_model, data, out, *reward, *length, "--dynamic_sampling", "true"))
        assert ran.status == 0, ran.err
        assert (min(STARTED) < generated[0]) is scores_alone
        rollouts = [read_rollouts(path).rows for path in sorted((out / "rollouts").iterdir())]
        found.append((read_json(out / "done.json")["weights"], rollouts))
    assert found[0] == found[1]
