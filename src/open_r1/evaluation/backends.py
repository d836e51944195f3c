"""What generates the samples: a model in this process (transformers, vLLM) or servers, each with its context's length."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any, Literal

from open_r1.generation import Completer, Generator, Message
from open_r1.generation.batching import IN_FLIGHT, BatchedGenerator
from open_r1.hub.folders import model_files
from open_r1.rundir import hash_files

BackendName = Literal["transformers", "vllm", "server"]
Parallel = Literal["data", "tensor"]
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
) -> Backend:
    """The backend of a model in this process; the versions of its libraries that are installed."""
    installed = [library for library in ("torch", name) if next(iter(metadata.distributions(name=library)), None)]
    versions = {library: metadata.version(library) for library in installed}
    files = model_files(model)
    completer = BatchedGenerator(generator, model, batch_size)
    return Backend(completer, context, count_tokens, name, hash_files(files) if files else "", versions)


def transformers_backend(model: str, batch_size: int) -> Backend:
    """A transformers model in this process, `batch_size` samples at once."""
    from open_r1.generation.in_process import TransformersGenerator

    generator = TransformersGenerator.from_folder(model, batch_size=batch_size)
    context = getattr(generator.model.config.get_text_config(), "max_position_embeddings", None)
    in_flight = IN_FLIGHT * batch_size  # what waits takes the place of what is done
    return of_model(
        generator, model, in_flight, context, lambda messages: len(generator.encode(messages)), "transformers"
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
    return of_model(generator, model, batch_size, generator.context_length(), generator.count_tokens, "vllm")


def server_backend(settings: Any, report: Callable[[str], None]) -> Backend:
    """A model on servers with OpenAI's API (`ServerSettings`). ConfigError when no server answers or one lacks the model."""
    from open_r1.generation.openai_server import OpenAIServer

    server = OpenAIServer(settings, report)
    server.find_model()
    return Backend(server, server.context, estimate_tokens, "server")
