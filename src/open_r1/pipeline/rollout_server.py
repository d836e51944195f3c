"""A vLLM server that GRPO on a CPU starts for its own rollouts, and that ends with the training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from open_r1.generation.vllm_on_cpu import EXTENSION
from open_r1.serving.backends import ServeOptions

FLAGS = ("--logprobs-mode", "processed_logprobs", "--max-logprobs", "-1", "--worker-extension-cls", EXTENSION)
"""What TRL's client needs of a server: log-probabilities of the sampled distribution; and new weights as it runs."""

DEVELOPER = {"VLLM_SERVER_DEV_MODE": "1"}  # without it a server has no endpoint that takes weights


@contextmanager
def rollout_servers(report: Callable[[str], None]) -> Iterator[Callable[[str, str, Any], str]]:
    """A function that starts a server of a model for a stage and gives its address; it is stopped when the block ends."""
    with ExitStack() as running:

        def open_server(model: str, dtype: str, arguments: Any) -> str:
            from open_r1.serving.server import model_server  # of the extra `serve`, which no other training needs

            training = arguments.training
            options = ServeOptions(
                model,
                extra=FLAGS,
                dtype=dtype,
                max_model_len=training.vllm_max_model_length,
                trust_remote_code=training.trust_remote_code,
            )
            report(f"starting a vLLM server of {model}; the first answer takes a minute or two")
            child = running.enter_context(model_server(options, "vllm", training.vllm_server_timeout, None, DEVELOPER))
            return child.url

        yield open_server
