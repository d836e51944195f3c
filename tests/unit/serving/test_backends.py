"""The commands that start a model's server, and what is refused before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from open_r1.errors import ConfigError, ModelError
from open_r1.serving import backends
from open_r1.serving.backends import ServeOptions, backend_command, check_model, choose_backend


def test_the_guides_flags_reach_vllm() -> None:
    options = ServeOptions(
        "your-model-path",
        tensor_parallel_size=4,
        gpu_memory_utilization=0.8,
        max_model_len=32768,
        extra=("--seed", "1"),
    )
    words = backend_command("vllm", options, 8001)
    given = " ".join(words)
    assert "--tensor-parallel-size 4 --gpu-memory-utilization 0.8 --max-model-len 32768 --seed 1" in given
    assert "--served-model-name your-model-path" in given and "--host 127.0.0.1 --port 8001" in given


@pytest.mark.parametrize("backend", ["vllm", "transformers"])
def test_whole_numbers_reach_the_server_as_such(backend: Any) -> None:
    words = backend_command(backend, ServeOptions("m", max_model_len=1_048_576, gpu_memory_utilization=0.85), 1)
    assert "1048576" in words and "0.85" in words


def test_vllm_is_started_by_its_own_command_where_it_has_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "vllm").write_text("")
    monkeypatch.setattr(backends.sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(backends, "is_installed", lambda name: True)
    assert backend_command("vllm", ServeOptions("m"), 1)[:3] == [str(tmp_path / "vllm"), "serve", "m"]
    monkeypatch.setattr(backends, "is_installed", lambda name: False)
    assert "vllm.entrypoints.openai.api_server" in backend_command("vllm", ServeOptions("m"), 1)


def test_vllm_is_taken_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "has_vllm", lambda: True)
    assert choose_backend(ServeOptions("m")) == "vllm"
    monkeypatch.setattr(backends, "has_vllm", lambda: False)
    assert choose_backend(ServeOptions("m")) == "transformers"
    with pytest.raises(ConfigError, match="vLLM is not installed"):
        choose_backend(ServeOptions("m", backend="vllm"))


BAD_OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({"port": 70_000}, "between 0 and 65535"),
    ({"max_model_len": 0}, "at least 1"),
    ({"gpu_memory_utilization": 1.2}, "at most 1"),
    ({"gpu_memory_utilization": float("nan")}, "at most 1"),
    ({"tensor_parallel_size": 0}, "at least 1"),
]


@pytest.mark.parametrize(("fields", "said"), BAD_OPTIONS)
def test_settings_out_of_range_are_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        ServeOptions("m", **fields)


def test_what_needs_vllm_is_refused_without_it() -> None:
    for options in (
        ServeOptions("m", backend="transformers", tensor_parallel_size=4),
        ServeOptions("m", backend="transformers", extra=("--x",)),
    ):
        with pytest.raises(ConfigError, match="vLLM"):
            choose_backend(options)


def test_an_adapter_is_not_served_without_its_base(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "/gone/base"}')
    with pytest.raises(ModelError, match="the base model '/gone/base' of the adapter in .* does not exist"):
        check_model(str(tmp_path))


def test_an_adapter_is_served_merged_under_its_own_name(
    open_r1: Any, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from open_r1.serving import server

    base = AutoModelForCausalLM.from_pretrained(tiny_model)
    get_peft_model(base, LoraConfig(target_modules=["q_proj"], r=2)).save_pretrained(tmp_path / "lora")
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(tmp_path / "lora")
    served: list[Any] = []

    def serve(options: ServeOptions, *_: Any) -> None:
        served.append((options.known_names, (Path(options.model) / "config.json").is_file()))

    monkeypatch.setattr(server, "serve", serve)
    ran = open_r1("serve", tmp_path / "lora", "--backend", "transformers")
    assert ran.status == 0, ran.err
    assert served == [((str(tmp_path / "lora"),), True)]


def test_vllm_applies_no_penalty_of_the_generation_config() -> None:
    words = backend_command("vllm", ServeOptions("m", extra=("--override-generation-config", "{}")), 1)
    at = words.index("--override-generation-config")
    assert words[at + 1] == '{"repetition_penalty": 1.0}' and words[-1] == "{}"  # what the user says comes last
