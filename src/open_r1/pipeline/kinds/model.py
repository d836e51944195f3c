"""The stage `model`: a small model with random weights, and a tokenizer made from the traces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

from open_r1.configs.fields import setting
from open_r1.configs.reader import as_setting
from open_r1.configs.types import read_record
from open_r1.data.sources import open_rows
from open_r1.errors import DataError
from open_r1.pipeline.stage import WEIGHTS, Context, Stage, StageName, naming_stage

MAX_ROWS = 2000  # traces that the tokenizer is made from


@dataclass(frozen=True)
class ModelStage(Stage):
    """Makes a tokenizer from the traces and a small model with random weights: the base model of the demonstration."""

    kind: ClassVar[str] = "model"
    makes: ClassVar[tuple[str, ...]] = (WEIGHTS, "tokenizer.json")
    inputs: ClassVar[tuple[str, ...]] = ("traces",)
    reads: ClassVar[Mapping[str, str]] = {"traces": "traces.jsonl"}

    traces: StageName = setting(StageName("traces"), "The stage with the traces, or a file.")
    shape: dict[str, Any] = setting({}, "The model's shape; see the table of its keys.")

    def prepare(self, root: Path, seed: int) -> Any:
        """The shape of the model; ConfigError, with the line, for one that is not possible."""
        from open_r1.training.tiny_models import ModelShape

        shape = self.setting("shape") or as_setting("shape", self.shape, "")
        with naming_stage(self.name):
            return read_record(ModelShape, shape.parts, f"stage '{self.name}': shape", shape.origin)

    def run(self, context: Context) -> dict[str, Any]:
        """Write a model with random weights and a tokenizer made of the traces' texts."""
        source = self.place(self.traces, context.root, "traces.jsonl")
        parameters = make_model(source, context.run.path, context.prepared, context.seed)
        context.report(f"{parameters:,} parameters with random weights")
        return {"parameters": parameters}


def make_model(source: str, folder: Path, shape: Any, seed: int) -> int:
    """Write a tokenizer, made from a source's messages or other texts, and a model; returns its number of parameters."""
    from open_r1.training.tiny_models import make_model_folder

    texts: list[str] = []
    for row in islice(open_rows(source).read(), MAX_ROWS):
        messages = row.get("messages")
        values = [message["content"] for message in messages] if messages else row.values()
        texts += [value for value in values if isinstance(value, str)]
    if not texts:
        raise DataError(f"'{source}' has no texts to make a tokenizer from; give rows of messages or columns of text.")
    return make_model_folder(folder, texts, shape, seed)
