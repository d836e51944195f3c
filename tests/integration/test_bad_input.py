"""Whatever is wrong with the input: one sentence with the remedy, exit status 2, nothing half-written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

SMALL = [
    "--max_steps", "2", "--per_device_train_batch_size", "2", "--gradient_checkpointing", "false",
    "--report_to", "none", "--save_steps", "1",
]  # fmt: skip
GRPO_SMALL = [*SMALL, "--num_generations", "2", "--max_completion_length", "8"]


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    rows = [{"prompt": f"Compute {a}+1", "solution": str(a + 1)} for a in range(20)]
    path = tmp_path / "traces.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def assert_refused(ran: Any, *fragments: str, status: int = 2) -> None:
    message = ran.err.strip().splitlines()[-1]
    assert ran.status == status, ran.err
    assert message.startswith("open-r1: ")
    assert "Traceback" not in ran.err
    for fragment in fragments:
        assert fragment in message, message


def train(open_r1: Callable[..., Any], kind: str, model: Path, data: Path, out: Path, *more: object) -> Any:
    settings = SMALL if kind == "sft" else GRPO_SMALL
    return open_r1(kind, "--model_name_or_path", model, "--dataset_name", data, "--output_dir", out, *settings, *more)


@pytest.mark.parametrize("kind", ["sft", "grpo"])
def test_data_that_cannot_be_used(
    kind: str, open_r1: Callable[..., Any], tiny_model: Path, traces: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert_refused(train(open_r1, kind, tiny_model, tmp_path / "no.jsonl", out), "no.jsonl' does not exist")
    traces.write_text(traces.read_text(encoding="utf-8") + '{"prompt": "torn\n', encoding="utf-8")
    assert_refused(train(open_r1, kind, tiny_model, traces, out), "traces.jsonl:21 is not JSON", "fix or remove")
    traces.write_text("", encoding="utf-8")
    assert_refused(train(open_r1, kind, tiny_model, traces, out), "contains no rows")
    traces.write_text('{"question": "q", "solution": "s"}\n', encoding="utf-8")
    assert_refused(
        train(open_r1, kind, tiny_model, traces, out), "no column 'prompt'", "Found: question, solution",
        "dataset_prompt_column",
    )  # fmt: skip
    assert not (out / "done.json").exists()
    assert not list(out.glob("checkpoint-*"))


def test_a_reward_without_its_column_is_refused_before_the_model_is_loaded(
    open_r1: Callable[..., Any], tmp_path: Path
) -> None:
    data = tmp_path / "p.jsonl"
    data.write_text('{"prompt": "q"}\n')
    ran = train(open_r1, "grpo", Path("Qwen/a-model-that-is-not-there"), data, tmp_path / "out")
    assert_refused(ran, "reward 'accuracy' needs the column 'solution'", "Found: prompt")


@pytest.mark.parametrize("kind", ["sft", "grpo"])
def test_models_that_are_none(kind: str, open_r1: Callable[..., Any], traces: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    ran = train(open_r1, kind, tmp_path / "folder", traces, tmp_path / "out")
    assert_refused(ran, "is not a model folder: it has no config.json")
    ran = train(open_r1, kind, tmp_path / "nowhere", traces, tmp_path / "out2")
    assert_refused(ran, "model folder", "does not exist")


def test_settings_that_cannot_be_used(
    open_r1: Callable[..., Any], tiny_model: Path, traces: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("seed: 1\nlearnin_rate: 1\n")
    ran = train(open_r1, "sft", tiny_model, traces, out, "--config", recipe)
    assert_refused(ran, "recipe.yaml:2", "did you mean 'learning_rate'?")
    recipe.write_text("seed: [1\n")
    assert_refused(train(open_r1, "sft", tiny_model, traces, out, "--config", recipe), "is not YAML")
    ran = train(open_r1, "grpo", tiny_model, traces, out, "--reward_funcs", "acuracy")
    assert_refused(ran, "did you mean 'accuracy'?")
    assert not out.exists() or not (out / "done.json").exists()


def test_folders_that_cannot_hold_the_run(
    open_r1: Callable[..., Any], tiny_model: Path, traces: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    assert_refused(train(open_r1, "sft", tiny_model, traces, tmp_path / "file" / "x"), "can't be written")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").touch()
    assert_refused(train(open_r1, "sft", tiny_model, traces, tmp_path / "full"), "contains no run of Open R1")
    out = tmp_path / "out"
    assert train(open_r1, "sft", tiny_model, traces, out).status == 0
    weights = (out / "model.safetensors").read_bytes()
    ran = train(open_r1, "sft", tiny_model, traces, out, "--learning_rate", "0.5")
    assert_refused(ran, "contains a different run: learning_rate was 2e-05 and is now 0.5", "overwrite_output_dir")
    assert (out / "model.safetensors").read_bytes() == weights
    again = train(open_r1, "sft", tiny_model, traces, out)
    assert again.status == 0
    assert "already done" in again.err
    ran = train(open_r1, "sft", tiny_model, traces, out, "--learning_rate", "0.5", "--overwrite_output_dir", "true")
    assert ran.status == 0
    assert (out / "model.safetensors").read_bytes() != weights


def test_changed_data_under_a_run_is_noticed(
    open_r1: Callable[..., Any], tiny_model: Path, traces: Path, tmp_path: Path
) -> None:
    assert train(open_r1, "sft", tiny_model, traces, tmp_path / "out").status == 0
    traces.write_text(traces.read_text(encoding="utf-8") + '{"prompt": "new", "solution": "row"}\n', encoding="utf-8")
    assert_refused(train(open_r1, "sft", tiny_model, traces, tmp_path / "out"), "traces.jsonl have changed")


PIPELINES = {
    "name: x\noutput_dir: out\nstages: {}\n": "'stages' must be a mapping",
    "output_dir: out\nstages:\n  a: {kind: problem}\n": "did you mean 'problems'",
    "output_dir: out\nstages:\n  a: {kind: training}\n": "unknown kind 'training'",
    "output_dir: out\nstages:\n  a: {kind: traces, problems: b}\n": "needs 'b', which is not a stage of this pipeline",
    "output_dir: out\nstages:\n  a: {kind: problems, familes: {sums: [1, 2]}}\n": "did you mean 'families'",
    "output_dir: out\nstages:\n  a: {kind: problems, families: {sum: [1, 2]}}\n": "did you mean 'sums'",
    "output_dir: out\nstages:\n  a: {kind: problems, families: {sums: [0, 99]}}\n": "within [1, 8]",
    "output_dir: out\nstages:\n  a: {kind: problems, families: {sums: [1, 2]}, sft: 0}\n": "at least 1",
    "stages:\n  a: {kind: report}\n": "output_dir is not set",
    "output_dir: out\nseeds: 3\nstages:\n  a: {kind: report}\n": "unknown setting 'seeds'; did you mean 'seed'",
    "output_dir: out\nseed: -1\nstages:\n  a: {kind: report}\n": "seed must be at least 0 and at most 1073741823, but is -1",
    "output_dir: out\nthreads: 0\nstages:\n  a: {kind: report}\n": "threads must be at least 1, but is 0",
    "output_dir: out\nseed: true\nstages:\n  a: {kind: report}\n": "seed must be a whole number",
    "output_dir: out\nstages:\n  ..: {kind: report}\n": "pipeline.yaml:3: '..' can't be a stage's name",
    "output_dir: out\nstages:\n  a/b: {kind: report}\n": "'a/b' can't be a stage's name",
    "output_dir: out\nstages:\n  a.b: {kind: report}\n": "use letters, digits, '_' and '-'",
    "output_dir: out\nstages:\n  -x: {kind: report}\n": "'-x' can't be a stage's name",
    "output_dir: out\nstages:\n  a: {kind: report}\n  a: {kind: report}\n": "pipeline.yaml:4 sets 'a' a second time",
    "output_dir: out\nstages:\n  a: {kind: [report]}\n": "is of unknown kind",
    "output_dir: out\nstages:\n  a: {kind: report, x: 1}\n": "unknown setting 'x'",
    "output_dir: out\nstages:\n  a: {kind: problems, families: {sums: 3}}\n": "a list of whole numbers, but is",
    "output_dir: out\nstages:\n  a: {kind: problems, families: 3}\n": "families must be a mapping",
    "output_dir: out\nstages:\n  a: {kind: traces, lazy_share: [1]}\n": "lazy_share must be a mapping of numbers to",
    "output_dir: out\nstages:\n  a: {kind: traces, style: [1]}\n": "style must be text, but is [1]",
    "output_dir: out\nstages:\n  a: {kind: sft, overrides: 3}\n": "overrides must be a mapping, but is 3",
}


@pytest.mark.parametrize("text", PIPELINES)
def test_pipelines_that_cannot_run(text: str, open_r1: Callable[..., Any], tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pipeline.yaml").write_text(text)
    assert_refused(open_r1("run", "pipeline.yaml"), PIPELINES[text])
    assert not (tmp_path / "out").exists()


WHOLE = """
output_dir: out
stages:
  problems: {kind: problems, families: {sums: [1, 4]}}
  traces: {kind: traces}
  base: {kind: model, shape: {num_layers: 1}}
  sft: {kind: sft, model: base, recipe: sft.yaml}
  evaluate: {kind: evaluate, model: sft}
  grpo: {kind: grpo, model: sft, recipe: grpo.yaml}
"""
CHANGES = {
    "sft.overrides.a=[1": "'[1' is not YAML",
    "traces.style.x=1": "traces.style is 'terse', which has no settings of its own; write --set traces.style=VALUE",
    "base.shape.depth=3": "stage 'base': shape: unknown setting 'depth'. Known: architecture",
    "base.shape.num_layer=3": "did you mean 'num_layers'?",
    "base.shape.num_layers=few": "shape: num_layers must be a whole number, but is 'few'",
    "base.shape.num_heads=0": "shape: num_heads must be at least 1, but is 0",
    "base.shape.num_heads=7": "stage 'base': num_heads 7 must be a multiple of num_key_value_heads 2",
    "base.shape.hidden_size=94": "stage 'base': hidden_size 94 must be a multiple of num_heads 4",
    "base.shape.architecture=gpt": "shape: architecture must be qwen3 or qwen2, but is 'gpt'",
    "evaluate.temperature=0": "stage 'evaluate': temperature 0 gives the same completion every time",
    "evaluate.temperature=hot": "temperature must be a number or null, but is 'hot'",
    "grpo.overrides.reward_funcs=[acuracy]": "did you mean 'accuracy'?",
    "grpo.overrides.callbacks=[mine]": "one of your own is written module:Class",
    "sft.overrides.seed=[1]": "seed can't be overridden, since the stage sets it",
}


@pytest.mark.parametrize("change", CHANGES)
def test_changes_of_a_pipeline_that_cannot_work_are_refused_before_anything_runs(
    change: str, open_r1: Callable[..., Any], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    text = WHOLE.replace("{kind: traces}", "{kind: traces, style: terse}")
    (tmp_path / "pipeline.yaml").write_text(text)
    (tmp_path / "sft.yaml").write_text("max_steps: 1\n")
    (tmp_path / "grpo.yaml").write_text("max_steps: 1\n")
    assert_refused(open_r1("run", "pipeline.yaml", "--set", change), CHANGES[change])
    assert not [path for path in tmp_path.glob("out/*") if path.name != ".lock"]
    assert_refused(open_r1("run", "pipeline.yaml", "--dry-run", "--set", change), CHANGES[change])


def test_a_training_run_where_a_stage_would_go_is_refused(
    open_r1: Callable[..., Any], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pipeline.yaml").write_text("output_dir: out\nstages:\n  a: {kind: report}\n")
    (tmp_path / "out" / "a").mkdir(parents=True)
    (tmp_path / "out" / "pipeline.json").write_text("{}")
    (tmp_path / "out" / "a" / "identity.json").write_text('{"stage": "sft"}')
    assert_refused(
        open_r1("run", "pipeline.yaml"), "contains a run that no pipeline made", "choose another --output_dir"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--reward_funcs", "acuracy"], "did you mean 'accuracy'?"),
        (["--reward_funcs", "no_such_module:reward"], "no module named 'no_such_module'"),
        (["--callbacks", "mine"], "'mine', which is not a known callback"),
        (["--callbacks", "no_such_module:Mine"], "no module named 'no_such_module'"),
        (["--benchmarks", "math_500", "aime42"], "unknown benchmark 'aime42'"),
        (["--benchmarks", "aime24=none.jsonl"], "the file 'none.jsonl' does not exist"),
        (["--chat_template", "You are helpful."], "is text, not a Jinja template"),
    ],
)
def test_names_that_cannot_be_found_are_told_by_a_dry_run(
    words: list[str], message: str, open_r1: Callable[..., Any], tmp_path: Path
) -> None:
    ran = train(open_r1, "grpo", Path("m"), Path("d"), tmp_path / "out", "--dry-run", *words)
    assert_refused(ran, message)


@pytest.mark.parametrize(
    ("kind", "words", "message"),
    [
        ("sft", ["--eval_strategy", "steps", "--eval_steps", "1"], "there is no split 'test'"),
        ("grpo", ["--eval_strategy", "steps", "--eval_steps", "1", "--max_steps", "1"], "there is no split 'test'"),
        ("sft", ["--eos_token", "<|nowhere|>"], "'<|nowhere|>' is not in the tokenizer's vocabulary"),
        ("grpo", ["--chat_template", "{{ 'always the same' }}"], "the chat template leaves out the user's message"),
        ("grpo", ["--save_strategy", "no", "--steps_per_generation", "50"], "but there are 20; give more problems"),
        ("grpo", ["--reward_funcs", "code"], "needs the column 'verification_info'"),
    ],
)
def test_a_dry_run_makes_every_check_that_needs_no_model(
    kind: str,
    words: list[str],
    message: str,
    open_r1: Callable[..., Any],
    tiny_model: Path,
    traces: Path,
    tmp_path: Path,
) -> None:
    assert_refused(train(open_r1, kind, tiny_model, traces, tmp_path / "out", "--dry-run", *words), message)
    assert not (tmp_path / "out").exists()


def test_a_missing_pipeline_and_an_unknown_verb_are_refused(open_r1: Callable[..., Any]) -> None:
    assert_refused(open_r1("run", "no/such/pipeline.yaml"), "does not exist")
    assert_refused(open_r1("grop"), "unknown verb 'grop'; did you mean 'grpo'?")


def test_an_evaluation_of_what_is_no_model_is_refused(
    open_r1: Callable[..., Any], traces: Path, tmp_path: Path
) -> None:
    assert_refused(open_r1("eval", tmp_path / "none", "--problems", traces), "does not exist")


def test_an_evaluation_that_was_asked_for_wrongly_loads_nothing(
    open_r1: Callable[..., Any], traces: Path, tmp_path: Path
) -> None:
    ask = ("eval", tmp_path / "no-model", "--problems", traces)
    assert_refused(open_r1(*ask, "--max_problems", "0"), "--max_problems must be at least 1, but is 0")
    assert_refused(open_r1(*ask, "--max_problems", "-2"), "--max_problems must be at least 1")
    assert_refused(open_r1(*ask, "--batch_size", "0"), "--batch_size must be at least 1")


def test_an_evaluation_is_written_over_only_when_asked(
    open_r1: Callable[..., Any], tiny_model: Path, traces: Path, tmp_path: Path
) -> None:
    ask = ("eval", tiny_model, "--problems", traces, "--max_problems", "2", "--max_new_tokens", "2",
           "--output_dir", tmp_path / "out")  # fmt: skip
    assert open_r1(*ask).status == 0
    samples = next((tmp_path / "out").glob("*/samples.jsonl"))
    before = samples.read_bytes()
    assert open_r1(*ask).status == 0
    assert_refused(open_r1(*ask, "--seed", "1"), "seed was 0 and is now 1", "--overwrite")
    assert samples.read_bytes() == before
    assert open_r1(*ask, "--seed", "1", "--overwrite").status == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("FULL DISK NOT TESTED: mounting a small file system needs root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_during_a_checkpoint_loses_nothing_and_the_run_goes_on(
    small_disk: Path, tiny_model: Path, traces: Path
) -> None:
    out = small_disk / "out"
    command = [
        sys.executable, "-m", "open_r1.cli.main", "sft", "--model_name_or_path", str(tiny_model), "--dataset_name",
        str(traces), "--output_dir", str(out), *SMALL[2:], "--max_steps", "30",
    ]  # fmt: skip
    failed = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    message = failed.stderr.strip().splitlines()[-1]
    assert failed.returncode == 1 and "Traceback" not in failed.stderr, failed.stderr
    assert "full" in message
    assert "run the same command again" in message
    whole = [path for path in out.glob("checkpoint-*") if (path / "open_r1_complete.json").exists()]
    assert whole, "the checkpoints written before the disk was full are still there"
    subprocess.run(["mount", "-o", "remount,size=200m", str(small_disk)], check=True)
    resumed = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert resumed.returncode == 0, resumed.stderr
    assert f"going on from {max(whole, key=lambda path: int(path.name.split('-')[1])).name}" in resumed.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file_is_refused(
    open_r1: Callable[..., Any], tiny_model: Path, traces: Path, tmp_path: Path
) -> None:
    traces.chmod(0)
    assert_refused(train(open_r1, "sft", tiny_model, traces, tmp_path / "out"), "can't be read")
