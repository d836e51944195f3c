"""What generates the samples: a model in this process (transformers, vLLM) or servers, each with its context's length."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from open_r1.generation import Completer, Generator, Message
from open_r1.generation.batching import IN_FLIGHT, BatchedGenerator
from open_r1.hub.folders import model_files
from open_r1.rundir import hash_files

BackendName = Literal["transformers", "vllm", "server"]
Parallel = Literal["data", "tensor"]
NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    **dict.fromkeys(("repetition_penalty", "encoder_repetition_penalty"), (1,)),
    **dict.fromkeys(("no_repeat_ngram_size", "min_new_tokens", "min_length", "encoder_no_repeat_ngram_size"), (0,)),
    **dict.fromkeys(("bad_words_ids", "suppress_tokens", "begin_suppress_tokens", "sequence_bias"), ([], {})),
    **dict.fromkeys(("forced_bos_token_id", "forced_eos_token_id", "exponential_decay_length_penalty"), ()),
}
"""Settings of a generation_config.json that change an answer, with the values that ask for nothing."""
CountTokens = Callable[[Sequence[Message]], int]

BYTES_A_TOKEN = 2
"""Fewer than usual texts have, so that the length of a prompt is not underestimated where it can't be counted."""


@dataclass(frozen=True)
class Backend:
    """What generates samples; `context` in tokens, None where unknown; `model_hash` is of a folder's files."""

    completer: Completer
    context: int | None
    count_tokens: CountTokens
    name: BackendName | None = None
    model_hash: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    not_applied: Mapping[str, Any] = field(default_factory=dict)


def estimate_tokens(messages: Sequence[Message]) -> int:
    """An upper estimate of a conversation's tokens, for models whose tokenizer is not here."""
    return sum(-(-len(message["content"].encode()) // BYTES_A_TOKEN) + 8 for message in messages)


def of_model(
    generator: Generator,
    model: str,
    batch_size: int,
    context: int | None,
    count_tokens: CountTokens,
    name: BackendName,
    named: str = "",
) -> Backend:
    """The backend of a model in this process, `named` in results; the versions of its libraries that are installed."""
    installed = [library for library in ("torch", name) if next(iter(metadata.distributions(name=library)), None)]
    versions = {library: metadata.version(library) for library in installed}
    files = model_files(model)
    completer = BatchedGenerator(generator, named or model, batch_size)
    model_hash = hash_files(files) if files else ""
    return Backend(completer, context, count_tokens, name, model_hash, versions, unapplied_settings(model))


def unapplied_settings(model: str) -> dict[str, Any]:
    """What generation_config.json asks for that changes an answer, and that no way of generating here applies."""
    from huggingface_hub import try_to_load_from_cache

    folder, name, config = Path(model).expanduser(), "generation_config.json", {}
    with contextlib.suppress(OSError, ValueError):  # not there, not a Hub id, or damaged
        path = folder / name if folder.is_dir() else Path(str(try_to_load_from_cache(model, name)))
        config = json.loads(path.read_text(encoding="utf-8"))
    return {key: config[key] for key, neutral in NEUTRAL.items() if config.get(key) not in (None, *neutral)}


def name_at(model: str, revision: str | None) -> str:
    """How results call a model: by its folder or Hub id, and its revision where that isn't the main one."""
    return model if revision in (None, "main") else f"{model}@{revision}"


def transformers_backend(
    model: str, batch_size: int, use_cpu: bool = False, hub: Mapping[str, Any] | None = None
) -> Backend:
    """A transformers model in this process, `batch_size` samples at once; `hub` may have revision, trust_remote_code."""
    from open_r1.generation.in_process import TransformersGenerator

    generator = TransformersGenerator.from_folder(model, use_cpu, hub, batch_size=batch_size)
    in_flight = IN_FLIGHT * batch_size  # what waits takes the place of what is done
    named = name_at(model, (hub or {}).get("revision"))
    return of_model(
        generator, model, in_flight, generator.context_length(), generator.count_tokens, "transformers", named
    )


def vllm_backend(
    model: str, batch_size: int, parallel: Parallel | None = None, num_gpus: int = 1, **options: Any
) -> Backend:
    """vLLM in this process: by `tensor` one model over all GPUs, by `data` a whole model on each. `options` are vLLM's."""
    from open_r1.generation.vllm_in_process import VLLMGenerator

    if parallel == "data" and num_gpus > 1:
        from open_r1.generation.data_parallel import DataParallelGenerator, make_vllm

        generator: Any = DataParallelGenerator(make_vllm, (model, options), num_gpus)
        batch_size *= num_gpus
    else:
        sizes = {"tensor_parallel_size": num_gpus} if parallel == "tensor" else {}
        generator = VLLMGenerator(model, **sizes, **options)
    context, named = generator.context_length(), name_at(model, options.get("revision"))
    return of_model(generator, model, batch_size, context, generator.count_tokens, "vllm", named)


def server_backend(settings: Any, report: Callable[[str], None]) -> Backend:
    """A model on servers with OpenAI's API (`ServerSettings`). ConfigError when no server answers or one lacks the model."""
    from open_r1.generation.openai_server import OpenAIServer

    server = OpenAIServer(settings, report)
    server.find_model()
    return Backend(server, server.context, estimate_tokens, "server")
