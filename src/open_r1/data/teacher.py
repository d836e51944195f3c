"""The model that writes traces: one behind servers of OpenAI's chat API, or one in this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from open_r1.configs.fields import check_limits, setting
from open_r1.configs.ranges import COUNT
from open_r1.errors import ConfigError
from open_r1.rundir import RunDir, hash_files, read_json

if TYPE_CHECKING:
    from open_r1.generation import Completer

DEFAULT_SERVER = "http://localhost:8000/v1"


@dataclass(frozen=True)
class TeacherSettings:
    """Which model, and how it is asked. Limits per minute and `concurrency` are for each server."""

    model: str | None = setting(
        None, "the model's name at the server (default: the one it has), a model folder or a Hub id"
    )
    backend: Literal["server", "transformers", "vllm"] = setting("server", "who answers")
    server: tuple[str, ...] | None = setting(None, f"one or several servers (default: {DEFAULT_SERVER})")
    api_key_env: str = setting("OPENAI_API_KEY", "environment variable with the server's key")
    concurrency: int = setting(64, "requests in flight at each server")
    requests_per_minute: float | None = setting(None, "limit at each server (default: none)")
    tokens_per_minute: float | None = setting(None, "limit at each server, prompt and completion (default: none)")
    timeout: float = setting(900.0, "seconds to wait for one reply")
    max_attempts: int = setting(8, "tries for a sample in one run")
    pause: float = setting(0.5, "seconds before the second try; it doubles with each further one")
    patience: float = setting(300.0, "seconds of failures until a server is given up")
    wait_for_server: float = setting(0.0, "seconds to wait for a server to start")
    extra_body: Mapping[str, Any] = setting({}, "added to every request; a null removes")
    batch_size: int = setting(64, "requests at once in this process", COUNT)
    engine_options: Mapping[str, Any] = setting({}, 'options of vllm.LLM, as {"tensor_parallel_size": 2}')

    def __post_init__(self) -> None:
        check_limits(self)
        if self.engine_options and self.backend != "vllm":
            raise ConfigError("--engine_options are those of --backend vllm; leave them out, or choose that backend.")
        if self.backend == "server":
            return
        if not self.model:
            raise ConfigError(f"--backend {self.backend} needs a model: name a folder or a Hub id with --model.")
        for name in ("server", "extra_body"):
            if getattr(self, name):
                raise ConfigError(f"--{name} has no effect with --backend {self.backend}; leave one of them out.")

    def identity(self) -> dict[str, Any]:
        """What two runs into one folder must have in common, beside the model's name: contents of a local model."""
        from open_r1.hub.folders import model_files

        files = [] if self.backend == "server" else model_files(str(self.model))
        contents = {"contents of the model folder": hash_files(files)} if files else {}
        return {"extra_body": dict(self.extra_body)} | contents


def open_teacher(
    settings: TeacherSettings, output_dir: Path | None = None, report: Callable[[str], None] = lambda line: None
) -> Completer:
    """The model, ready to be asked.

    The server is asked at once which model it has, unless `output_dir` has earlier traces: then their model is asked, and a
    folder that is complete needs no server. `report` gets notices in a line each.
    """
    if settings.backend == "server":
        return open_servers(settings, output_dir, report)
    from open_r1.generation.batching import IN_FLIGHT, BatchedGenerator

    model, in_flight = str(settings.model), settings.batch_size
    if settings.backend == "vllm":
        from open_r1.generation.vllm_in_process import VLLMGenerator

        generator: Any = VLLMGenerator(model, **settings.engine_options)
    else:
        from open_r1.generation.in_process import TransformersGenerator

        generator = TransformersGenerator.from_folder(model, batch_size=settings.batch_size)
        in_flight *= IN_FLIGHT
    return BatchedGenerator(generator, model, in_flight)


def open_servers(settings: TeacherSettings, output_dir: Path | None, report: Callable[[str], None]) -> Completer:
    """The model behind servers."""
    from open_r1.generation.openai_server import OpenAIServer, ServerSettings

    earlier = model_of(output_dir) if output_dir else None
    server = OpenAIServer(
        ServerSettings(
            urls=tuple(settings.server or [DEFAULT_SERVER]),
            model=settings.model or earlier,
            api_key_env=settings.api_key_env,
            concurrency=settings.concurrency,
            timeout_s=settings.timeout,
            max_attempts=settings.max_attempts,
            pause_s=settings.pause,
            patience_s=settings.patience,
            wait_for_server_s=settings.wait_for_server,
            requests_per_minute=settings.requests_per_minute,
            tokens_per_minute=settings.tokens_per_minute,
            extra_body=settings.extra_body,
        ),
        report,
    )
    if earlier is None:  # so that a new folder is only made when the server works
        report(f"model: {server.find_model()}")
    return server


def model_of(folder: Path) -> str | None:
    """The model whose traces a folder contains, None where it has none."""
    identity = RunDir(folder).identity
    return read_json(identity).get("model") if identity.exists() else None
