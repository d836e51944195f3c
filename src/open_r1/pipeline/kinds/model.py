"""The stage `model`: a small model with random weights, and a tokenizer made from the traces."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, get_type_hints

from open_r1.configs.types import fits, in_words
from open_r1.errors import ConfigError, nearest
from open_r1.pipeline.stage import Context, Stage, StageName, naming_stage
from open_r1.rundir import read_jsonl


@dataclass(frozen=True)
class ModelStage(Stage):
    """Makes a tokenizer from the traces and a small model with random weights: the base model of the demonstration."""

    kind: ClassVar[str] = "model"
    makes: ClassVar[tuple[str, ...]] = ("model.safetensors", "tokenizer.json")
    inputs: ClassVar[tuple[str, ...]] = ("traces",)

    traces: StageName = StageName("traces")
    shape: dict[str, Any] = field(default_factory=dict)

    def prepare(self, root: Path, seed: int) -> None:
        from open_r1.training.tiny_models import ModelShape

        hints = get_type_hints(ModelShape)
        for key, value in self.shape.items():
            if key not in hints:
                raise ConfigError(
                    f"stage '{self.name}': shape has an unknown key '{key}'{nearest(key, hints)} "
                    f"A shape has: {', '.join(hints)}."
                )
            limit = " above 0" if fits(value, float) else ""
            if not fits(value, hints[key]) or (limit and value <= 0):
                raise ConfigError(
                    f"stage '{self.name}': shape.{key} must be {in_words(hints[key])}{limit}, but is {value!r}; mend it."
                )
        with naming_stage(self.name):
            ModelShape(**self.shape)

    def run(self, context: Context) -> dict[str, Any]:
        from open_r1.training.tiny_models import ModelShape, make_model_folder

        rows = read_jsonl(context.folder(self.traces) / "traces.jsonl")
        texts = [message["content"] for row in rows[:2000] for message in row["messages"]]
        parameters = make_model_folder(context.run.path, texts, ModelShape(**self.shape), context.seed)
        context.report(f"{parameters:,} parameters with random weights")
        return {"parameters": parameters}
