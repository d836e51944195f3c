"""What generates the samples: a model in this process (transformers, vLLM) or servers, each with its context's length.

Does not: sample.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any, Literal

from open_r1.errors import ConfigError
from open_r1.generation import Completer, Message
from open_r1.generation.batching import BatchedGenerator
from open_r1.generation.protocol import to_messages
from open_r1.hub.folders import model_files
from open_r1.net.client import TransportError, request_once
from open_r1.records import Problem
from open_r1.rundir import hash_files

BackendName = Literal["transformers", "vllm", "server"]
Parallel = Literal["data", "tensor"]

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
    count_tokens: Callable[[Sequence[Message]], int]
    name: BackendName | None = None
    model_hash: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)

    def count_prompts(self, problems: Sequence[Problem], system_prompt: str | None) -> dict[str, int]:
        """The tokens of each problem's prompt, by the problem's id."""
        return {problem.id: self.count_tokens(to_messages(problem.prompt, system_prompt)) for problem in problems}

    def cap_tokens(self, problems: Sequence[Problem], system_prompt: str | None, wanted: int) -> int:
        """The tokens that the longest prompt leaves for a completion, `wanted` at most.

        The limit is the same for all problems. ConfigError when there is no room at all.
        """
        if self.context is None:
            return wanted
        lengths = self.count_prompts(problems, system_prompt)
        longest = max(lengths, key=lambda id: lengths[id])
        room = self.context - lengths[longest]
        if room < 1:
            raise ConfigError(
                f"the model's context of {self.context:,} tokens is too small: problem {longest} alone has "
                f"{lengths[longest]:,}; leave such problems out with --skip_unusable, or give the model a longer context."
            )
        return min(wanted, room)


def estimate_tokens(messages: Sequence[Message]) -> int:
    """An upper estimate of a conversation's tokens, for models whose tokenizer is not here."""
    return sum(-(-len(message["content"].encode()) // BYTES_A_TOKEN) + 8 for message in messages)


def hash_model(model: str) -> str:
    """A hash of what decides a local folder's completions: weights, configs, tokenizer; empty for anything else."""
    files = model_files(model)
    return hash_files(files) if files else ""


def versions_of(*libraries: str) -> dict[str, str]:
    """The versions of libraries; those that are not installed are left out."""
    versions = {}
    for library in libraries:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[library] = metadata.version(library)
    return versions


def transformers_backend(model: str, batch_size: int) -> Backend:
    """A transformers model in this process, `batch_size` samples at once."""
    from open_r1.generation.in_process import TransformersGenerator

    generator = TransformersGenerator.from_folder(model, batch_size=batch_size)
    config: Any = generator.model.config.get_text_config()
    return Backend(
        BatchedGenerator(generator, model, batch_size),
        getattr(config, "max_position_embeddings", None),
        lambda messages: len(generator.encode(messages)),
        "transformers",
        hash_model(model),
        versions_of("torch", "transformers"),
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
    return Backend(
        BatchedGenerator(generator, model, batch_size),
        generator.context_length(),
        generator.count_tokens,
        "vllm",
        hash_model(model),
        versions_of("torch", "vllm"),
    )


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
