"""`open-r1 launch`: the line it renders, and what it refuses before anything starts."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_slurm import FakeSlurm

from open_r1.configs.reader import read_recipe
from open_r1.launch.accelerate import Layout, check_agreement, check_world_size, count_gpus
from open_r1.launch.accelerate_file import AccelerateFile, check_file, find_accelerate_file
from open_r1.launch.recipe import LaunchRecipe, find_recipe
from open_r1.launch.training import ServerShape, plan_launch

GUIDE = ["--model", "Qwen2.5-1.5B-Instruct", "--task", "grpo", "--config", "demo", "--accelerator", "zero2"]


@pytest.fixture
def recipe(tmp_path: Path) -> Callable[..., LaunchRecipe]:
    """Writes a recipe of GRPO."""

    def write(text: str = "", *arguments: str, task: Any = "grpo") -> LaunchRecipe:
        path = tmp_path / "recipe.yaml"
        path.write_text(f"model_name_or_path: m\n{text}")
        return LaunchRecipe(task, path, arguments)

    return write


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str], AccelerateFile]:
    """Writes a file of accelerate's."""

    def write(text: str) -> AccelerateFile:
        path = tmp_path / "accelerate.yaml"
        path.write_text(text)
        return AccelerateFile(path)

    return write


def test_the_guides_line_is_rendered_for_one_machine(
    open_r1: Callable[..., Any], repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repo)
    ran = open_r1("launch", *GUIDE, "--gpus", 7, "--dry-run", "--args", "--num_generations=14 --vllm_mode=colocate")
    assert ran.out == (
        "accelerate launch --config_file recipes/accelerate_configs/zero2.yaml --num_processes 7 "
        "--gradient_accumulation_steps 4 src/open_r1/grpo.py --config "
        "recipes/Qwen2.5-1.5B-Instruct/grpo/config_demo.yaml --num_generations=14 --vllm_mode=colocate\n"
    )
    by_path = open_r1(
        "launch", "recipes/Qwen2.5-1.5B-Instruct/grpo/config_demo.yaml", "--gpus", 7, "--dry-run", "--accelerator",
        "recipes/accelerate_configs/zero2.yaml", "--args", "--num_generations=14 --vllm_mode=colocate",
    )  # fmt: skip
    assert by_path.out == ran.out


def test_several_machines_have_a_line_each(open_r1: Callable[..., Any], repo: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(repo)
    ran = open_r1("launch", *GUIDE, "--gpus", 8, "--nodes", 3, "--dry-run")
    server, first, second = ran.out.splitlines()
    assert "trl.scripts.vllm_serve --model Qwen/Qwen2.5-1.5B-Instruct --host 0.0.0.0 --port 8000" in server
    assert first.endswith("--vllm_server_base_url=http://LAST-MACHINE:8000")
    assert "--num_processes 16 --num_machines 2 --machine_rank 0 --main_process_ip FIRST-MACHINE" in first
    assert second == first.replace("--machine_rank 0", "--machine_rank 1")
    refused = open_r1("launch", *GUIDE, "--gpus", 8, "--nodes", 2)
    assert refused.status == 2
    assert "add --slurm" in refused.err


def test_a_submission_has_the_sites_flags_and_the_words_as_they_were_given(
    open_r1: Callable[..., Any], repo: Path, tmp_path: Path, monkeypatch: Any, slurm: FakeSlurm
) -> None:
    monkeypatch.chdir(repo)
    site = tmp_path / "site.yaml"
    site.write_text("partition: gpu\naccount: me\ngpus_per_node: 4\nflags: ['--constraint=h100']\n")
    words = ["launch", *GUIDE, "--nodes", 2, "--slurm", "--site", site, "--args", "--max_steps=5 --seed=1"]
    expected = (
        "--nodes=2 --gpus-per-node=4 --partition=gpu --account=me --constraint=h100 slurm/train.slurm --model "
        "Qwen2.5-1.5B-Instruct --task grpo --config demo --accelerator zero2 --args "
    )
    assert open_r1(*words, "--dry-run").out == f"OPEN_R1_SITE={site} sbatch {expected}'--max_steps=5 --seed=1'\n"
    assert not slurm.words()
    ran = open_r1(*words)
    assert (ran.status, ran.out) == (0, "4711\n")
    assert slurm.words()[-1] == f"sbatch --parsable {expected}--max_steps=5 --seed=1"
    assert (slurm.folder / "sbatch.site").read_text() == f"{site}\n"


def test_nothing_is_queued_for_a_partition_that_does_not_exist(
    open_r1: Callable[..., Any], repo: Path, tmp_path: Path, monkeypatch: Any, slurm: FakeSlurm
) -> None:
    monkeypatch.chdir(repo)
    site = tmp_path / "site.yaml"
    site.write_text("partition: gp\n")
    ran = open_r1("launch", *GUIDE, "--nodes", 2, "--slurm", "--site", site)
    assert ran.status == 2
    assert "partition 'gp' does not exist; did you mean 'gpu'?" in ran.err
    assert not any(word.startswith("sbatch") for word in slurm.words())


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"--model": "Qwen2.5-1.5B-Instuct"}, "no recipe is for the model 'Qwen2.5-1.5B-Instuct'; did you mean 'Qwen"),
        ({"--task": "grop"}, "unknown task 'grop'; did you mean 'grpo'? Tasks: sft, grpo."),
        ({"--config": "dem"}, "no grpo recipe called 'dem'; did you mean 'demo'? Its recipes: "),
        ({"--accelerator": "zero"}, "unknown accelerator 'zero'; did you mean 'zero"),
        ({"--accelerator": "none.yaml"}, "accelerate's file 'none.yaml' does not exist"),
        ({"--args": "--seed='1"}, "No closing quotation; close the quote"),
        ({"--nodes": "0"}, "--nodes must be at least 1, but is 0"),
        ({"--args": "--vllm_mode=server"}, "needs a node beside those that train, but there is 1 node; take --nodes 2"),
        ({"--args": "--vllm_mode=server", "--nodes": "2", "--dp": "4", "--tp": "4"}, "needs 16 GPUs, but vLLM's node has 8"),
        ({"--args": "--vllm_mode=colocate", "--tp": "3"}, "do not divide the 8 that train; take --tp 1, 2, 4 or 8"),
        ({"--args": "--vllm_mode=colocate", "--gpus": "8xBANANA"}, "unknown GPU 'BANANA'"),
        ({"--args": "--num_generations=14 --vllm_mode=colocate"}, "With these settings 7 or 14 processes are possible."),
        ({"--args": "--vllm_mode=colocate --lerning_rate=1"}, "unknown setting --lerning_rate; did you mean 'lear"),
        ({"--args": "--vllm_mode=colocate --optim=adamm"}, "optim must be "),
        ({"--args": "--vllm_mode=colocate --reward_funcs acuracy format tag_count"}, "did you mean 'accuracy'"),
        ({"--args": "--vllm_mode=colocate --config other.yaml"}, "--args names a second recipe by --config"),
        ({"--args": "--vllm_mode=colocate", "--processes": "9"}, "--processes 9 is more than a machine's 8 GPUs"),
        ({"--args": "--vllm_mode=colocate", "--gpus": "99999"}, "--gpus must be from 0 to 1024 GPUs a machine"),
        ({"--args": "--vllm_mode=colocate", "--nodes": "99999999999"}, "--nodes must be at least 1 and at most 2147483647"),
    ],
)  # fmt: skip
def test_what_can_not_work_is_refused_with_the_nearest_that_can(
    open_r1: Callable[..., Any], changed: dict[str, str], said: str
) -> None:
    named = dict(zip(GUIDE[::2], GUIDE[1::2], strict=True)) | {"--gpus": "8"} | changed
    ran = open_r1("launch", *[word for pair in named.items() for word in pair], "--dry-run")
    assert (ran.status, ran.out) == (2, "")
    assert said in ran.err


def test_the_last_node_serves_where_the_recipe_wants_a_server(recipe: Callable[..., LaunchRecipe]) -> None:
    asked = recipe("use_vllm: true\nvllm_mode: server\nuse_cpu: false\nnum_generations: 8\n")
    launch = plan_launch(asked, "zero2", nodes=3, gpus=8, data_parallel=8)
    assert launch.server == ServerShape(8, 1)
    assert launch.layout == Layout(2, 8)
    assert launch.words(server_url="http://n3:1234")[-1] == "--vllm_server_base_url=http://n3:1234"
    assert (
        plan_launch(recipe("use_vllm: true\nvllm_mode: server\nvllm_server_host: n9\n"), "zero2", gpus=8).server
        is None
    )
    (notice,) = plan_launch(asked, "zero2", nodes=2, gpus=8).notices
    assert "--dp 8 uses all" in notice


def test_beside_the_trainer_tp_is_a_setting_and_dp_is_not_used(recipe: Callable[..., LaunchRecipe]) -> None:
    launch = plan_launch(recipe("use_vllm: true\n"), "zero2", gpus=8, data_parallel=8, tensor_parallel=2)
    assert launch.further == ("--vllm_tensor_parallel_size=2",)
    assert "--dp 8 is not used" in launch.notices[0]
    assert not plan_launch(recipe("use_vllm: true\n"), "zero2", gpus=8, tensor_parallel=1).further


def test_a_recipe_on_a_cpu_has_a_process_a_machine_in_full_precision(recipe: Callable[..., LaunchRecipe]) -> None:
    launch = plan_launch(recipe("bf16: false\nuse_cpu: true\n"), "ddp", nodes=2, gpus=8)
    assert launch.layout == Layout(2, 1, has_gpus=False)
    words = launch.words()
    assert words[words.index("--mixed_precision") + 1] == "no"


@pytest.mark.parametrize(
    ("accelerate", "text", "said"),
    [
        ("mixed_precision: fp16", "bf16: true", "mixed_precision fp16, but .*recipe.yaml:2 has bf16 true"),
        ("mixed_precision: bf16", "bf16: false", "mixed_precision bf16, but .*recipe.yaml:2 has bf16 false"),
        ("mixed_precision: 'no'", "fp16: true", "set mixed_precision fp16 in accelerate's file"),
        (
            "distributed_type: DEEPSPEED\ndeepspeed_config: {gradient_accumulation_steps: 2}",
            "gradient_accumulation_steps: 4",
            r"accelerate.yaml:2 \(gradient_accumulation_steps\) and .*recipe.yaml:2 .* disagree: 2 and 4",
        ),
        (
            "distributed_type: DEEPSPEED\ndeepspeed_config: {gradient_clipping: 0.5}",
            "max_grad_norm: 0.2",
            r"\(gradient_clipping\) .* disagree: 0.5 and 0.2",
        ),
        (
            "distributed_type: FSDP\nfsdp_config: {fsdp_activation_checkpointing: true}",
            "gradient_checkpointing: true",
            "which do the same; keep one of them",
        ),
    ],
)
def test_accelerates_file_and_the_recipe_must_agree(
    recipe: Callable[..., LaunchRecipe], file: Callable[[str], AccelerateFile], accelerate: str, text: str, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        check_agreement(file(accelerate), recipe(text), Layout(1, 8))


def test_deepspeeds_own_file_is_compared_too(
    recipe: Callable[..., LaunchRecipe], file: Callable[[str], AccelerateFile], tmp_path: Path
) -> None:
    own = tmp_path / "deepspeed.json"
    own.write_text('{"train_micro_batch_size_per_gpu": 4, "gradient_accumulation_steps": "auto"}')
    text = f"distributed_type: DEEPSPEED\ndeepspeed_config: {{deepspeed_config_file: {own}}}"
    check_agreement(file(text), recipe("per_device_train_batch_size: 4"), Layout(1, 8))
    with pytest.raises(ValueError, match="disagree: 4 and 2"):
        check_agreement(file(text), recipe("per_device_train_batch_size: 2"), Layout(1, 8))


def test_every_shipped_recipe_agrees_with_every_shipped_file(repo: Path) -> None:
    recipes = sorted(path for task in ("sft", "grpo") for path in repo.glob(f"recipes/*/{task}/config_*.yaml"))
    assert len(recipes) >= 6
    for path in recipes:
        for name in ("ddp", "zero2", "zero3", "fsdp"):
            recipe = LaunchRecipe(path.parent.name, path)  # type: ignore[arg-type]
            check_agreement(find_accelerate_file(name), recipe, Layout(1, 8))


def test_settings_count_as_they_were_last_given_under_any_name(recipe: Callable[..., LaunchRecipe]) -> None:
    asked = recipe("bf16: true\nno_cuda: true\nnum_generations: 4\n", "--bf16=no", "--num-generations", "16")
    assert not asked.is_on("bf16", True)
    assert asked.on_cpu
    assert asked.count("num_generations", 8) == 16
    with pytest.raises(ValueError, match="num_generations must be a whole number of at least 1, but is 'many'"):
        recipe("num_generations: many").count("num_generations", 8)


def test_a_generation_batch_of_its_own_must_be_whole_on_every_process(recipe: Callable[..., LaunchRecipe]) -> None:
    text = "generation_batch_size: 64\nper_device_train_batch_size: 8\n"
    check_world_size(recipe(text), 8)
    with pytest.raises(ValueError, match="is not a multiple of 8 completions a device × 3 processes = 24"):
        check_world_size(recipe(text), 3)
    check_world_size(recipe(text, task="sft"), 3)


def test_448_completions_are_32_groups_of_14_on_seven_processes(recipe: Callable[..., LaunchRecipe]) -> None:
    text = "num_generations: 14\nper_device_train_batch_size: 16\ngradient_accumulation_steps: 4\n"
    check_world_size(recipe(text), 7)


def test_a_recipe_is_found_here_before_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_recipe("tiny", "grpo", "demo", "").path.is_file()
    own = tmp_path / "recipes" / "tiny" / "grpo" / "config_demo.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("max_steps: 1\n")
    assert read_recipe(find_recipe("tiny", "grpo", "demo", "").path)[0].value == 1


def test_what_a_recipe_trains_is_said_by_its_place_or_asked_for(open_r1: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    whole = "use_cpu: true\nmodel_name_or_path: m\ndataset_name: d\noutput_dir: o\n"
    path.write_text(whole)
    refused = open_r1("launch", path, "--dry-run")
    assert refused.status == 2
    assert "add --task sft or grpo" in refused.err
    assert "src/open_r1/sft.py" in open_r1("launch", path, "--task", "sft", "--dry-run").out
    path.rename(tmp_path / "grpo.yaml")
    assert "is a recipe of grpo" in open_r1("launch", tmp_path / "grpo.yaml", "--task", "sft", "--dry-run").err
    path.write_text("use_cpu: true\n")
    assert "the recipe already" in open_r1("launch", path, "--config", "demo", "--dry-run").err
    assert "--task, --config missing" in open_r1("launch", "--model", "tiny", "--dry-run").err


def test_a_recipe_is_checked_for_the_processes_of_the_launch_before_it_is_queued(
    open_r1: Callable[..., Any], tmp_path: Path, slurm: FakeSlurm
) -> None:
    path = tmp_path / "grpo.yaml"
    fits_seven = "num_generations: 14\nper_device_train_batch_size: 16\ngradient_accumulation_steps: 4\nbf16: true\n"
    path.write_text(f"{fits_seven}model_name_or_path: m\ndataset_name: d\noutput_dir: o\nreward_funcs: [accuracy]\n")
    words = ["launch", path, "--slurm", "--gpus", 7]
    environment = dict(os.environ)
    assert open_r1(*words).out == "4711\n"
    refused = open_r1(*words, "--args", "--load_in_4bit")
    assert refused.status == 2
    assert "quantized weights can't be trained" in refused.err
    assert sum(word.startswith("sbatch") for word in slurm.words()) == 1
    assert dict(os.environ) == environment


def test_a_million_machines_have_one_line(open_r1: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "sft.yaml"
    path.write_text("model_name_or_path: m\ndataset_name: d\noutput_dir: o\n")
    ran = open_r1("launch", path, "--gpus", 8, "--nodes", 1_000_000, "--dry-run")
    assert ran.out.count("\n") == 1
    assert "--num_processes 8000000 --num_machines 1000000 --machine_rank RANK" in ran.out
    path.rename(tmp_path / "grpo.yaml")
    odd = ["--args", "--num_generations=13", "--nodes", 1_000_000, "--gpus", 8]
    assert "7999992 or 8000005 processes" in open_r1("launch", tmp_path / "grpo.yaml", *odd, "--dry-run").err


def test_gpus_that_are_hidden_from_cuda_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("open_r1.launch.doctor.accelerators.find_gpus", lambda: ([None] * 4, []))
    counts = {
        visible: count_gpus({"CUDA_VISIBLE_DEVICES": visible}) for visible in ("2,3", "", "-1", "0,1,2,3,4,5", "1")
    }
    assert counts == {"2,3": 2, "": 0, "-1": 0, "0,1,2,3,4,5": 4, "1": 1}
    assert count_gpus({}) == 4


def test_more_gpus_than_there_are_start_nothing(open_r1: Callable[..., Any], tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("open_r1.launch.accelerate.count_gpus", lambda: 2)
    path = tmp_path / "sft.yaml"
    path.write_text("model_name_or_path: m\ndataset_name: d\noutput_dir: o\n")
    refused = open_r1("launch", path, "--gpus", 8)
    assert refused.status == 2
    assert "--gpus 8 is more than the 2 GPUs of this machine" in refused.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("distributed_type: DEPSPEED", "yaml:1: distributed_type is 'DEPSPEED'; did you mean 'DEEPSPEED'"),
        ("distributed_type: NO", "accelerate reads distributed_type: NO as a truth value; write it in quotes"),
        ("mixed_precision: bf16", "has no distributed_type, which accelerate needs; it may be NO, MULTI_CPU"),
        ("distributed_type: FSDP\nmixed_precision: bf61", "yaml:2: mixed_precision is 'bf61'; did you mean 'bf16'"),
        ("distributed_type: FSDP\nnum_machine: 2", "yaml:2: accelerate has no setting 'num_machine'; did you mean 'num_ma"),
        ("distributed_type: FSDP\nnum_machines: two", "yaml:2: num_machines must be a whole number, but is 'two'"),
        ("distributed_type: DEEPSPEED\ndeepspeed_config: zero3", "deepspeed_config must be a mapping or null, but is"),
        ("distributed_type: DEEPSPEED\ndeepspeed_config: {zero_stage: 7}", "zero_stage is 7. Known: 0, 1, 2, 3"),
        ("distributed_type: DEEPSPEED\ndeepspeed_config: {zero_stag: 3}", "no setting 'zero_stag'; did you mean 'zero_"),
        ("distributed_type: FSDP\nfsdp_config: {ofload_params: true}", "no setting 'ofload_params'; did you mean 'offl"),
        ("distributed_type: [", "accelerate's file '.*yaml:1' is not YAML"),
        ("", "accelerate's file '.*' is empty"),
    ],
)  # fmt: skip
def test_a_file_that_accelerate_would_not_understand_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "accelerate.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=said):
        find_accelerate_file(str(path))


def test_keys_of_an_accelerate_file_are_those_of_its_own_classes(file: Callable[[str], AccelerateFile]) -> None:
    from accelerate.commands.config.config_args import ClusterConfig
    from accelerate.commands.launch import launch_command_parser
    from accelerate.utils import DistributedType, PrecisionType

    from open_r1.launch.accelerate_file import known_fields, known_options, members

    assert set(known_fields()) == set(ClusterConfig.__dataclass_fields__)
    flags = {word.removeprefix("--") for action in launch_command_parser()._actions for word in action.option_strings}
    assert known_options() <= flags
    assert {"zero_stage", "fsdp_version", "parallelism_config_tp_size"} <= known_options()
    assert members("DistributedType") == tuple(one.value for one in DistributedType)
    assert members("PrecisionType") == tuple(one.value for one in PrecisionType)
    kept = (
        "distributed_type: FSDP\nfsdp_config: {fsdp_version: 2, offload_params: false}\ndynamo_config: {backend: NO}\n"
    )
    check_file(file(kept))


def test_a_file_for_other_machines_and_quantized_weights_that_are_divided_do_not_fit(
    recipe: Callable[..., LaunchRecipe], file: Callable[[str], AccelerateFile]
) -> None:
    with pytest.raises(ValueError, match="says num_machines: 2, but --nodes gives 3 that train"):
        check_agreement(file("distributed_type: FSDP\nnum_machines: 2"), recipe(), Layout(3, 8))
    with pytest.raises(ValueError, match="which quantized ones can't be; use ddp or zero2"):
        check_agreement(file("distributed_type: FSDP"), recipe("load_in_4bit: true"), Layout(1, 8))
