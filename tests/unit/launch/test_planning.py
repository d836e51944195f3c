"""Plans of recipes: sizes of models, time, what fits, what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from open_r1.configs.reader import as_setting
from open_r1.errors import ConfigError, ModelError, UsageError
from open_r1.gpus import GPUS, find_gpu, of_device, read_gpus
from open_r1.launch.plan import plan, plan_pipeline
from open_r1.launch.plan.architectures import find_published, read_architecture
from open_r1.launch.plan.data import CHARACTERS, PROMPT_TOKENS, TEMPLATE_TOKENS
from open_r1.launch.plan.durations import decoding_seconds, flops_per_token, generation_seconds
from open_r1.launch.plan.settings import RecipeSettings, read_settings
from open_r1.launch.plan.stages import SHAPE

PUBLISHED_COUNTS = {
    "Qwen/Qwen2.5-0.5B": 494_032_768, "Qwen/Qwen2.5-1.5B-Instruct": 1_543_714_304, "Qwen/Qwen2.5-3B": 3_085_938_688,
    "Qwen/Qwen2.5-Coder-7B-Instruct": 7_615_616_512, "Qwen/Qwen2.5-14B": 14_770_033_664,
    "Qwen/Qwen2.5-Coder-32B-Instruct": 32_763_876_352, "open-r1/Qwen2.5-Math-7B-RoPE-300k": 7_615_616_512,
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B": 1_777_088_000, "Qwen/Qwen3-0.6B": 596_049_920,
    "deepseek-ai/DeepSeek-R1-Distill-Llama-8B": 8_030_261_248, "Qwen/Qwen3-8B": 8_190_735_360,
    "Qwen/Qwen3-32B": 32_762_123_264, "HuggingFaceTB/SmolLM2-135M-Instruct": 134_515_008,
    "HuggingFaceTB/SmolLM2-1.7B": 1_711_376_384,
}  # fmt: skip
"""As the Hub's pages of the models give them (`num_parameters` of the loaded model)."""

SFT = ["model_name_or_path=Qwen/Qwen2.5-1.5B", "max_length=4096", "dtype=bfloat16", "bf16=true", "max_steps=100"]
GRPO = [*SFT, "max_prompt_length=512", "max_completion_length=1024", "num_generations=8", "use_vllm=true"]


@pytest.mark.parametrize("name", PUBLISHED_COUNTS)
def test_published_models_have_their_published_parameters(name: str) -> None:
    found = find_published(name)
    assert found is not None
    assert found.parameters == PUBLISHED_COUNTS[name]


@pytest.mark.parametrize("kind", ["sft", "grpo"])
def test_defaults_of_a_plan_are_those_of_the_trainer(kind: Any) -> None:
    from open_r1.training.arguments import stage_classes
    from open_r1.training.parse import defaults_of

    trainers, ours = defaults_of(stage_classes(kind)), vars(RecipeSettings())
    assert {key: ours[key] for key in ours if key in trainers} == {
        key: trainers[key] for key in ours if key in trainers
    }


def test_a_stage_model_of_a_pipeline_has_the_shape_that_training_gives_it() -> None:
    from open_r1.training.tiny_models import ModelShape

    assert {key: getattr(ModelShape(), key) for key in SHAPE} == SHAPE


def test_old_names_are_read_as_their_present_ones() -> None:
    read = read_settings(
        "sft", [as_setting("max_seq_length", 77, "r.yaml:1"), as_setting("torch_dtype", "bfloat16", "")]
    )
    assert (read.values.max_length, read.values.dtype) == (77, "bfloat16")
    assert "r.yaml:1: 'max_seq_length' is now 'max_length'" in read.notices[0]


@pytest.mark.parametrize(
    ("text", "count", "name"),
    [
        ("8xH100-80GB", 8, "H100-80GB"),
        ("1×RTX4090", 1, "RTX4090-24GB"),
        ("a100", 1, "A100-80GB"),
        ("2xa100-40gb", 2, "A100-40GB"),
    ],
)
def test_gpus_are_read_with_their_number(text: str, count: int, name: str) -> None:
    found = read_gpus(text)
    assert (found[0], found[1].name) == (count, name)


def test_an_unknown_gpu_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="unknown GPU 'H10-80GB'; did you mean 'H100-80GB'"):
        find_gpu("H10-80GB")
    with pytest.raises(UsageError, match="8xH100-80GB"):
        read_gpus("0xH100")
    with pytest.raises(
        UsageError, match="--gpus 8 is a number without a kind of GPU; write for example 8xH100-80GB. Known: "
    ):
        read_gpus("8")


def test_every_gpu_is_found_by_the_name_that_its_driver_reports() -> None:
    names = {
        "NVIDIA H100 80GB HBM3": "H100-80GB",
        "NVIDIA H100 PCIe": "H100-PCIe-80GB",
        "NVIDIA A100-SXM4-40GB": "A100-40GB",
        "NVIDIA L40S": "L40S-48GB",
        "NVIDIA L4": "L4-24GB",
        "NVIDIA GeForce RTX 4090": "RTX4090-24GB",
    }
    assert {device: getattr(of_device(device), "name", None) for device in names} == names
    assert all(of_device(gpu.device) == gpu for gpu in GPUS)


def test_operations_of_a_token_follow_palm() -> None:
    """Appendix B: 6N + 12LHQT; N without the input embedding."""
    a = find_published("Qwen2.5-7B")
    assert a is not None
    n = a.parameters - a.embedding_parameters
    assert flops_per_token(a, 4096, False) == pytest.approx(6 * n + 12 * 28 * 28 * 128 * 4096, rel=1e-3)
    assert flops_per_token(a, 0, True) / flops_per_token(a, 0, False) == pytest.approx(2 / 3)


def test_decoding_is_bound_by_bandwidth_until_the_batch_is_large() -> None:
    a, gpu = find_published("Qwen2.5-7B"), find_gpu("H100-80GB")
    assert a is not None
    one = decoding_seconds(a, gpu, 1, 1, 0)
    assert one == pytest.approx(2 * a.parameters / (0.6 * gpu.bandwidth), rel=1e-6)
    assert decoding_seconds(a, gpu, 2, 1, 0) == pytest.approx(one / 2)
    assert decoding_seconds(a, gpu, 1, 64, 1000) < 64 * one
    assert generation_seconds(a, gpu, 1, 8, 1.0, 512, 1024)[0] == float("inf")


def test_generation_falls_into_waves_where_the_cache_is_full() -> None:
    a, gpu = find_published("Qwen2.5-7B"), find_gpu("H100-80GB")
    assert a is not None
    room = 2 * 2 * 28 * 4 * 128 * 1536 * 10  # ten sequences
    assert generation_seconds(a, gpu, 1, 25, room, 512, 1024)[1] == 3


def test_a_plan_says_what_fits_and_how_long_it_takes() -> None:
    found = plan(changes=SFT, gpus="8xH100-80GB", accelerator="zero2")
    record = json.loads(json.dumps(found.record()))
    assert record["fits"] is True
    assert record["memory"]["total"] == sum(record["memory"]["parts"].values())
    assert record["steps"] == 100
    assert record["hours"] == pytest.approx(found.durations.flops / (0.35 * 8 * 9.89e14) / 3600)  # type: ignore[union-attr]


def test_what_does_not_fit_comes_with_the_nearest_change_that_does() -> None:
    found = plan(changes=[*SFT, "gradient_checkpointing=false"], gpus="1xH100-80GB")
    assert not found.fits
    assert found.change == ("gradient_checkpointing=true",)
    changed = plan(changes=[*SFT, *found.change], gpus="1xH100-80GB")
    assert changed.fits


def test_a_model_that_is_too_large_for_one_gpu_gets_lora() -> None:
    found = plan(changes=[*SFT, "model_name_or_path=Qwen/Qwen2.5-14B"], gpus="1xH100-80GB")
    assert "use_peft=true" in " ".join(found.change)


@pytest.mark.parametrize(
    ("changes", "accelerator", "problem"),
    [
        ([*GRPO, "num_generations=14"], None, "num_generations = 14 does not divide the generation batch of 64"),
        (
            [*SFT, "bf16=false"],
            "zero2",
            "zero2.yaml:15 has mixed_precision bf16, but --set bf16=false has bf16 false",
        ),
        ([*SFT, "use_peft=true", "load_in_4bit=true"], "zero3", "weights are divided, which quantized ones can't be"),
        (SFT, "zero4", "did you mean 'zero"),
        ([*SFT, "max_length=null"], None, "max_length is null"),
        ([*SFT, "per_device_train_batch_size=0"], None, "per_device_train_batch_size must be"),
        ([*SFT, "per_device_train_batch_size=two"], None, "per_device_train_batch_size must be"),
        ([*SFT, "dtype=int3"], None, "dtype 'int3' is not known"),
        (SFT[1:], None, "no model_name_or_path"),
    ],
)
def test_what_contradicts_itself_is_refused(changes: list[str], accelerator: str | None, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        plan(changes=changes, accelerator=accelerator)


def test_an_accelerate_file_that_disagrees_with_the_recipe_is_named(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    text = "distributed_type: FSDP\nfsdp_config: {fsdp_activation_checkpointing: true}\nnum_machines: 2\n"
    file.write_text(f"{text}mixed_precision: bf16\n")
    with pytest.raises(ConfigError, match=r"mine.yaml has fsdp_activation_checkpointing"):
        plan(changes=SFT, accelerator=file)
    with pytest.raises(UsageError, match="num_machines: 2, but --nodes gives 3"):
        plan(changes=[*SFT, "gradient_checkpointing=false"], accelerator=file, nodes=3)


def test_a_model_of_unknown_size_is_refused_with_what_to_give(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def unreachable(*_: Any, **__: Any) -> str:
        raise OSError("no network")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", unreachable)
    with pytest.raises(ModelError, match="give a folder with config.json by --set model_name_or_path=FOLDER"):
        read_architecture("someone/Some-Model-9B")
    with pytest.raises(ModelError, match=r"config.json' does not exist"):
        read_architecture(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "mamba"}')
    with pytest.raises(ModelError, match="model_type is 'mamba'; plans know llama"):
        read_architecture(str(tmp_path))


def test_a_local_folder_gives_the_size_of_its_model(tmp_path: Path) -> None:
    config = {"model_type": "qwen2", "hidden_size": 896, "num_hidden_layers": 24, "num_attention_heads": 14}
    config |= {"num_key_value_heads": 2, "intermediate_size": 4864, "vocab_size": 151936, "tie_word_embeddings": True}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert read_architecture(str(tmp_path)) == find_published("Qwen2.5-0.5B")


def test_rows_of_a_local_file_are_counted(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"prompt": "x", "completion": "y"}\n' * 130)
    changes = [*(word for word in SFT if "max_steps" not in word), f"dataset_name={rows}", "num_train_epochs=2"]
    found = plan(changes=changes, gpus="1xH100-80GB")
    assert found.durations is not None
    assert found.durations.steps == 33  # 260 rows in batches of 8


def test_vllm_has_its_share_of_the_gpu_unless_it_sleeps() -> None:
    awake = plan(changes=GRPO)
    asleep = plan(changes=[*GRPO, "vllm_enable_sleep_mode=true"])
    server = plan(changes=[*GRPO, "vllm_mode=server"], gpus="7xH100-80GB", nodes=8)
    assert awake.memory.parts["vLLM"] == round(0.3 * find_gpu("H100").memory)
    assert asleep.memory.total < awake.memory.total
    assert "vLLM" not in server.memory.parts


def test_a_pipeline_has_a_plan_for_each_stage_that_trains(repo: Path) -> None:
    path = repo / "recipes/tiny/pipeline.yaml"
    plans = plan_pipeline(path, ["grpo.overrides.max_steps=3"])
    assert [(one.name, one.kind) for one in plans][:2] == [("sft", "sft"), ("grpo", "grpo")]
    assert all(one.fits for one in plans)
    with pytest.raises(ConfigError, match="no stage 'grpp'; did you mean 'grpo'"):
        plan_pipeline(path, ["grpp.overrides.max_steps=3"])


def test_the_command_shows_memory_by_part_and_a_table_of_gpus(open_r1: Callable[..., Any], repo: Path) -> None:
    recipe = repo / "recipes/OpenR1-Distill-7B/sft/config_distill.yaml"
    shown = open_r1("plan", recipe, "--accelerator", "zero3", "--gpus", "8xH100-80GB")
    assert shown.status == 0, shown.err
    assert "activations" in shown.out
    assert "8xA100-40GB" in shown.out
    as_json = json.loads(open_r1("plan", recipe, "--accelerator", "zero3", "--json").out)
    assert as_json["fits"] is True
    assert as_json["hours"] > 1
    refused = open_r1("plan", recipe, "--gpus", "8xH101")
    assert refused.status == 2
    assert "unknown GPU" in refused.err


RECIPE = "model_name_or_path: Qwen/Qwen2.5-1.5B\nmax_steps: 5\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--set", "banana=1"], "--set banana=1: unknown setting 'banana'"),
        (["--set", "optim=adamm"], "--set optim=adamm: optim must be "),
        (["--set", "vllm_mode=banana"], "vllm_mode must be colocate or server, but is 'banana'"),
        (["--set", "load_in_4bit=true"], "quantized weights can't be trained; set use_peft true"),
        (
            ["--set", "per_device_train_batch_size=3000000000"],
            "must be at least 1 and at most 2147483647, but is 3000000000",
        ),
        (["--nodes", 3_000_000_000], "--nodes must be at least 1 and at most 2147483647, but is 3000000000"),
        (["--gpus", "8"], "write for example 8xH100-80GB"),
        (["--gpus", "8xH100,8"], "write for example 8xH100-80GB"),
    ],
)
def test_settings_are_checked_as_the_training_checks_them(
    open_r1: Callable[..., Any], tmp_path: Path, words: list[Any], said: str
) -> None:
    path = tmp_path / "grpo.yaml"
    path.write_text(f"{RECIPE}num_generations: 8\n")
    refused = open_r1("plan", path, *words)
    assert (refused.status, refused.out) == (2, "")
    assert said in refused.err


def test_the_settings_of_a_pipelines_stages_are_checked_too(open_r1: Callable[..., Any], repo: Path) -> None:
    words = ["plan", repo / "recipes/tiny/pipeline.yaml", "--json", "--set"]
    assert "unknown setting 'banana'" in open_r1(*words, "sft.banana=1").err
    ran = open_r1(*words, "evaluate_sft.num_samples=7", "--set", "problems.rl=999")
    assert ran.status == 0, ran.err
    assert "notice: --set evaluate_sft.num_samples=7 changes nothing here: no training depends on it" in ran.err
    assert "problems.rl" not in ran.err


def test_a_stage_whose_settings_are_wrong_is_named(open_r1: Callable[..., Any], repo: Path) -> None:
    refused = open_r1("plan", repo / "recipes/tiny/pipeline.yaml", "--set", "sft.overrides.banana=1")
    assert "stage 'sft': --set sft.overrides.banana=1: unknown setting 'banana'" in refused.err


def test_a_change_that_a_plan_does_not_depend_on_is_named_and_a_presets_counts(
    open_r1: Callable[..., Any], tmp_path: Path
) -> None:
    path = tmp_path / "grpo.yaml"
    path.write_text(f"{RECIPE}preset: grpo\nweight_decay: 0.1\n")
    ran = open_r1("plan", path, "--gpus", "8xH100", "--set", "learning_rate=1e-6")
    assert "--set learning_rate=1e-6 changes nothing here: a plan does not depend on learning_rate." in ran.out
    assert "weight_decay" not in ran.out
    assert "reference model" in ran.out  # the preset's beta


def test_the_tokens_of_a_prompt_come_from_the_recipe_or_the_data_or_are_said_to_be_assumed(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"problem": "x" * length, "solution": "1"}) + "\n" for length in (30, 900, 3)))
    data = [f"dataset_name={rows}", "dataset_prompt_column=problem", "system_prompt=yy"]
    base = ["model_name_or_path=Qwen/Qwen2.5-1.5B", "num_generations=8", "max_completion_length=100"]
    found = {
        name: plan(changes=[*base, *changes], **options)
        for name, changes, options in [
            ("recipe", [*data, "max_prompt_length=77"], {}),
            ("data", data, {}),
            ("first rows", [*data, "max_samples=1"], {}),
            ("assumed", [], {}),
            ("cpu", ["use_cpu=true"], {}),
            ("given", data, {"prompt_tokens": 55}),
        ]
    }
    said = {name: one.assumptions[0] for name, one in found.items()}
    assert said["recipe"].startswith("Prompts have 77 tokens; ")
    longest = (900 + 3 + CHARACTERS - 1) // CHARACTERS + TEMPLATE_TOKENS
    assert said["data"].startswith(
        f"Prompts have {longest} tokens, as the longest of the data at 3 characters a token"
    )
    assert said["first rows"].startswith(f"Prompts have {11 + TEMPLATE_TOKENS} tokens")
    assert said["assumed"].startswith(f"Prompts have {PROMPT_TOKENS} tokens, as assumed (--prompt_tokens N)")
    assert said["cpu"] == said["assumed"]
    assert said["given"].startswith("Prompts have 55 tokens; ")
    assert found["data"].memory.total < found["assumed"].memory.total


def test_prompts_are_counted_by_the_models_own_tokenizer(tmp_path: Path, tiny_model: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    prompt = [{"role": "user", "content": "1 + 1 = " * 20}]
    rows.write_text(json.dumps({"prompt": prompt, "solution": "1"}) + "\n")
    found = plan(changes=[f"model_name_or_path={tiny_model}", f"dataset_name={rows}", "num_generations=8"])
    assert "tokens, as the longest of the data; " in found.assumptions[0]


@pytest.mark.parametrize("name", ["config_demo", "filter_dapo", "filter_python"])
def test_a_recipe_of_pass_rates_is_named_as_what_it_is(open_r1: Callable[..., Any], repo: Path, name: str) -> None:
    path = repo / "recipes/dataset_filtering" / f"{name}.yaml"
    for words in (["plan", path], ["launch", path, "--dry-run"], ["launch", path, "--task", "grpo"]):
        refused = open_r1(*words)
        assert refused.status == 2
        assert f"`open-r1 data pass-rate --config {path}` runs it" in refused.err


def test_a_recipe_that_says_little_is_of_the_kind_that_its_place_says(tmp_path: Path) -> None:
    path = tmp_path / "grpo" / "config_a.yaml"
    path.parent.mkdir()
    path.write_text(RECIPE)
    assert plan(path).kind == "grpo"
    assert plan(changes=SFT).kind == "sft"


def test_a_micro_batch_of_grpo_has_at_most_the_tokens_that_are_planned() -> None:
    from open_r1.launch.plan.memory import Workload
    from open_r1.launch.plan.sharding import Sharding
    from open_r1.training.micro_batches import plan as plan_micro_batches

    architecture = find_published("Qwen2.5-1.5B")
    assert architecture is not None
    work = Workload("grpo", architecture, RecipeSettings(), Sharding(), samples=4, length=96, prompt=32)
    random = np.random.default_rng(0)
    for _ in range(20):
        lengths = np.stack([random.integers(1, 33, 64), random.integers(1, 65, 64)], axis=1)
        lengths[0] = (32, 64)  # the trainer's budget is so many of its samples at the generation's full width
        budget = work.samples * int(lengths.max(axis=0).sum())
        assert budget == work.tokens
        parts = plan_micro_batches(lengths, budget)
        assert max(lengths[part].max(axis=0).sum() * len(part) for part in parts) <= work.tokens
