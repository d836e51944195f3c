"""`open-r1 sft`: supervised fine-tuning on reasoning traces."""

from __future__ import annotations

from typing import Any

from open_r1.cli._training import add_training_parser


def add_parser(subparsers: Any) -> None:
    add_training_parser(
        subparsers,
        "sft",
        "supervised fine-tuning on reasoning traces",
        "open-r1 sft --config recipes/tiny/sft.yaml --model_name_or_path DIR --dataset_name traces.jsonl --output_dir OUT",
    )
