"""The model that writes traces: one behind servers of OpenAI's chat API, or one in this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from open_r1.configs.fields import setting
from open_r1.configs.ranges import COUNT
from open_r1.errors import ConfigError
from open_r1.generation.server_settings import ServerSettings
from open_r1.rundir import RunDir, hash_files, read_json

if TYPE_CHECKING:
    from open_r1.generation import Completer


@dataclass(frozen=True)
class TeacherSettings(ServerSettings):
    """Which model, and how it is asked: behind servers, or in this process."""

    model: str | None = setting(
        None, "the model's name at the server (default: the one it has), a model folder or a Hub id"
    )
    backend: Literal["server", "transformers", "vllm"] = setting("server", "who answers")
    batch_size: int = setting(64, "requests at once in this process", COUNT)
    engine_options: Mapping[str, Any] = setting({}, 'options of vllm.LLM, as {"tensor_parallel_size": 2}')

    def __post_init__(self) -> None:
        super().__post_init__()
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
    from open_r1.generation.openai_server import OpenAIServer

    earlier = model_of(output_dir) if output_dir else None
    server = OpenAIServer(replace(settings, model=settings.model or earlier), report)
    if earlier is None:  # so that a new folder is only made when the server works
        report(f"model: {server.find_model()}")
    return server


def model_of(folder: Path) -> str | None:
    """The model whose traces a folder contains, None where it has none."""
    identity = RunDir(folder).identity
    return read_json(identity).get("model") if identity.exists() else None
