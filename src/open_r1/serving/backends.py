"""Which server runs the model, and the command that starts it: vLLM's where it is installed, else transformers'."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from open_r1.configs.fields import check_limits, setting
from open_r1.configs.ranges import COUNT, Range
from open_r1.errors import ConfigError
from open_r1.generation.vllm_on_cpu import cpu_defaults, is_cpu_build
from open_r1.hub.folders import base_of_adapter, check_model_path, is_adapter
from open_r1.net.addresses import is_loopback
from open_r1.processes.python import child_environment, python_command

Backend = Literal["vllm", "transformers"]

TOKEN_VARIABLES: Mapping[Backend, str] = {"vllm": "VLLM_API_KEY", "transformers": "OPEN_R1_SERVER_TOKEN"}
"""Environment variable with the secret by which only the gateway may ask the model's server."""

KEY_VARIABLE = "OPEN_R1_API_KEY"  # environment variable with the key that clients must show
NEEDED = ("fastapi", "uvicorn", "openai", "torch", "transformers", "accelerate")
"""What transformers' server imports; the extra `serve` installs it."""


@dataclass(frozen=True)
class ServeOptions:
    """What to serve and how; None leaves a choice to the server. `names` are what clients may call the model."""

    model: str
    host: str = "127.0.0.1"
    port: int = 8000
    names: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    backend: Backend | None = setting(None, "what runs the model (default: vllm where it is installed)")
    tensor_parallel_size: int | None = setting(None, "GPUs that share each layer (vLLM)", COUNT)
    data_parallel_size: int | None = setting(None, "copies of the model (vLLM)", COUNT)
    gpu_memory_utilization: float | None = setting(
        None, "share of each device's memory to use, as 0.8", Range(0, 1, open_low=True)
    )
    max_model_len: int | None = setting(
        None, "most tokens of prompt and completion together (default: the model's own)", COUNT
    )
    dtype: str = setting("auto", "bfloat16, float16, float32 (default: as saved)")
    trust_remote_code: bool = setting(False, "run code that comes with the model")

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise ConfigError(f"--port must be between 0 and 65535 (0 takes a free one); got {self.port}.")
        check_limits(self)

    @property
    def known_names(self) -> tuple[str, ...]:
        """The names that clients may call the model by; MODEL as written where none is given."""
        return self.names or (self.model,)


def has_vllm() -> bool:
    """Whether vLLM can be imported here."""
    return importlib.util.find_spec("vllm") is not None


def choose_backend(options: ServeOptions) -> Backend:
    """The backend asked for or, where none is, the best that is installed. ConfigError for what can't work."""
    if options.backend == "vllm" and not has_vllm():
        raise ConfigError(
            "vLLM is not installed; run in the checkout: pip install -e '.[vllm]', or take --backend transformers."
        )
    if options.backend == "vllm" or (options.backend is None and has_vllm()):
        return "vllm"
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"transformers' server needs {', '.join(missing)}; run in the checkout: pip install -e '.[serve]'."
        )
    for name in ("tensor_parallel_size", "data_parallel_size"):
        if (getattr(options, name) or 1) > 1:
            raise ConfigError(
                f"--{name} {getattr(options, name)} needs vLLM: transformers' server uses one device; install vLLM "
                "(pip install -e '.[vllm]') or leave it out."
            )
    if options.extra:
        raise ConfigError(f"flags after -- are vLLM's, but transformers serves here: {' '.join(options.extra)}.")
    return "transformers"


def check_key(host: str, api_key: str) -> None:
    """ConfigError if other machines could use the model without a key."""
    if not api_key and not is_loopback(host):
        raise ConfigError(
            f"--host {host} lets other machines use the model, so a key is needed: set {KEY_VARIABLE} or give --api_key, "
            "or keep to --host 127.0.0.1."
        )


def check_model(model: str) -> None:
    """ModelError unless the folder, if it is one, contains a model, or an adapter with its base."""
    check_model_path(model)
    if is_adapter(model):
        check_model_path(base_of_adapter(Path(model).expanduser()))


def backend_command(backend: Backend, options: ServeOptions, port: int) -> list[str]:
    """The command that serves the model on loopback; vLLM's module where its own command lacks its version."""
    given = ["--host", "127.0.0.1", "--port", str(port), "--dtype", options.dtype]
    names = ["gpu_memory_utilization", "max_model_len"]
    if backend == "transformers":
        command = python_command("-m", "open_r1.generation.transformers_server", options.model)
    else:
        names = ["tensor_parallel_size", "data_parallel_size", *names]
        given += ["--served-model-name", *options.known_names]
        given += ["--override-generation-config", '{"repetition_penalty": 1.0}']  # off unless a request asks for it
        given += engine_flags(cpu_defaults(vars(options)) if is_cpu_build() else {})
        command = python_command("-m", "vllm.entrypoints.openai.api_server", "--model", options.model)
        script = Path(sys.executable).with_name("vllm")
        if is_installed("vllm") and script.is_file():
            command = [str(script), "serve", options.model]
    given += [word for name in names if (value := getattr(options, name)) for word in (f"--{name}", str(value))]
    given += ["--trust_remote_code"] if options.trust_remote_code else []
    if backend == "vllm":  # whose flags have hyphens
        given = [word.replace("_", "-") if word.startswith("--") else word for word in given]
    return [*command, *given, *options.extra]


def engine_flags(options: Mapping[str, Any]) -> list[str]:
    """Options of `vllm.LLM` as flags of its server."""
    flags: list[str] = []
    for name, value in options.items():
        flags += [f"--{'' if value else 'no-'}{name}"] if isinstance(value, bool) else [f"--{name}", str(value)]
    return flags


def is_installed(distribution: str) -> bool:
    """Whether a distribution of this name is installed."""
    return next(iter(metadata.distributions(name=distribution)), None) is not None


def backend_environment(backend: Backend, secret: str) -> dict[str, str]:
    """This process's environment with the secret; progress bars off, since nobody watches them."""
    quiet = {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "TQDM_DISABLE": "1", "PYTHONUNBUFFERED": "1"}
    return child_environment({TOKEN_VARIABLES[backend]: secret, **quiet})
