"""vLLM on a node of its own: started, waited for, asked which model it has, stopped when the training ends."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from open_r1.errors import RunError
from open_r1.launch.recipe import LaunchRecipe
from open_r1.launch.training import ServerShape
from open_r1.net.client import TransportError, request_once

START_LIMIT, SERVE = "OPEN_R1_START_LIMIT_S", "OPEN_R1_SERVE"
"""How long a model may take to load, an hour by default; a command that takes MODEL --host --port in vLLM's place."""

PROBE_GAP_S, PROBE_LIMIT_S, STOP_LIMIT_S = 2.0, 5.0, 30.0

FROM_RECIPE = {
    "model_revision": "revision",
    "vllm_max_model_length": "max_model_len",
    "trust_remote_code": "trust_remote_code",
    "vllm_model_impl": "vllm_model_impl",
}
"""The recipe's setting -> the option of `trl vllm-serve`."""


def serve_words(
    recipe: LaunchRecipe, shape: ServerShape, port: int, environment: Mapping[str, str] = os.environ
) -> list[str]:
    """The command that serves the recipe's model as TRL's trainer needs it: with new weights as it runs."""
    model = str(recipe.value("model_name_or_path"))
    place = ["--host", "0.0.0.0", "--port", str(port)]
    if environment.get(SERVE):
        return [*shlex.split(environment[SERVE]), model, *place]
    given = {option: recipe.value(name) for name, option in FROM_RECIPE.items()}
    options = [word for name, value in given.items() if value is not None for word in (f"--{name}", str(value))]
    parallel = ["--tensor_parallel_size", str(shape.tensor), "--data_parallel_size", str(shape.data)]
    return [sys.executable, "-P", "-m", "trl.scripts.vllm_serve", "--model", model, *place, *parallel, *options]


@contextmanager
def vllm_node(words: Sequence[str], url: str, model: str, log: Path) -> Iterator[None]:
    """Runs the command that serves, until the block ends. RunError when it does not come up with that model."""
    limit_s = float(os.environ.get(START_LIMIT) or 3600)
    with log.open("ab") as output, subprocess.Popen(words, stdout=output, stderr=subprocess.STDOUT) as process:
        try:
            wait_for_model(process, url, model, limit_s, log)
            yield
        finally:
            process.terminate()
            try:
                process.wait(timeout=STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                process.kill()


def wait_for_model(process: subprocess.Popen[bytes], url: str, model: str, limit_s: float, log: Path) -> None:
    """Wait until the server names its model. RunError when it ends, takes too long or has another one."""
    deadline = time.monotonic() + limit_s
    while (names := served_models(url)) is None:
        if process.poll() is not None:
            raise RunError(
                f"vLLM ended with status {process.returncode} before it answered; its messages are in {log}."
            )
        if time.monotonic() >= deadline:
            raise RunError(
                f"vLLM at {url} did not answer within {limit_s:g} s; its messages are in {log}, and {START_LIMIT} sets "
                "another limit."
            )
        time.sleep(PROBE_GAP_S)
    if model not in names:
        raise RunError(
            f"the server at {url} has the model {' or '.join(names) or 'of no name'}, but '{model}' is trained; something "
            "else listens there: submit the job again."
        )


def served_models(url: str) -> list[str] | None:
    """What the server calls its models; None while it does not answer."""
    try:
        reply = request_once("GET", f"{url}/v1/models", timeout_s=PROBE_LIMIT_S)
        models = json.loads(reply.body)["data"] if reply.status == 200 else None
    except (TransportError, ValueError, KeyError, TypeError):
        return None
    return None if models is None else [str(name) for one in models for name in (one.get("root"), one["id"]) if name]
