"""GRPO by rules, a reward model and a judge together, in a mixture of problems with and without a solution."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
from fake_server import FakeSettings, running_fake

from open_r1.cli.main import main


def test_rules_a_reward_model_and_a_judge_train_together(tiny_model: Path, tmp_path: Path) -> None:
    from transformers import AutoConfig, AutoModelForSequenceClassification

    classifier = tmp_path / "rm"
    shutil.copytree(tiny_model, classifier)
    config = AutoConfig.from_pretrained(tiny_model, num_labels=1)
    AutoModelForSequenceClassification.from_config(config).save_pretrained(classifier)
    rows = [{"prompt": f"What is {n} + 1?", "solution": str(n + 1) if n % 2 else None} for n in range(8)]
    data = tmp_path / "problems.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with running_fake(FakeSettings(says="Rating: 6")) as server:
        model, judge = f"model:{classifier}?rows=open", f"judge:{server.url}"
        recipe = tmp_path / "grpo.yaml"
        recipe.write_text(
            f"model_name_or_path: {tiny_model}\ndataset_name: {data}\noutput_dir: {tmp_path / 'out'}\n"
            f"reward_funcs: [accuracy, language_consistency, '{model}', '{judge}']\n"
            f"reward_weights: {{accuracy: 1.0, language_consistency: 0.1, '{model}': 0.5, '{judge}': 0.2}}\n"
            "max_steps: 2\nper_device_train_batch_size: 8\nnum_generations: 4\nmax_completion_length: 8\n"
            "gradient_checkpointing: false\nreport_to: none\npreflight_prompts: 0\n"
        )
        assert main(["grpo", "--config", str(recipe)]) == 0
    tables = [pq.read_table(path).to_pylist() for path in sorted((tmp_path / "out").rglob("*.parquet"))]
    rollouts = [row for table in tables for row in table]
    assert len(rollouts) == 16
    by_rules = [row for row in rollouts if row["accuracy_reward_reason"] != "not_applicable"]
    assert by_rules
    assert len(by_rules) < len(rollouts)
    for row in rollouts:
        is_open = row["accuracy_reward_reason"] == "not_applicable"
        assert (row["model_rm_reward_reason"] == "scored") == is_open
        assert row["judge_helpfulness_reward_reason"] == "judged"
