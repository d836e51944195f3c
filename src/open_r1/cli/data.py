"""Make, clean and mix data.

examples:
  open-r1 data generate problems.jsonl --server http://localhost:8000/v1 --num_samples 4 --output_dir traces
  open-r1 data verify traces/traces.jsonl --output verified.jsonl
  open-r1 data select verified.jsonl --output sft.jsonl --keep_per_problem 2 --as messages
  open-r1 data pass-rate problems.jsonl --server http://localhost:8000/v1 --min 0.1 --max 0.6 --output_dir rated
  open-r1 data dedup sft.jsonl --columns problem --output unique.jsonl
  open-r1 data decontaminate unique.jsonl --against math500.jsonl aime24 --output clean.jsonl
  open-r1 data merge clean.jsonl
  open-r1 data mix mixture.yaml --output_dir mixed
  open-r1 data publish mixed --repo_id me/mixed --private
"""

from __future__ import annotations

from typing import Any

from open_r1.cli.options import add_modules

ACTIONS = ("generate", "verify", "select", "pass-rate", "dedup", "decontaminate", "merge", "mix", "publish")
"""In the order in which data goes through them; each is carried out by a module `_data_<action>`."""


def add_options(parser: Any) -> None:
    """The actions of `data`."""
    add_modules(parser, {action: f"_data_{action.replace('-', '_')}" for action in ACTIONS}, "action")
