"""What generates the samples: a model in this process (transformers, vLLM) or servers, each with its context's length."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any, Literal

from open_r1.generation import Completer, Generator, Message
from open_r1.generation.batching import BatchedGenerator
from open_r1.hub.folders import model_files
from open_r1.net.client import TransportError, request_once
from open_r1.rundir import hash_files

BackendName = Literal["transformers", "vllm", "server"]
Parallel = Literal["data", "tensor"]
CountTokens = Callable[[Sequence[Message]], int]

ASK_TIMEOUT_S = 10.0
BYTES_A_TOKEN = 2
"""Fewer than usual texts have, so that the length of a prompt is not underestimated where it can't be counted."""


@dataclass(frozen=True)
class Backend:
    """What generates samples.

    Args:
        completer: Answers requests.
        context: The context of its model, in tokens; None where it is not known.
        count_tokens: The tokens of a conversation as a prompt.
        name: Which of the backends it is; None for one of the user's own.
        model_hash: A hash of a local folder's files, by which another model under the same name is noticed; empty
            where no folder is given.
        versions: Library -> version, for the summary.
    """

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
    return of_model(
        generator, model, batch_size, context, lambda messages: len(generator.encode(messages)), "transformers"
    )


def vllm_backend(
    model: str, batch_size: int, parallel: Parallel | None = None, num_gpus: int = 1, **options: Any
) -> Backend:
    """vLLM in this process; by `tensor` one model over all GPUs, by `data` a whole model on each, in processes of their own.

    `options` are vLLM's.
    """
    from open_r1.generation.vllm_in_process import VLLMGenerator

    if parallel == "data" and num_gpus > 1:
        from open_r1.generation.data_parallel import DataParallelGenerator

        generator: Any = DataParallelGenerator.of_vllm(model, num_gpus, options)
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
    contexts = [ask_context(address.url, server.model, server.key) for address in server.addresses]
    known = [context for context in contexts if context is not None]
    return Backend(server, min(known, default=None), estimate_tokens, "server")


def ask_context(url: str, model: str, key: str = "") -> int | None:
    """The context that a server gives its model (vLLM's and SGLang's `max_model_len`), None where it does not say."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        reply = request_once("GET", f"{url}/models", headers=headers, timeout_s=ASK_TIMEOUT_S, max_bytes=1 << 20)
        lengths = [entry.get("max_model_len") for entry in json.loads(reply.body)["data"] if entry.get("id") == model]
    except (TransportError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return next((int(length) for length in lengths if isinstance(length, int) and length > 0), None)
