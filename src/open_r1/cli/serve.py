"""Serve a model over OpenAI's API, thinking separated from the answer.

Start the model's server, wait until it answers, and serve it over OpenAI's API until stopped.

examples:
  open-r1 serve runs/tiny/grpo
  OPEN_R1_API_KEY=$(openssl rand -hex 24) open-r1 serve your-model-path --host 0.0.0.0 --tensor-parallel-size 4
  open-r1 serve me/my-model --backend vllm --dry-run -- --max-num-seqs 64

vLLM serves where it is installed, else transformers. Flags after -- go to vLLM as they are.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import shlex
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from open_r1.cli.console import show, tell
from open_r1.cli.options import add, add_model, add_server, read_settings
from open_r1.errors import ConfigError
from open_r1.hub.folders import is_adapter
from open_r1.serving.backends import KEY_VARIABLE


def add_options(parser: Any) -> None:
    """The options of `serve`."""
    add_model(parser, help="a model folder or Hub id")
    add_server(parser)
    add(parser, "host")
    add(parser, "port", default=8000)
    named = "what clients call the model (default: MODEL as written)"
    add(parser, "served_model_name", nargs="+", default=[], metavar="NAME", help=named)
    key = f"key that clients must show; prefer the variable {KEY_VARIABLE}, which others on this machine can't read"
    add(parser, "api_key", metavar="KEY", help=key)
    add(parser, "dry-run", help="print the server's command, start nothing")
    parser.set_defaults(takes_settings=True)


def run(arguments: argparse.Namespace) -> int:
    """Serve the model until stopped, a LoRA adapter merged into its base; a dry run prints the server's command."""
    from open_r1.serving.backends import ServeOptions, backend_command, check_key, check_model, choose_backend

    if not arguments.model:
        raise ConfigError("name a model: open-r1 serve MODEL, a folder or Hub id.")
    unknown = list(itertools.takewhile(lambda word: word != "--", arguments.extra))
    if unknown:
        raise ConfigError(f"unknown flag {unknown[0]}; see --help. Flags that are vLLM's own go after --.")
    names = tuple(arguments.served_model_name)
    options = read_settings(ServeOptions, arguments, names=names, extra=tuple(arguments.extra[1:]))
    backend = choose_backend(options)
    check_model(options.model)
    api_key = arguments.api_key or os.environ.get(KEY_VARIABLE, "").strip()
    if arguments.dry_run:
        show(shlex.join(backend_command(backend, options, options.port)))
        return 0
    check_key(options.host, api_key)
    tell(f"starting {backend} with {options.model}")
    from open_r1.serving.server import serve

    on_ready = partial(announce, model=options.known_names[0], has_key=bool(api_key))
    with contextlib.suppress(KeyboardInterrupt), contextlib.ExitStack() as left:
        if is_adapter(options.model):
            from open_r1.training.models import merge_adapter

            tell("merging the LoRA adapter into its base; open-r1 merge does it once and for all")
            folder = Path(left.enter_context(tempfile.TemporaryDirectory(prefix="open-r1-merged-"))) / "model"
            merge_adapter(Path(options.model).expanduser(), folder)
            options = replace(options, model=str(folder), names=options.known_names)
        serve(options, backend, api_key, arguments.startup_timeout, on_ready, tell if arguments.verbose else None)
    tell("stopped")
    return 0


def announce(address: str, model: str, has_key: bool) -> None:
    """Where the server is, and the two shortest ways to try it."""
    request = {"model": model, "messages": [{"role": "user", "content": "Compute 7+5-3"}], "max_tokens": 2048}
    shown = f' -H "Authorization: Bearer ${KEY_VARIABLE}"' if has_key else ""
    show(f"serving {model} on http://{address}/v1\n")
    show(
        f"curl{shown} -H 'Content-Type: application/json' -d {shlex.quote(json.dumps(request))} "
        f"http://{address}/v1/chat/completions\n"
    )
    show(CLIENT.format(address=address, model=json.dumps(model)))


CLIENT = """import openai

client = openai.OpenAI(
    base_url="http://{address}/v1",
    api_key="token-abc123",
)

completion = client.chat.completions.create(
    model={model},
    messages=[
        {{"role": "user", "content": "Compute 7+5-3"}}
    ],
    temperature=0.6,
    max_tokens=2048
)

print(completion.choices[0].message.content)
"""
