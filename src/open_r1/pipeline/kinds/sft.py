"""The stage `sft`: supervised fine-tuning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from open_r1.pipeline.stage import StageName
from open_r1.pipeline.training_stage import TrainingStage


@dataclass(frozen=True)
class SFTStage(TrainingStage):
    """Supervised fine-tuning of `model` on the traces of `traces`."""

    kind: ClassVar[str] = "sft"
    inputs: ClassVar[tuple[str, ...]] = ("model", "traces")
    reads: ClassVar[str] = "traces.jsonl"

    model: StageName = StageName("model")
    traces: StageName = StageName("traces")
