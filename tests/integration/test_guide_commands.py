"""Every command line of the guide: run with a tiny model and tiny data in place of the guide's, run dry, or why it can't.

`guide_commands.GUIDE` has the lines as the guide has them. A test says by `line` which of them it is for; what a line needs
and this machine lacks is a skip with its reason. `docs/guides/from-the-guide.md` says what each of them does.
"""

from __future__ import annotations

import json
import runpy
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from fake_server import FakeSettings, running_fake
from guide_commands import GUIDE, REPO, Typed, make_checkout, type_line

from open_r1.errors import ConfigError
from open_r1.rundir import read_json
from open_r1.training.parse import parse_stage

TESTED: set[str] = set()
"""Names of lines that a test here stands for."""

TINY = "--max_steps 1 --per_device_train_batch_size 2 --gradient_accumulation_steps 1 --gradient_checkpointing false"
TINY_SFT = f"{TINY} --report_to none --push_to_hub false --dataset_num_proc 1".split()
TINY_GRPO = f"{TINY} --report_to none --use_vllm false --num_generations 2 --max_completion_length 8".split()


def line(*names: str) -> Callable[[Any], Any]:
    """Marks a test as the one of these lines."""
    TESTED.update(names)
    return lambda test: test


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which a line is typed, and the current one."""
    folder = make_checkout(tmp_path / "checkout")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    answer = "<think>\n7+5=12\n</think>\n12"
    row = {"messages": [{"role": "user", "content": "7+5?"}, {"role": "assistant", "content": answer}]}
    path = tmp_path / "traces.jsonl"
    path.write_text(f"{json.dumps(row)}\n" * 4)
    return path


@pytest.fixture
def problems(tmp_path: Path) -> Path:
    tests = {"language": "python", "test_cases": [{"input": "", "output": "7", "type": "stdin_stdout"}]}
    row = {
        "problem": "7+5?",
        "solution": "12",
        "problem_statement": "Print 7.",
        "verification_info": json.dumps(tests),
    }
    path = tmp_path / "problems.jsonl"
    path.write_text(f"{json.dumps(row)}\n" * 4)
    return path


def run_script(typed: Typed, monkeypatch: pytest.MonkeyPatch, *more: object) -> int:
    """Run the script of an `accelerate launch` as one of its processes would; the exit status."""
    monkeypatch.setattr(sys, "argv", [typed.script, *typed.settings, *map(str, more)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(REPO / typed.script), run_name="__main__")
    return int(ended.value.code or 0)


def launch_arguments(typed: Typed) -> Any:
    """What accelerate itself makes of a line; its file is read too."""
    from accelerate.commands.config.config_args import load_config_from_file
    from accelerate.commands.launch import launch_command_parser

    assert typed.words[0] == "launch"
    arguments = launch_command_parser().parse_args(typed.words[1:])
    arguments.config = load_config_from_file(arguments.config_file)
    return arguments


# --- the machine and the installation -------------------------------------------------------------------------------


@line("nvcc", "nvidia_smi", "git_lfs")
@pytest.mark.parametrize("name", ["nvcc", "nvidia_smi", "git_lfs"])
def test_a_program_of_the_system_answers_where_it_is(name: str) -> None:
    program = GUIDE[name].split()[0]
    if shutil.which(program) is None:
        pytest.skip(
            f"NOT RUN: {GUIDE[name]}: no {program} here; nothing of Open R1 needs it, and `open-r1 doctor` says so"
        )
    ran = subprocess.run(["bash", "-c", GUIDE[name]], capture_output=True, text=True, timeout=60, check=False)
    if ran.returncode:
        pytest.skip(f"NOT RUN: {GUIDE[name]}: {program} is here but fails: {(ran.stdout + ran.stderr).strip()[:200]}")
    assert ran.stdout.strip()


@line("venv", "activate", "install_vllm", "install_flash_attn", "install_dev", "install_code")
def test_what_the_guide_installs_is_an_extra_here() -> None:
    project = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    assert {"dev", "code", "vllm"} <= set(extras)
    assert any(one.startswith("vllm") for one in extras["vllm"])
    assert any(one.startswith("e2b") for one in extras["code"])
    assert sys.version_info >= (3, 11)  # the venv's Python
    page = (REPO / "docs" / "guides" / "installing.md").read_text(encoding="utf-8")
    for name in ("install_vllm", "install_flash_attn", "install_dev", "install_code"):
        assert GUIDE[name] in page, f"installing.md doesn't translate {GUIDE[name]}"
    print("NOT RUN: tests install nothing, and torch's attention is used where flash-attn is missing")


@line("login_hub", "login_wandb")
def test_the_logins_have_their_programs_or_a_sentence() -> None:
    from huggingface_hub.cli.hf import main

    assert callable(main)  # `hf auth login`, which huggingface-cli has become
    page = (REPO / "docs" / "guides" / "from-the-guide.md").read_text(encoding="utf-8")
    assert "hf auth login" in page
    print("NOT RUN: a login asks for an account; without one nothing is pushed, and metrics.jsonl has every figure")


@line("torch")
def test_torch_is_asked_for_a_gpu(checkout: Path) -> None:
    ran = subprocess.run(
        ["bash", "-c", GUIDE["torch"].replace("python", sys.executable)], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() in ("True", "False")


# --- supervised fine-tuning -----------------------------------------------------------------------------------------


@line("sft_small")
def test_sft_with_every_setting_on_the_command_line(
    checkout: Path, tiny_model: Path, traces: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = type_line(GUIDE["sft_small"], checkout, "accelerate")
    assert launch_arguments(typed).config.deepspeed_config["zero_stage"] == 3
    tiny = ["--model_name_or_path", tiny_model, "--dataset_name", traces, "--dataset_config", "null"]
    assert run_script(typed, monkeypatch, *tiny, *TINY_SFT, "--max_seq_length", 200) == 0
    said = capsys.readouterr().err
    assert "'max_seq_length' is now 'max_length'" in said
    out = checkout / "data" / "OpenR1-Distill-1.5B"
    assert read_json(out / "done.json")["steps"] == 1
    used = yaml.safe_load((out / "resolved.yaml").read_text(encoding="utf-8"))
    assert (used["learning_rate"], used["num_train_epochs"], used["eos_token"]) == (4e-5, 3, "<|im_end|>")


@line("sft_7b")
def test_sft_by_the_recipe(
    checkout: Path, tiny_model: Path, traces: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = type_line(GUIDE["sft_7b"], checkout, "accelerate")
    assert launch_arguments(typed).config.num_processes == 8
    tiny = ["--model_name_or_path", tiny_model, "--dataset_name", traces, "--dataset_config", "null"]
    assert run_script(typed, monkeypatch, *tiny, *TINY_SFT, "--max_length", 900, "--save_strategy", "no") == 0
    assert "You are Open-R1" in capsys.readouterr().err  # the sample that it shows has the guide's system prompt
    assert read_json(checkout / "data" / "OpenR1-Distill-7B" / "done.json")["steps"] == 1


@line("sft_own_data")
def test_sft_on_ones_own_data_with_ones_own_template(
    checkout: Path, tiny_model: Path, traces: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    template = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n'{{ m.content }}'<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    (checkout / "your_chat_template.jinja").write_text(f"{template}\n")
    typed = type_line(GUIDE["sft_own_data"], checkout, "accelerate")
    assert typed.settings[typed.settings.index("--chat_template") + 1] == template
    tiny = ["--model_name_or_path", tiny_model, "--dataset_name", traces, "--dataset_config", "null"]
    assert run_script(typed, monkeypatch, *tiny, *TINY_SFT) == 2
    assert "eos_token '<|your_eos|>' is not in the tokenizer's vocabulary" in capsys.readouterr().err
    assert run_script(typed, monkeypatch, *tiny, *TINY_SFT, "--eos_token", "<|im_end|>") == 0
    out = checkout / "data" / "your-custom-model"
    assert read_json(out / "done.json")["steps"] == 1
    assert (out / "chat_template.jinja").read_text(encoding="utf-8") == template


@pytest.mark.slow
@line("sft_7b")
def test_the_first_line_under_accelerate_itself(checkout: Path, tiny_model: Path, traces: Path) -> None:
    words = GUIDE["sft_7b"].replace("accelerate launch", f"{Path(sys.executable).parent}/accelerate launch --cpu", 1)
    tiny = ["--model_name_or_path", tiny_model, "--dataset_name", traces, "--dataset_config", "null", *TINY_SFT]
    command = " ".join([words, *map(str, tiny), "--max_length", "900", "--save_strategy", "no"])
    ran = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert read_json(checkout / "data" / "OpenR1-Distill-7B" / "done.json")["steps"] == 1


# --- GRPO -----------------------------------------------------------------------------------------------------------


@line("vllm_serve_rollouts")
def test_trl_takes_the_line_that_serves_rollouts(checkout: Path) -> None:
    typed = type_line(GUIDE["vllm_serve_rollouts"], checkout, "trl")
    assert (typed.gpus, typed.words[0]) == ("0", "vllm-serve")
    from trl.scripts.vllm_serve import make_parser

    assert make_parser().parse_args(typed.words[1:]).model == "Qwen/Qwen2.5-1.5B-Instruct"
    print("NOT RUN: trl vllm-serve needs a GPU; `make test-vllm` trains with a vLLM server on the CPU")


@line("grpo")
def test_grpo_by_the_recipe(checkout: Path, tiny_model: Path, problems: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    typed = type_line(GUIDE["grpo"], checkout, "accelerate")
    assert typed.gpus == "1,2,3,4,5,6,7"
    launched = launch_arguments(typed)
    assert (launched.num_processes, launched.config.deepspeed_config["zero_stage"]) == (7, 2)
    tiny = ["--model_name_or_path", tiny_model, "--dataset_name", problems, "--preflight_prompts", 0]
    assert run_script(typed, monkeypatch, *tiny, *TINY_GRPO, "--save_strategy", "no") == 0
    out = checkout / "data" / "Qwen2.5-1.5B-Open-R1-GRPO"
    assert read_json(out / "done.json")["steps"] == 1
    assert len(list((out / "rollouts").glob("*.parquet"))) == 1


@line("grpo_nodes")
def test_the_line_for_slurm_is_a_job_that_trains_on_one_node_and_serves_rollouts_on_the_other(
    checkout: Path, open_r1: Callable[..., Any]
) -> None:
    typed = type_line(GUIDE["grpo_nodes"], checkout, "sbatch")
    assert typed.words[:2] == ["--nodes=2", "slurm/train.slurm"]
    asked = open_r1("launch", *typed.words[2:], "--nodes", 2, "--gpus", 8, "--slurm", "--dry-run")
    assert asked.status == 0, asked.err
    words = asked.out.split()
    assert words[:2] == ["sbatch", "--nodes=2"]
    script = next(number for number, word in enumerate(words) if word.endswith("slurm/train.slurm"))
    assert words[script + 1 :] == typed.words[2:]
    assert "--num_processes 8" in asked.err and "grpo/config_demo.yaml" in asked.err
    print("NOT RUN: a cluster; tests/integration/test_slurm_training.py trains by this script on a Slurm of its own")


# --- programs -------------------------------------------------------------------------------------------------------


@line("key_e2b", "key_morph")
def test_the_keys_of_the_env_file_reach_their_providers(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from open_r1.execution.environment import read_environment

    for name in ("E2B_API_KEY", "MORPH_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    subprocess.run(["bash", "-ec", f"{GUIDE['key_e2b']}\n{GUIDE['key_morph']}"], cwd=checkout, check=True)
    pytest.importorskip("dotenv", reason="NOT RUN: python-dotenv is missing, as pip install -e '.[code]' has it")
    found = read_environment()
    assert (found["E2B_API_KEY"], found["MORPH_API_KEY"]) == ("your_e2b_key", "your_morph_key")


@line("code_e2b", "code_morph")
@pytest.mark.parametrize("provider", ["e2b", "morph"])
def test_training_on_programs_asks_for_the_providers_key_before_a_model_is_loaded(
    provider: str, checkout: Path, tiny_model: Path, problems: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.delenv(f"{provider.upper()}_API_KEY", raising=False)
    typed = type_line(GUIDE[f"code_{provider}"], checkout, "accelerate")
    assert launch_arguments(typed).config.deepspeed_config["zero_stage"] == 2
    tiny = ["--model_name_or_path", tiny_model, "--dataset_name", problems, *TINY_GRPO]
    assert run_script(typed, monkeypatch, *tiny) == 2
    said = capsys.readouterr().err
    assert f"{provider.upper()}_API_KEY is not set" in said or f"provider {provider} (without" in said
    assert not (checkout / "data").exists()
    print("NOT RUN with its account: the programs would be someone's bill; with the sandbox of this machine it trains")


@line("code_e2b")
def test_training_on_programs_with_the_sandbox_of_this_machine(
    checkout: Path, tiny_model: Path, problems: Path, local: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = type_line(GUIDE["code_e2b"], checkout, "accelerate")
    tiny = ["--model_name_or_path", tiny_model, "--dataset_name", problems, "--preflight_prompts", 0]
    tiny += ["--code_provider", "local", "--max_prompt_length", 600, "--save_strategy", "no"]
    assert run_script(typed, monkeypatch, *tiny, *TINY_GRPO) == 0
    assert read_json(checkout / "data" / "Qwen2.5-1.5B-Open-R1-Code-GRPO" / "done.json")["steps"] == 1


# --- several GPUs ---------------------------------------------------------------------------------------------------


@line("data_parallel", "tensor_parallel")
def test_the_line_for_data_parallel_training_lacks_a_script_and_is_whole_with_one(checkout: Path) -> None:
    typed = type_line(GUIDE["data_parallel"], checkout, "accelerate")
    assert typed.gpus == "0,1,2,3,4,5,6,7"
    with pytest.raises(SystemExit):  # accelerate: the following arguments are required: training_script
        launch_arguments(typed)
    whole = Typed([*typed.words, "src/open_r1/sft.py"], typed.gpus)
    config = launch_arguments(whole).config
    assert (config.distributed_type, config.num_processes) == ("MULTI_GPU", 8)
    print("NOT RUN: it needs eight GPUs")


# --- evaluation -----------------------------------------------------------------------------------------------------


@line("lighteval_aime24", "lighteval_math_500", "lighteval_gpqa", "lighteval_lcb")
@pytest.mark.parametrize("name", ["aime24", "math_500", "gpqa", "lcb"])
def test_the_lighteval_lines_are_printed_with_the_sampling_of_the_published_results(
    name: str, checkout: Path, open_r1: Callable[..., Any]
) -> None:
    first = "" if name == "aime24" else "MODEL=your-model-path\n"
    guide = type_line(first + GUIDE[f"lighteval_{name}"], checkout, "lighteval").words
    ran = open_r1("eval", "your-model-path", "--benchmarks", name, "--lighteval", "print")
    assert ran.status == 0, ran.err
    printed = type_line(ran.out, checkout, "lighteval").words
    assert printed[:1] + printed[2:] == guide[:1] + guide[2:]
    assert printed[1].startswith(f"{guide[1]},") and "max_new_tokens:32768" in printed[1]
    if shutil.which("lighteval") is None:
        print("NOT RUN: lighteval's requirements exclude ours; it needs an environment of its own")


@line("evaluate_data_parallel", "evaluate_tensor_parallel")
@pytest.mark.parametrize("parallel", ["data", "tensor"])
def test_the_guides_model_arguments_are_those_of_the_printed_line(
    parallel: str, checkout: Path, open_r1: Callable[..., Any]
) -> None:
    setting = "MODEL=m\nNUM_GPUS=8\n" + GUIDE[f"evaluate_{parallel}_parallel"] + '\nshow "$MODEL_ARGS"'
    (guide,) = type_line(setting, checkout, "show").words
    ran = open_r1(*"eval m --benchmarks aime24 --lighteval print --num_gpus 8 --parallel".split(), parallel)
    assert f" {guide}," in ran.out.replace("'", " "), ran.out


@line("run_benchmarks")
def test_run_benchmarks_scores_all_four(checkout: Path, tmp_path: Path, local: Any) -> None:
    columns = ["Question", "Correct Answer", *(f"Incorrect Answer {number}" for number in (1, 2, 3))]
    tests = json.dumps([{"input": "1\n", "output": "1", "testtype": "stdin"}])
    rows = {
        "aime24": {"problem": "1+1?", "answer": "2"},
        "math_500": {"problem": "1+1?", "answer": "2", "subject": "Algebra", "level": 1},
        "gpqa": dict(zip(columns, ["1+1?", "2", "3", "4", "5"], strict=True)),
        "lcb": {"question_id": "q", "question_content": "Print it.", "public_test_cases": tests,
                "private_test_cases": "", "metadata": "{}"},
    }  # fmt: skip
    typed = type_line(GUIDE["run_benchmarks"], checkout, "python")
    with running_fake(FakeSettings(model="your-model-id")) as fake:
        more: list[str] = ["--server", fake.url, "--n", "1", "--output_dir", str(tmp_path / "out")]
        for name, row in rows.items():
            (tmp_path / f"{name}.jsonl").write_text(json.dumps(row) + "\n")
            more += ["--data", f"{name}={tmp_path / name}.jsonl"]
        command = [sys.executable, *typed.words, *more]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert set(read_json(tmp_path / "out" / "results.json")["benchmarks"]) == set(rows)


# --- the model in use -----------------------------------------------------------------------------------------------


@line("vllm_serve")
def test_the_line_of_vllm_serve_is_one_of_open_r1_serve(
    checkout: Path, tiny_model: Path, open_r1: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = type_line(GUIDE["vllm_serve"], checkout, "vllm")
    assert typed.words[:2] == ["serve", "your-model-path"]
    shutil.copytree(tiny_model, checkout / "your-model-path")
    monkeypatch.setattr("open_r1.serving.backends.has_vllm", lambda: True)
    ran = open_r1(*typed.words, "--dry-run")
    assert ran.status == 0, ran.err
    words = ran.out.split()
    assert words[words.index("--tensor-parallel-size") + 1] == "4"
    assert words[words.index("--gpu-memory-utilization") + 1] == "0.8"
    print("NOT RUN: it needs four GPUs; `make test-vllm` serves by vLLM on the CPU")


@line("client")
def test_the_guides_client_gets_an_answer(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("openai", reason="NOT RUN: no openai; pip install -e '.[eval]'")
    with running_fake(FakeSettings(model="your-model-path", says="x = 4", splits_thinking=True)) as fake:
        exec(GUIDE["client"].replace("http://localhost:8000/v1", fake.url), {})
    assert capsys.readouterr().out.strip() == "x = 4"


@line("push")
def test_the_guides_push_publishes_a_trained_model_with_its_tags(
    checkout: Path, tiny_model: Path, traces: Path, open_r1: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from open_r1.rundir import RunDir
    from open_r1.training.sft import TraceTrainer

    pushed: list[dict[str, Any]] = []

    class Hub:
        def create_repo(self, *words: Any, **options: Any) -> None: ...

        def upload_folder(self, **options: Any) -> None:
            pushed.append(options)

    monkeypatch.setattr("open_r1.hub.push.default_api", lambda *_: Hub())
    words = ["--model_name_or_path", tiny_model, "--dataset_name", traces, "--output_dir", "data/mine"]
    assert open_r1("sft", *words, *TINY_SFT).status == 0
    trainer: Any = object.__new__(TraceTrainer)
    trainer.run, trainer.report = RunDir(checkout / "data" / "mine"), print
    exec(GUIDE["push"], {"trainer": trainer})
    assert pushed[0]["repo_id"] == "your-username/your-model-name"
    card = (checkout / "data" / "mine" / "README.md").read_text(encoding="utf-8")
    assert yaml.safe_load(card.split("---\n")[1])["tags"][:2] == ["open-r1", "reasoning"]
    assert "\n# your-model-name\n\nR1-style reasoning model\n" in card


# --- the guide's files ----------------------------------------------------------------------------------------------


def test_every_line_of_the_guide_has_a_test_here_and_a_row_in_the_docs() -> None:
    assert set(GUIDE) == TESTED
    page = (REPO / "docs" / "guides" / "from-the-guide.md").read_text(encoding="utf-8")
    shown = " ".join(page.replace("\\\n", " ").split())
    for name, text in GUIDE.items():
        for part in text.replace("\\\n", " ").split("\n") if name not in ("client", "push") else ():
            assert " ".join(part.split()) in shown, f"from-the-guide.md lacks {name}: {part}"


GUIDE_GRPO = {
    "model_name_or_path": "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", "model_revision": "main", "torch_dtype": "bfloat16",
    "attn_implementation": "flash_attention_2", "dataset_name": "open-r1/OpenR1-Math-220k",
    "dataset_prompt_column": "problem", "reward_funcs": ["format", "accuracy", "reasoning_steps"],
    "vllm_mode": "colocate", "vllm_device_map": "auto", "cosine_min_value_wrong": -1.0, "cosine_max_value_wrong": -0.5,
    "cosine_min_value_correct": 0.5, "cosine_max_value_correct": 1.0, "cosine_max_len": 1000, "repetition_n_grams": 4,
    "repetition_max_penalty": -0.5, "learning_rate": 5.0e-07, "num_train_epochs": 1, "per_device_train_batch_size": 1,
    "gradient_accumulation_steps": 32, "logging_steps": 1, "save_strategy": "steps", "save_steps": 100,
    "warmup_ratio": 0.1, "bf16": True, "remove_unused_columns": False, "gradient_checkpointing": True,
}  # fmt: skip


def test_the_guides_grpo_file_is_a_recipe_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "config_demo.yaml"
    path.write_text(yaml.safe_dump(GUIDE_GRPO))
    parsed = parse_stage("grpo", ["--config", str(path), "--output_dir", str(tmp_path / "out")])
    assert parsed.training.warmup_steps == 0.1
    said = "\n".join(parsed.notices)
    assert "'vllm_device_map' is not used any more" in said and "'torch_dtype' is now 'dtype'" in said


def test_the_guides_sft_file_says_that_its_system_prompt_is_no_template(tmp_path: Path) -> None:
    path = tmp_path / "config_distill.yaml"
    prompt = "You are Open-R1, a language model trained by Hugging Face to help users."
    path.write_text(yaml.safe_dump({"model_name_or_path": "m", "dataset_name": "d", "chat_template": prompt}))
    with pytest.raises(ConfigError, match="a system prompt belongs in system_prompt"):
        parse_stage("sft", ["--config", str(path), "--output_dir", str(tmp_path / "out")])


def test_the_guides_mixture_is_a_setting_as_it_is(tmp_path: Path) -> None:
    sets = [
        {"id": name, "config": config, "split": "train", "columns": ["problem", "solution"], "weight": weight}
        for name, config, weight in (
            ("open-r1/Mixture-of-Thoughts", "math", 0.4),
            ("open-r1/OpenR1-Math-220k", "default", 0.3),
            ("open-r1/codeforces-cots", "default", 0.3),
        )
    ]
    path = tmp_path / "mixture.yaml"
    mixture = {"datasets": sets, "seed": 42, "test_split_size": 0.1}
    path.write_text(yaml.safe_dump({"model_name_or_path": "m", "dataset_mixture": mixture}))
    parsed = parse_stage("sft", ["--config", str(path), "--output_dir", str(tmp_path / "out")])
    assert [one.weight for one in parsed.script.mixture.datasets] == [0.4, 0.3, 0.3]
