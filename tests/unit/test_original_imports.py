"""`open_r1.utils`: the names that users of Open-R1 import, with the arguments that they call them by."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
from open_r1.utils.callbacks import get_callbacks
from open_r1.utils.code_providers import get_provider

from open_r1.errors import ConfigError
from open_r1.utils import adapters
from open_r1.utils.names import NAMES

EVERY = [(f"open_r1.utils.{module}".rstrip("."), name) for module, names in NAMES.items() for name in names]


@pytest.mark.parametrize(("module", "name"), EVERY)
def test_every_name_is_found_where_open_r1_has_it(module: str, name: str) -> None:
    assert getattr(import_module(module), name) is not None
    assert name in import_module(module).__all__


def test_an_unknown_name_is_an_import_error_that_lists_the_known() -> None:
    with pytest.raises(
        AttributeError, match=r"'open_r1.utils.data' has no attribute 'get_datasets'; it has get_dataset"
    ):
        import_module("open_r1.utils.data").get_datasets  # noqa: B018 - the look-up is what is tested


def test_importing_them_loads_neither_torch_nor_trl() -> None:
    modules = ", ".join(dict.fromkeys(module for module, _ in EVERY))
    check = f"import sys, {modules}; sys.exit(bool({{'torch', 'trl', 'transformers', 'datasets'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_a_provider_runs_scripts_that_print_their_score() -> None:
    scripts = ["print('hm')\nprint(0.5)", "print('no number')", "1 / 0", "print(1"]
    provider = get_provider("local", num_parallel=2)
    assert provider.execute_scripts(scripts, ["python"] * 4) == [0.5, 0.0, 0.0, 0.0]


def test_an_option_that_no_provider_has_is_refused() -> None:
    with pytest.raises(
        ConfigError, match="get_provider has no option 'parallel'; it takes provider_type, num_parallel"
    ):
        get_provider("local", parallel=3)


def test_callbacks_are_made_by_open_r1s_call() -> None:
    settings = SimpleNamespace(callbacks=["push_to_hub_revision"], hub_model_id="me/model")
    assert [type(callback).__name__ for callback in get_callbacks(settings, None)] == ["PushRevisionCallback"]
    with pytest.raises(ConfigError, match="'push' .*is not a known callback|names 'push', which is not"):
        get_callbacks(SimpleNamespace(callbacks=["push"], hub_model_id=None), None)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("open-r1/OpenR1-Distill-7B", 7_000_000_000),
        ("Qwen/Qwen2.5-1.5B-Instruct", 1_500_000_000),
        ("mistralai/Mixtral-8x7B-v0.1", 56_000_000_000),
        ("me/SmolLM2-135M", 135_000_000),
        ("me/model", -1),
    ],
)
def test_a_models_size_is_read_from_its_name_where_the_hub_does_not_say_it(
    name: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    def fail(repo_id: str) -> Any:
        raise ConnectionError("no network")

    monkeypatch.setattr(huggingface_hub, "get_safetensors_metadata", fail)
    assert adapters.get_param_count_from_repo_id(name) == count


def test_benchmark_jobs_without_slurm_name_the_command_that_runs_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapters.shutil, "which", lambda name: None)
    settings = SimpleNamespace(benchmarks=["math_500", "gpqa:diamond"], hub_model_id="me/m")
    with pytest.raises(ConfigError, match="run open-r1 eval me/m --benchmarks math_500,gpqa"):
        adapters.run_benchmark_jobs(settings, None)


def test_each_benchmark_is_a_job_on_the_pushed_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    submitted: list[list[str]] = []
    monkeypatch.setattr(adapters.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(adapters.subprocess, "run", lambda words, check: submitted.append(words))
    settings = SimpleNamespace(
        benchmarks=["math_500", "aime24"], hub_model_id="me/m", hub_model_revision="v1", system_prompt=None
    )
    adapters.run_benchmark_jobs(settings, None)
    assert [words[2:] for words in submitted] == [
        ["me/m", name, "dp", "--model_revision", "v1"] for name in ("math_500", "aime24")
    ]
