"""The sizes of a decoder, which decide what it costs: from a folder's config.json, a table of published ones, or the Hub.

Counts parameters of Qwen2, Qwen3 and Llama layers (SmolLM2 has Llama's); tests compare them with the published counts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from open_r1.errors import ModelError, nearest
from open_r1.hub.folders import is_adapter, looks_local

KNOWN_TYPES = ("llama", "mistral", "qwen2", "qwen3", "smollm3")


@dataclass(frozen=True)
class Architecture:
    """A decoder with grouped-query attention (arXiv:2305.13245) and a gated MLP (arXiv:2002.05202)."""

    hidden_size: int
    num_layers: int
    num_heads: int
    num_key_value_heads: int
    head_dim: int
    intermediate_size: int
    vocab_size: int
    is_tied: bool
    """Whether one matrix is input and output embedding."""
    has_qkv_bias: bool = False
    has_qk_norm: bool = False

    @property
    def query_size(self) -> int:
        """Width of the queries of all heads."""
        return self.num_heads * self.head_dim

    @property
    def key_size(self) -> int:
        """Width of the keys, and of the values, of all heads."""
        return self.num_key_value_heads * self.head_dim

    @property
    def linears(self) -> dict[str, tuple[int, int]]:
        """A layer's linear modules: inputs and outputs."""
        h, f = self.hidden_size, self.intermediate_size
        attention = {"q_proj": (h, self.query_size), "k_proj": (h, self.key_size), "v_proj": (h, self.key_size)}
        return attention | {
            "o_proj": (self.query_size, h),
            "gate_proj": (h, f),
            "up_proj": (h, f),
            "down_proj": (f, h),
        }

    @property
    def layer_matrices(self) -> int:
        """Parameters of a layer's linear modules, biases aside."""
        return sum(inputs * outputs for inputs, outputs in self.linears.values())

    @property
    def layer_parameters(self) -> int:
        """Parameters of one layer."""
        biases = (self.query_size + 2 * self.key_size) if self.has_qkv_bias else 0
        norms = 2 * self.hidden_size + (2 * self.head_dim if self.has_qk_norm else 0)
        return self.layer_matrices + biases + norms

    @property
    def embedding_parameters(self) -> int:
        """Parameters of one embedding matrix; there are two unless they are tied."""
        return self.vocab_size * self.hidden_size

    @property
    def parameters(self) -> int:
        """All parameters."""
        embeddings = self.embedding_parameters * (1 if self.is_tied else 2)
        return embeddings + self.num_layers * self.layer_parameters + self.hidden_size

    @property
    def computed_parameters(self) -> int:
        """Parameters that every token is multiplied by: all but the input embedding, which is looked up."""
        return self.num_layers * self.layer_matrices + self.embedding_parameters


def qwen2(h: int, layers: int, heads: int, kv: int, f: int, vocab: int = 152064, tied: bool = False) -> Architecture:
    """Qwen2 and Qwen2.5: biases in queries, keys and values."""
    return Architecture(h, layers, heads, kv, h // heads, f, vocab, tied, has_qkv_bias=True)


def qwen3(h: int, layers: int, heads: int, kv: int, f: int, tied: bool = False) -> Architecture:
    """Qwen3: heads of 128, normalised queries and keys."""
    return Architecture(h, layers, heads, kv, 128, f, 151936, tied, has_qk_norm=True)


def llama(h: int, layers: int, heads: int, kv: int, f: int, vocab: int, tied: bool = False) -> Architecture:
    """Llama 3 and SmolLM2."""
    return Architecture(h, layers, heads, kv, h // heads, f, vocab, tied)


PUBLISHED = {
    "Qwen2.5-0.5B": qwen2(896, 24, 14, 2, 4864, 151936, tied=True),
    "Qwen2.5-1.5B": qwen2(1536, 28, 12, 2, 8960, 151936, tied=True),
    "Qwen2.5-3B": qwen2(2048, 36, 16, 2, 11008, 151936, tied=True),
    "Qwen2.5-7B": qwen2(3584, 28, 28, 4, 18944),
    "Qwen2.5-14B": qwen2(5120, 48, 40, 8, 13824),
    "Qwen2.5-32B": qwen2(5120, 64, 40, 8, 27648),
    "Qwen2.5-72B": qwen2(8192, 80, 64, 8, 29568),
    "DeepSeek-R1-Distill-Qwen-1.5B": qwen2(1536, 28, 12, 2, 8960, 151936),
    "DeepSeek-R1-Distill-Qwen-7B": qwen2(3584, 28, 28, 4, 18944),
    "DeepSeek-R1-Distill-Qwen-14B": qwen2(5120, 48, 40, 8, 13824),
    "DeepSeek-R1-Distill-Qwen-32B": qwen2(5120, 64, 40, 8, 27648),
    "DeepSeek-R1-Distill-Llama-8B": llama(4096, 32, 32, 8, 14336, 128256),
    "DeepSeek-R1-Distill-Llama-70B": llama(8192, 80, 64, 8, 28672, 128256),
    "OpenR1-Distill-7B": qwen2(3584, 28, 28, 4, 18944),
    "OlympicCoder-7B": qwen2(3584, 28, 28, 4, 18944),
    "OlympicCoder-32B": qwen2(5120, 64, 40, 8, 27648),
    "Qwen3-0.6B": qwen3(1024, 28, 16, 8, 3072, tied=True),
    "Qwen3-1.7B": qwen3(2048, 28, 16, 8, 6144, tied=True),
    "Qwen3-4B": qwen3(2560, 36, 32, 8, 9728, tied=True),
    "Qwen3-8B": qwen3(4096, 36, 32, 8, 12288),
    "Qwen3-14B": qwen3(5120, 40, 40, 8, 17408),
    "Qwen3-32B": qwen3(5120, 64, 64, 8, 25600),
    "SmolLM2-135M": llama(576, 30, 9, 3, 1536, 49152, tied=True),
    "SmolLM2-360M": llama(960, 32, 15, 5, 2560, 49152, tied=True),
    "SmolLM2-1.7B": llama(2048, 24, 32, 32, 8192, 49152, tied=True),
}
"""From the config.json of each model on the Hub, by its name there without owner and variant."""

VARIANT = re.compile(r"-(Math|Coder|Instruct|Base|RoPE-300k)(?=-|$)", re.IGNORECASE)


def find_published(name: str) -> Architecture | None:
    """The published architecture of a Hub id: "open-r1/Qwen2.5-Math-7B-RoPE-300k" is a Qwen2.5-7B."""
    base = VARIANT.sub("", name.rpartition("/")[2]).lower()
    return next((found for known, found in PUBLISHED.items() if known.lower() == base), None)


def read_architecture(name: str, revision: str | None = None) -> Architecture:
    """The architecture of a model: a local folder (or a config.json), a published model, or one of the Hub's.

    ModelError, which says what to give, where none of them is found or the config is of another kind of model.
    """
    path = Path(name).expanduser()
    found = find_published(name)
    if looks_local(name) and (path.exists() or found is None):
        return read_config(folder_config(path, name), name)
    if found is not None:
        return found
    return read_config(hub_config(name, revision), name)


def folder_config(path: Path, name: str) -> Path:
    """The config.json of a folder, or of the base of the adapter in it."""
    if is_adapter(name):
        base = json.loads((path / "adapter_config.json").read_text(encoding="utf-8"))["base_model_name_or_path"]
        return folder_config(Path(base), base)
    file = path if path.suffix == ".json" else path / "config.json"
    if not file.is_file():
        raise ModelError(
            f"'{file}' does not exist, so the size of model '{name}' is not known; give a folder with it."
        )
    return file


def hub_config(name: str, revision: str | None) -> Path:
    """The Hub's config.json of a model, from the cache where it is there."""
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(name, "config.json", revision=revision, etag_timeout=5))
    except Exception as error:  # noqa: BLE001 - the Hub's client and its transport fail in their own ways
        raise ModelError(
            f"the size of model '{name}' is not known: it is not among the published ones{nearest(name, PUBLISHED)} "
            f"and its config.json is not available from the Hub ({type(error).__name__}); give a folder with config.json "
            "by --set model_name_or_path=FOLDER."
        ) from None


def read_config(file: Path, name: str) -> Architecture:
    """The architecture that a config.json describes. ModelError for other kinds of models."""
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
        return of_config(config)
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        what = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise ModelError(
            f"'{file}' of model '{name}' can't be planned with: {what}; plans know {', '.join(KNOWN_TYPES)}."
        ) from None


def of_config(config: Mapping[str, Any]) -> Architecture:
    """The architecture of transformers' config of a decoder. KeyError or ValueError for what is not one that is known."""
    kind = config["model_type"]
    if kind not in KNOWN_TYPES:
        raise ValueError(f"model_type is {kind!r}")
    h, heads = config["hidden_size"], config["num_attention_heads"]
    return Architecture(
        hidden_size=h,
        num_layers=config["num_hidden_layers"],
        num_heads=heads,
        num_key_value_heads=config.get("num_key_value_heads") or heads,
        head_dim=config.get("head_dim") or h // heads,
        intermediate_size=config["intermediate_size"],
        vocab_size=config["vocab_size"],
        is_tied=bool(config.get("tie_word_embeddings", False)),
        has_qkv_bias=kind == "qwen2",
        has_qk_norm=kind == "qwen3",
    )
