"""`open-r1 serve MODEL`: an OpenAI-compatible server that separates thinking from answer."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import shlex
from collections.abc import Sequence
from typing import Any

from open_r1.cli.console import tell
from open_r1.cli.options import add, add_model, add_verb
from open_r1.errors import ConfigError
from open_r1.serving.backends import KEY_VARIABLE

EXAMPLE = """examples:
  open-r1 serve runs/tiny/grpo
  OPEN_R1_API_KEY=$(openssl rand -hex 24) open-r1 serve your-model-path --host 0.0.0.0 --tensor-parallel-size 4
  open-r1 serve me/my-model --backend vllm --dry-run -- --max-num-seqs 64

vLLM serves where it is installed, else transformers. Flags after -- go to vLLM as they are.
"""


def add_parser(subparsers: Any) -> None:
    parser = add_verb(
        subparsers,
        "serve",
        "serve a model over OpenAI's API, thinking separated from the answer",
        EXAMPLE,
        "Start the model's server, wait until it answers, and serve it over OpenAI's API until stopped.",
    )
    add_model(parser, help="a model folder or Hub id")
    add_server_options(parser)
    add(parser, "host")
    add(parser, "port", default=8000)
    add(
        parser, "served_model_name", nargs="+", default=[], metavar="NAME",
        help="what clients call the model (default: MODEL as written)",
    )  # fmt: skip
    add(
        parser, "api_key", metavar="KEY",
        help=f"key that clients must show; prefer the variable {KEY_VARIABLE}, which others on this machine can't read",
    )  # fmt: skip
    add(parser, "dry-run", help="print the server's command, start nothing")
    parser.set_defaults(run=run, takes_settings=True)


def add_server_options(parser: argparse.ArgumentParser) -> None:
    """The options of `serve` and `chat` about the model's server."""
    size: dict[str, Any] = {"type": int, "metavar": "N"}
    add(parser, "backend", choices=("vllm", "transformers"), help="default: vllm where it is installed")
    add(parser, "tensor_parallel_size", help="GPUs that share each layer (vLLM)", **size)
    add(parser, "data_parallel_size", help="copies of the model (vLLM)", **size)
    add(
        parser, "gpu_memory_utilization", type=float, metavar="SHARE",
        help="share of each device's memory to use, as 0.8",
    )  # fmt: skip
    add(parser, "max_model_len")
    add(parser, "dtype", default="auto", help="bfloat16, float16, float32 (default: as saved)")
    add(parser, "trust_remote_code", action="store_true", help="run code that comes with the model")
    add(
        parser, "startup_timeout", type=float, default=1200, metavar="SECONDS",
        help="how long the model may take to load",
    )  # fmt: skip
    add(parser, "verbose", action="store_true", help="show what the model's server says")


def run(arguments: argparse.Namespace) -> int:
    from open_r1.serving.backends import backend_command, check_key, check_model, choose_backend

    if not arguments.model:
        raise ConfigError("name a model: open-r1 serve MODEL, a folder or Hub id.")
    options = read_options(arguments)
    backend = choose_backend(options)
    check_model(options.model)
    api_key = arguments.api_key or os.environ.get(KEY_VARIABLE, "").strip()
    if arguments.dry_run:
        print(shlex.join(backend_command(backend, options, options.port)))
        return 0
    check_key(options.host, api_key)
    tell(f"starting {backend} with {options.model}")
    from open_r1.serving.server import serve

    report = tell if arguments.verbose else None
    with contextlib.suppress(KeyboardInterrupt):
        serve(
            options,
            backend,
            api_key,
            arguments.startup_timeout,
            lambda address: announce(address, options.known_names[0], bool(api_key)),
            report,
        )
    tell("stopped")
    return 0


def read_options(arguments: argparse.Namespace) -> Any:
    from open_r1.serving.backends import ServeOptions

    taken = (
        "model host port backend tensor_parallel_size data_parallel_size gpu_memory_utilization max_model_len dtype "
        "trust_remote_code"
    ).split()
    given = {name: getattr(arguments, name) for name in taken if hasattr(arguments, name)}
    names = tuple(getattr(arguments, "served_model_name", ()))
    return ServeOptions(**given, names=names, extra=flags_after_dashes(arguments.extra))


def flags_after_dashes(extra: Sequence[str]) -> tuple[str, ...]:
    """The flags after --, for vLLM. ConfigError for anything unknown before it."""
    unknown = list(itertools.takewhile(lambda word: word != "--", extra))
    if unknown:
        raise ConfigError(f"unknown flag {unknown[0]}; see --help. Flags that are vLLM's own go after --.")
    return tuple(extra[1:])


def announce(address: str, model: str, has_key: bool) -> None:
    """Where the server is, and the two shortest ways to try it."""
    request = {"model": model, "messages": [{"role": "user", "content": "Solve: 2x + 3 = 11"}], "max_tokens": 2048}
    shown = f' -H "Authorization: Bearer ${KEY_VARIABLE}"' if has_key else ""
    print(f"serving {model} on http://{address}/v1\n")
    print(
        f"curl{shown} -H 'Content-Type: application/json' -d {shlex.quote(json.dumps(request))} "
        f"http://{address}/v1/chat/completions\n"
    )
    print(CLIENT.format(address=address, model=json.dumps(model)), flush=True)


CLIENT = """import openai

client = openai.OpenAI(
    base_url="http://{address}/v1",
    api_key="token-abc123",
)

completion = client.chat.completions.create(
    model={model},
    messages=[
        {{"role": "user", "content": "Solve: 2x + 3 = 11"}}
    ],
    temperature=0.6,
    max_tokens=2048
)

print(completion.choices[0].message.content)
"""
