"""`open-r1 grpo`: reinforcement learning from verifiable rewards."""

from __future__ import annotations

from typing import Any

from open_r1.cli._training import add_training_parser


def add_parser(subparsers: Any) -> None:
    add_training_parser(
        subparsers,
        "grpo",
        "reinforcement learning from verifiable rewards",
        "open-r1 grpo --config recipes/tiny/grpo.yaml --model_name_or_path DIR --dataset_name p.jsonl --output_dir OUT",
    )
