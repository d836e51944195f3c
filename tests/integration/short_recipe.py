"""A pipeline with every stage of the tiny recipe, short enough to run in a test."""

from __future__ import annotations

from pathlib import Path

PIPELINE = """
name: short
output_dir: {output}
seed: 0
threads: 1
stages:
  problems: {{kind: problems, families: {{sums: [1, 2], weekdays: [1, 2]}}, sft: 200, rl: 32, held_out: 16}}
  traces: {{kind: traces, lazy_share: {{1: 0.2, 2: 0.8}}}}
  base: {{kind: model, shape: {{hidden_size: 32, num_layers: 1, intermediate_size: 64}}}}
  evaluate_base: {{kind: evaluate, model: base, max_new_tokens: 8, num_samples: 2}}
  sft: {{kind: sft, model: base, recipe: sft.yaml}}
  evaluate_sft: {{kind: evaluate, model: sft, baseline: evaluate_base, max_new_tokens: 8, num_samples: 2}}
  grpo: {{kind: grpo, model: sft, recipe: grpo.yaml}}
  evaluate_grpo: {{kind: evaluate, model: grpo, baseline: evaluate_sft, max_new_tokens: 8, num_samples: 2}}
  report: {{kind: report}}
"""
SFT = """
max_steps: 40
per_device_train_batch_size: 8
learning_rate: 1.0e-3
max_length: 128
gradient_checkpointing: false
logging_steps: 5
save_steps: 10
save_total_limit: 2
report_to: none
"""
GRPO = """
reward_funcs: [accuracy, format, tag_count]
reward_weights: {accuracy: 1.0, format: 0.1, tag_count: 0.1}
max_steps: 9
per_device_train_batch_size: 8
gradient_accumulation_steps: 2
num_generations: 4
max_completion_length: 24
learning_rate: 1.0e-3
gradient_checkpointing: false
logging_steps: 1
save_steps: 2
save_total_limit: 2
report_to: none
"""


def write_short_recipe(folder: Path, output: Path) -> Path:
    """The pipeline file, its SFT and GRPO recipes beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sft.yaml").write_text(SFT)
    (folder / "grpo.yaml").write_text(GRPO)
    path = folder / "pipeline.yaml"
    path.write_text(PIPELINE.format(output=output))
    return path
