"""Samples a second of one model, greedily: transformers in this process, and `open-r1 serve` with each backend there is.

    python benchmarks/serving.py runs/tiny/grpo --requests 64 --concurrency 64

Prints a table; `same` is the share of completions that are those of transformers in this process, up to an opening tag
that the client of a server puts back. Loading is not counted; every way answers a few requests first.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from open_r1.generation import Generator, Sampling
from open_r1.generation.in_process import TransformersGenerator
from open_r1.generation.openai_server import OpenAIServer, ServerSettings
from open_r1.generation.replies import join_thinking
from open_r1.records import Completion
from open_r1.serving.backends import Backend, ServeOptions, has_vllm
from open_r1.serving.server import served_in_background

STARTUP_LIMIT_S = 600.0
WARM_UP = 4


@contextmanager
def in_process(arguments: argparse.Namespace) -> Iterator[Generator]:
    yield TransformersGenerator.from_folder(arguments.model, batch_size=arguments.concurrency)


def behind_a_server(backend: Backend) -> Callable[..., object]:
    @contextmanager
    def serve(arguments: argparse.Namespace) -> Iterator[Generator]:
        extra = tuple(arguments.vllm_flags.split()) if backend == "vllm" else ()
        options = ServeOptions(arguments.model, backend=backend, dtype=arguments.dtype, extra=extra)
        with served_in_background(options, backend, STARTUP_LIMIT_S) as (url, key):
            os.environ["OPEN_R1_BENCHMARK_KEY"] = key
            settings = ServerSettings(
                (url,),
                model=arguments.model,
                api_key_env="OPEN_R1_BENCHMARK_KEY",
                concurrency=arguments.concurrency,
                extra_body={"separate_reasoning": False, "seed": None},
            )
            yield OpenAIServer(settings)

    return serve


def measure(generator: Generator, prompts: list[str], sampling: Sampling) -> tuple[float, list[Completion]]:
    generator.generate(prompts[:WARM_UP], sampling)
    started = time.monotonic()
    drawn = generator.generate(prompts, sampling)
    return time.monotonic() - started, [completions[0] for completions in drawn]


def as_client_sees(completion: Completion) -> str:
    """The text with a missing `<think>` put back, which the client of a server always does, up to half a character."""
    return join_thinking({"content": completion.text}, completion.finish_reason).strip().rstrip("\ufffd")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--requests", type=int, default=64)
    parser.add_argument("--concurrency", type=int, default=64, help="requests at once, sequences a batch in process")
    parser.add_argument("--max_new_tokens", type=int, default=48)
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--vllm_flags", default="", help="flags for vLLM, as '--enforce-eager'")
    arguments = parser.parse_args()
    prompts = [f"Compute {number % 9 + 1}+{number // 9 % 9 + 1}-{number % 4}" for number in range(arguments.requests)]
    sampling = Sampling(max_new_tokens=arguments.max_new_tokens)
    ways = {"transformers in process": in_process, "open-r1 serve, transformers": behind_a_server("transformers")}
    if has_vllm():
        ways["open-r1 serve, vLLM"] = behind_a_server("vllm")
    else:
        print("vLLM is not installed: its row is missing", file=sys.stderr)
    print(
        f"| {arguments.requests} requests, {arguments.concurrency} at once | samples/s | tokens/s | same |\n"
        "|---|---|---|---|"
    )
    expected: list[Completion] = []
    for name, way in ways.items():
        with way(arguments) as generator:  # type: ignore[attr-defined]
            seconds, drawn = measure(generator, prompts, sampling)
        expected = expected or drawn
        same = sum(as_client_sees(one) == as_client_sees(other) for one, other in zip(drawn, expected, strict=True))
        tokens = sum(completion.num_tokens for completion in drawn)
        print(
            f"| {name} | {len(drawn) / seconds:.1f} | {tokens / seconds:,.0f} | {same / len(drawn):.3f} |", flush=True
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
