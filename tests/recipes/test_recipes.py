"""Every recipe that ships parses, and every pipeline plans."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from open_r1.rewards.registry import get_spec
from open_r1.training.models import CHATML
from open_r1.training.parse import parse_stage

RECIPES = Path(__file__).parents[2] / "recipes"
PIPELINES = sorted(path for path in RECIPES.rglob("*.yaml") if "stages" in (yaml.safe_load(path.read_text()) or {}))
STAGES = sorted(
    path
    for path in RECIPES.rglob("*.yaml")
    if path not in PIPELINES and not {"accelerate_configs", "dataset_filtering"}.intersection(path.parts)
)
MODEL = "model_name_or_path"
FILTERS = sorted((RECIPES / "dataset_filtering").glob("*.yaml"))


def kind_of(path: Path) -> Any:
    return "grpo" if "grpo" in (path.stem, path.parent.name) else "sft"


@pytest.mark.parametrize("path", STAGES, ids=lambda path: str(path.relative_to(RECIPES)))
def test_every_recipe_parses(path: Path, tmp_path: Path) -> None:
    given = {"model_name_or_path": "m", "dataset_name": "d", "output_dir": str(tmp_path)}
    named = yaml.safe_load(path.read_text(encoding="utf-8"))
    missing = [word for key, value in given.items() if key not in named for word in (f"--{key}", value)]
    if "dataset_mixture" in named:
        missing = [word for word in missing if word not in ("--dataset_name", "d")]
    assert parse_stage(kind_of(path), ["--config", str(path), *missing])


@pytest.mark.parametrize("path", PIPELINES, ids=lambda path: str(path.relative_to(RECIPES)))
def test_every_pipeline_plans(path: Path, open_r1: Callable[..., Any], tmp_path: Path) -> None:
    ran = open_r1("run", path, "--dry-run", "--output_dir", tmp_path / "run")
    assert ran.status == 0, ran.err
    assert "nothing was run" in ran.out
    assert not (tmp_path / "run").exists()


TURNS = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "<think>\nt\n</think>\na"}]


@pytest.mark.parametrize("path", STAGES, ids=lambda path: str(path.relative_to(RECIPES)))
def test_every_recipe_runs_dry_on_rows_with_its_columns(
    path: Path, open_r1: Callable[..., Any], tiny_model: Path, tmp_path: Path
) -> None:
    kept, kind = recipe(str(path)), kind_of(path)
    column = kept.get("dataset_prompt_column", "prompt")
    examples = [get_spec(name).example for name in kept.get("reward_funcs", ())]
    given = {name: value for one in examples if one for name, value in one.columns.items()} | {column: "What is 2+2?"}
    given.pop("prompts", None)  # the trainer's own
    if solution := kept.get("dataset_solution_column"):
        given[solution] = given.pop("solution")
    row = {"messages": TURNS} if kind == "sft" else given
    rows = tmp_path / "rows.jsonl"
    rows.write_text(f"{json.dumps(row)}\n" * 20, encoding="utf-8")
    words = ["--config", path, "--model_name_or_path", tiny_model, "--output_dir", tmp_path / "out"]
    if "dataset_mixture" in kept:
        sets = [{**one, "id": str(rows), "config": None} for one in kept["dataset_mixture"]["datasets"]]
        words += ["--dataset_mixture", json.dumps({**kept["dataset_mixture"], "datasets": sets})]
    else:
        words += ["--dataset_name", rows, "--dataset_config", "null"]
    words += ["--dataset_num_proc", 1] if kind == "sft" else []
    words += ["--chat_template", CHATML] if "DeepSeek" in str(path) else []  # which needs its own end of turn
    ran = open_r1(kind, *words, "--dry-run")
    if "can't isolate programs" in ran.err:
        pytest.skip(f"NO SANDBOX HERE: {ran.err}")
    assert ran.status == 0, ran.err
    assert "# train: " in ran.out
    assert "the model was not loaded, and nothing was run" in ran.err
    assert not (tmp_path / "out").exists()


MACHINES = {"config_24gb": "1xRTX4090-24GB", "config_80gb_lora": "1xH100-80GB"}
"""Recipe by its file's name -> the GPUs that it is for; 8xH100-80GB for others."""


@pytest.mark.parametrize("path", [*STAGES, *PIPELINES], ids=lambda path: str(path.relative_to(RECIPES)))
def test_every_recipe_fits_the_gpus_that_it_names(path: Path, open_r1: Callable[..., Any], tiny_model: Path) -> None:
    text = path.read_text(encoding="utf-8")
    gpus = MACHINES.get(path.stem, "8xH100-80GB")
    named = re.search(r"accelerate_configs/(\w+)\.yaml|--accelerator (\w+)", text) if gpus.startswith("8x") else None
    nodes = re.search(r"--nodes=(\d+)", text)
    words = ["--gpus", gpus, "--json", "--nodes", nodes[1] if nodes else 1]
    words += ["--accelerator", named[1] or named[2]] if named else []
    if path in STAGES and re.search(rf"^{MODEL}: (?!runs/)", text, re.MULTILINE) is None:
        words += ["--set", f"{MODEL}={tiny_model}"]
    ran = open_r1("plan", path, *words)
    assert ran.status == 0, ran.err
    planned = json.loads(ran.out)
    assert planned["plans"]
    is_for_gpus = path in STAGES and any(setting in text for setting in ("dtype: bfloat16", "use_vllm: true"))
    assert planned["fits"] or not is_for_gpus, planned["plans"][0]["memory"]


@pytest.mark.parametrize("path", FILTERS, ids=lambda path: path.stem)
def test_every_filter_of_pass_rates_plans(path: Path, open_r1: Callable[..., Any], tmp_path: Path) -> None:
    asked = yaml.safe_load(path.read_text(encoding="utf-8"))
    column = asked.get("dataset_prompt_column", "prompt")
    row = {column: "What is 2+2?", "solution": "4", "verification_info": {"language": "python", "test_cases": []}}
    problems = tmp_path / "problems.jsonl"
    problems.write_text(json.dumps(row) + "\n", encoding="utf-8")
    rewards = ["--rewards", "accuracy"] if asked["reward_funcs"] == ["binary_code"] else []  # no sandbox everywhere
    ran = open_r1(
        "data", "pass-rate", problems, "--config", path, "--dry-run", "--output_dir", tmp_path / "out", *rewards
    )
    assert ran.status == 0, ran.err
    assert f"1 problems × {asked['num_generations']} samples" in ran.out
    assert f"{asked['pass_rate_min']:g} < pass_rate < {asked['pass_rate_max']:g}" in ran.out
    assert not (tmp_path / "out").exists()


def test_there_are_recipes_to_test() -> None:
    assert len(FILTERS) == 3
    assert len(STAGES) >= 2
    assert len(PIPELINES) >= 1


@pytest.mark.parametrize("path", sorted((RECIPES / "accelerate_configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_accelerate_file_is_one_for_accelerate(path: Path) -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    config = load_config_from_file(str(path))
    assert config.num_processes == 8
    assert config.mixed_precision == "bf16"


def recipe(name: str) -> dict[str, Any]:
    return yaml.safe_load((RECIPES / name).read_text(encoding="utf-8"))


DISTILL = "OpenR1-Distill-7B/sft/config_distill.yaml"
COSINE = {"lr_scheduler_type": "cosine_with_min_lr", "lr_scheduler_kwargs": {"min_lr_rate": 0.1}}
LONG_SFT = {**COSINE, "warmup_steps": 0.03, "max_grad_norm": 0.2, "packing": False, "dtype": "bfloat16", "seed": 42}
CODE_GRPO = {
    **COSINE, "learning_rate": 5e-6, "beta": 0.01, "max_steps": 500, "warmup_steps": 0.03, "temperature": 1.0,
    "max_prompt_length": 1024, "max_completion_length": 2048, "per_device_train_batch_size": 16,
    "gradient_accumulation_steps": 4, "save_steps": 50, "loss_type": "bnpo",
}  # fmt: skip
PUBLISHED: dict[str, dict[str, Any]] = {
    DISTILL: {
        **LONG_SFT, "model_name_or_path": "open-r1/Qwen2.5-Math-7B-RoPE-300k", "eos_token": "<|im_end|>",
        "dataset_name": "open-r1/Mixture-of-Thoughts", "dataset_config": "all", "learning_rate": 4e-5,
        "num_train_epochs": 5, "max_length": 32768, "per_device_train_batch_size": 2, "gradient_accumulation_steps": 8,
        "use_liger_kernel": True,
    },
    "OlympicCoder-7B/sft/config_v00.00.yaml": {
        **LONG_SFT, "model_name_or_path": "Qwen/Qwen2.5-Coder-7B-Instruct", "dataset_name": "open-r1/codeforces-cots",
        "dataset_config": "solutions_decontaminated", "learning_rate": 1e-5, "num_train_epochs": 10,
        "max_length": 32768, "per_device_train_batch_size": 2, "gradient_accumulation_steps": 8, "save_steps": 0.2,
        "use_liger_kernel": True,
    },
    "OlympicCoder-32B/sft/config_v00.00.yaml": {
        **LONG_SFT, "model_name_or_path": "Qwen/Qwen2.5-Coder-32B-Instruct", "dataset_name": "open-r1/codeforces-cots",
        "dataset_config": "solutions_decontaminated", "learning_rate": 4e-5, "num_train_epochs": 10,
        "max_length": 22528, "per_device_train_batch_size": 1, "gradient_accumulation_steps": 1,
        "optim": "paged_adamw_8bit", "save_only_model": True, "use_liger_kernel": False,
    },
    "DeepSeek-R1-Distill-Qwen-1.5B/grpo/config_demo.yaml": {
        **COSINE, "model_name_or_path": "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", "learning_rate": 1e-6,
        "dataset_name": "open-r1/OpenR1-Math-220k", "num_generations": 16, "max_completion_length": 2048,
        "temperature": 0.7, "reward_funcs": ["accuracy", "format", "tag_count"], "reward_weights": [1.0, 1.0, 1.0],
        "per_device_train_batch_size": 16, "gradient_accumulation_steps": 4, "warmup_steps": 0.1, "beta": 0.04,
        "loss_type": "bnpo", "vllm_mode": "server", "max_prompt_length": 512,
    },
    "DeepSeek-R1-Distill-Qwen-1.5B/grpo/config_guide.yaml": {
        "reward_funcs": ["format", "accuracy", "reasoning_steps", "repetition_penalty"],
        "reward_weights": [0.4, 0.3, 0.2, 0.1], "learning_rate": 5e-7, "per_device_train_batch_size": 1,
        "gradient_accumulation_steps": 32, "save_steps": 100, "warmup_steps": 0.1, "repetition_n_grams": 4,
        "repetition_max_penalty": -0.5, "vllm_mode": "colocate", "temperature": 0.8,
    },
    "OpenR1-Distill-1.5B/sft/config_mixture.yaml": {
        "per_device_train_batch_size": 8, "gradient_accumulation_steps": 4, "learning_rate": 4e-5,
    },
    "Qwen2.5-1.5B-Instruct/grpo/config_demo.yaml": {
        "model_name_or_path": "Qwen/Qwen2.5-1.5B-Instruct", "learning_rate": 1e-6,  # not 2e-5: see differences.md
        "lr_scheduler_type": "cosine", "warmup_steps": 0.1, "num_generations": 16, "max_completion_length": 1024,
        "reward_funcs": ["accuracy", "format", "tag_count"], "reward_weights": [1.0, 1.0, 1.0], "beta": 0.04,
        "loss_type": "bnpo", "per_device_train_batch_size": 16, "gradient_accumulation_steps": 4,
        "vllm_mode": "server", "max_prompt_length": 512,
    },
    "Qwen2.5-1.5B-Instruct/grpo/config_demo_code.yaml": {
        **CODE_GRPO, "reward_funcs": ["code", "format"], "reward_weights": [1.0, 0.1],
    },
    "Qwen2.5-1.5B-Instruct/grpo/config_demo_code_ioi.yaml": {
        **CODE_GRPO, "reward_funcs": ["ioi_code", "code_format", "format"], "reward_weights": [1.0, 0.1, 0.1],
        "dataset_name": "open-r1/ioi", "code_language": "cpp", "code_eval_test_batch_size": 3,
    },
    "Qwen2.5-Coder-7B-Instruct/grpo/config_codeforces.yaml": {
        "model_name_or_path": "Qwen/Qwen2.5-Coder-7B-Instruct", "dataset_name": "open-r1/codeforces",
        "dataset_config": "verifiable-prompts", "learning_rate": 1e-6, "lr_scheduler_type": "constant_with_warmup",
        "warmup_steps": 0.1, "max_grad_norm": 0.2, "beta": 0.0, "loss_type": "dr_grpo", "scale_rewards": "none",
        "max_completion_length": 8192, "max_prompt_length": 2000, "temperature": 0.7, "num_generations": 16,
        "num_train_epochs": 4, "per_device_train_batch_size": 4, "gradient_accumulation_steps": 32,
        "reward_funcs": ["cf_code", "code_format"], "reward_weights": [1.0, 0.1], "save_steps": 0.05,
        "mask_truncated_completions": True, "code_eval_test_batch_size": -1, "code_eval_scoring_mode": "weighted_sum",
    },
    "dataset_filtering/config_demo.yaml": {
        "num_generations": 8, "temperature": 0.7, "top_p": 0.95, "pass_rate_min": 0.2, "pass_rate_max": 0.8,
        "max_completion_length": 2048,
    },
    "dataset_filtering/filter_dapo.yaml": {
        "num_generations": 8, "temperature": 1.0, "pass_rate_min": 0.1, "pass_rate_max": 0.6,
        "max_completion_length": 32000,
    },
    "dataset_filtering/filter_python.yaml": {
        "num_generations": 8, "temperature": 0.7, "reward_funcs": ["binary_code"], "pass_rate_min": 0.1,
        "pass_rate_max": 0.6, "max_completion_length": 16000,
    },
}  # fmt: skip
"""What Open-R1 or its guide published, in today's names."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_recipe_keeps_its_published_values(name: str) -> None:
    kept = recipe(name)
    assert {key: kept.get(key) for key in PUBLISHED[name]} == PUBLISHED[name]


@pytest.mark.parametrize("path", [path for path in STAGES if kind_of(path) == "grpo"], ids=str)
def test_a_grpo_recipe_states_what_trl_has_changed(path: Path) -> None:
    stated = {"loss_type", "beta", "max_completion_length", "gradient_checkpointing"}
    kept = recipe(str(path))
    assert stated | ({"vllm_mode"} if kept.get("use_vllm") else set()) <= set(kept)


@pytest.mark.parametrize("path", [path for path in STAGES if kind_of(path) == "grpo"], ids=str)
@pytest.mark.parametrize("processes", [7, 8])
def test_the_groups_of_a_recipe_divide_its_batch_on_a_node_with_and_without_a_gpu_for_vllm(
    path: Path, processes: int
) -> None:
    kept = recipe(str(path))
    batch = kept["per_device_train_batch_size"] * kept.get("gradient_accumulation_steps", 1) * processes
    assert batch % kept["num_generations"] == 0


def test_the_guides_mixture_has_its_weights_and_names_columns_that_the_sets_share(tmp_path: Path) -> None:
    path = RECIPES / "OpenR1-Distill-1.5B/sft/config_mixture.yaml"
    parsed = parse_stage("sft", ["--config", str(path), "--output_dir", str(tmp_path)])
    mixture = parsed.script.mixture
    assert [entry.weight for entry in mixture.datasets] == [0.4, 0.3, 0.3]
    assert [entry.columns for entry in mixture.datasets] == [["messages"]] * 3
    assert (mixture.seed, mixture.test_split_size) == (42, 0.1)


@pytest.fixture
def distill_tokenizer(tiny_model: Path) -> Any:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.chat_template = recipe(DISTILL)["chat_template"]
    return tokenizer


def test_the_distilled_models_template_keeps_thinking_marks_the_loss_and_has_the_guides_system_prompt(
    distill_tokenizer: Any,
) -> None:
    from open_r1.training.models import check_template

    check_template(distill_tokenizer)
    text = distill_tokenizer.apply_chat_template(TURNS, tokenize=False)
    system = text[: text.index("<|im_start|>user")]
    assert system.startswith("<|im_start|>system\nYou are Open-R1, a language model trained by Hugging Face")
    assert "- refining errors, revisiting previous steps<|im_end|>" in system
    assert text.removeprefix(system) == distill_tokenizer.apply_chat_template(
        TURNS, tokenize=False, chat_template=CHATML
    )
    own = distill_tokenizer.apply_chat_template([{"role": "system", "content": "S"}, *TURNS], tokenize=False)
    assert own.startswith("<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nq<|im_end|>")
    marked = distill_tokenizer.apply_chat_template(TURNS, return_dict=True, return_assistant_tokens_mask=True)
    ids = [one for one, mask in zip(marked["input_ids"], marked["assistant_masks"], strict=True) if mask]
    assert distill_tokenizer.decode(ids) == TURNS[1]["content"] + "<|im_end|>"


def test_the_distilled_models_template_shows_tools_their_calls_and_what_they_return(distill_tokenizer: Any) -> None:
    tools = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}]
    call = {"type": "function", "function": {"name": "add", "arguments": {"a": 1}}}
    messages = [
        TURNS[0],
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "3"},
        {"role": "tool", "content": "4"},
        TURNS[1],
    ]
    text = distill_tokenizer.apply_chat_template(messages, tools=tools, tokenize=False)
    listed = text[text.index("\n<tools>\n") : text.index("\n</tools>")].removeprefix("\n<tools>\n")
    assert json.loads(listed) == tools[0]
    called = text[text.index('<tool_call>\n{"name": "add"') :]
    assert json.loads(called[len("<tool_call>\n") : called.index("\n</tool_call>")]) == {
        "name": "add",
        "arguments": {"a": 1},
    }
    assert (
        "<|im_start|>user\n<tool_response>\n3\n</tool_response>\n<tool_response>\n4\n</tool_response><|im_end|>"
        in text
    )


@pytest.mark.parametrize("name", ["config_demo", "config_guide"])
def test_the_deepseek_template_leaves_the_thinking_to_the_completion(name: str, tiny_model: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.chat_template = recipe(f"DeepSeek-R1-Distill-Qwen-1.5B/grpo/{name}.yaml")["chat_template"]
    system = [{"role": "system", "content": "S"}, *TURNS]
    prompt = tokenizer.apply_chat_template(system[:2], tokenize=False, add_generation_prompt=True)
    assert prompt.endswith("S<｜User｜>q<｜Assistant｜>")
    whole = tokenizer.apply_chat_template(system, tokenize=False)
    assert whole == f"{prompt}{TURNS[1]['content']}<｜end▁of▁sentence｜>"
