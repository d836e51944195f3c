"""A made-up pipeline run on disk, shaped as a real one: what the report's tests and its screenshots are made from."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

from open_r1.rundir import rollouts
from open_r1.rundir.rollouts import rollout_table

FAMILIES = ("linear_equations", "sorting", "sums", "weekdays")
ACCURACY = {"base": 0.0, "sft": 0.48, "grpo": 0.95}
REWARDS = ("accuracy_reward", "format_reward", "tag_count_reward")


def write_pipeline_run(run_dir: Path, name: str = "tiny", num_problems: int = 60, num_steps: int = 120) -> Path:
    """base, SFT and GRPO with an evaluation each; returns `run_dir`."""
    run_dir.mkdir(parents=True, exist_ok=True)
    stages = [_stage("problems", "problems", 0.8), _stage("traces", "traces", 1.1), _stage("model", "model", 2.0)]
    for model in ACCURACY:
        if model != "base":
            write_training_run(run_dir / model, model, num_steps)
            stages.append(_stage(model, model, 41.5))
        write_evaluation(run_dir / f"evaluate_{model}", model, num_problems)
        stages.append(_stage(f"evaluate_{model}", "evaluate", 6.2))
    stages.append(_stage("report", "report", 0.0, "pending"))
    write_json(
        run_dir / "pipeline.json",
        {
            "name": name,
            "seed": 0,
            "stages": stages,
            "open_r1": "0.1.0",
            "environment": {"python": "3.11.9", "packages": {"torch": "2.13.0", "trl": "1.16.1"}, "cpus": 2},
        },
    )
    return run_dir


def _stage(name: str, kind: str, seconds: float, status: str = "done") -> dict[str, Any]:
    return {"name": name, "kind": kind, "status": status, "folder": name, "seconds": seconds}


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def write_json_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def estimate(value: float, n: int) -> dict[str, float]:
    half = 1.96 * math.sqrt(max(value * (1 - value), 0.2 / n) / n)
    return {"value": value, "low": max(0.0, value - half), "high": min(1.0, value + half), "n": n}


def write_evaluation(folder: Path, model: str, num_problems: int = 60) -> None:
    """An evaluation folder whose summary agrees with its samples."""
    samples = [sample for index in range(num_problems) for sample in _samples(model, index)]
    modes = {mode: _summarize(samples, mode, num_problems) for mode in ("greedy", "sampled")}
    summary = {"name": "held_out", "model": model, "num_problems": num_problems, "modes": modes}
    write_json(folder / "summary.json", summary)
    write_json_lines(folder / "samples.jsonl", samples)
    if model == "grpo":
        differences = {
            mode: {"difference": {"value": 0.481, "low": 0.44, "high": 0.521, "n": num_problems}} for mode in modes
        }
        write_json(folder / "comparison.json", {"baseline": "sft", "modes": differences})


def _samples(model: str, index: int) -> list[dict[str, Any]]:
    rng = random.Random(f"{model}/{index}")
    group = FAMILIES[index % len(FAMILIES)]
    problem_id = f"{random.Random(index).getrandbits(64):016x}"
    gold = 2 * index + 2
    rows = []
    for mode, number in (("greedy", 0), ("sampled", 0), ("sampled", 1)):
        is_right = rng.random() < ACCURACY[model]
        answer = gold if is_right else gold + 1
        steps = f"{index}+5={index + 5}\n{index + 5}-3={index + 2}\n{index + 2}+{index}={answer}"
        checked = f"Go from left to right and keep the total.\n{steps}\nCheck: {gold}. Correct."
        thinking = checked if model == "grpo" else steps
        completion = f"<think>\n{thinking}\n</think>\n<answer>\n\\boxed{{{answer}}}\n</answer>"
        if model == "base":
            completion = "".join(rng.choice("ab+=7 <>\n&é") for _ in range(400))
        rows.append(
            {
                "problem_id": problem_id,
                "prompt": f"Compute {index}+5-3+{index}",
                "gold": str(gold),
                "group": group,
                "difficulty": 3.0,
                "mode": mode,
                "sample": number,
                "completion": completion,
                "num_tokens": 96 if model == "base" else len(completion) // 2,
                "finish_reason": "length" if model == "base" else "stop",
                "extracted_answer": None if model == "base" else str(answer),
                "score": 1.0 if is_right else 0.0,
                "reason": "no answer" if model == "base" else "",
            }
        )
    return rows


def _summarize(samples: list[dict[str, Any]], mode: str, num_problems: int) -> dict[str, Any]:
    rows = [row for row in samples if row["mode"] == mode]
    groups = {
        family: estimate(mean([row["score"] for row in rows if row["group"] == family]), num_problems // len(FAMILIES))
        for family in FAMILIES
    }
    return {
        "temperature": 0.0 if mode == "greedy" else 1.0,
        "num_samples": len(rows) // num_problems,
        "accuracy": estimate(mean([row["score"] for row in rows]), num_problems),
        "groups": groups,
        "mean_tokens": mean([row["num_tokens"] for row in rows]),
        "truncated_share": mean([float(row["finish_reason"] == "length") for row in rows]),
        "no_answer_share": mean([float(row["extracted_answer"] is None) for row in rows]),
        "seconds": 2.5,
    }


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def write_training_run(folder: Path, kind: str, num_steps: int = 120) -> Path:
    """A folder of `sft` or `grpo`: metrics, settings, and rollouts for GRPO; returns `folder`."""
    rows = [
        _grpo_metrics(step, num_steps) if kind == "grpo" else _sft_metrics(step) for step in range(1, num_steps + 1)
    ]
    write_json_lines(folder / "metrics.jsonl", rows)
    write_json(folder / "environment.json", {"python": "3.11.9"})
    (folder / "resolved.yaml").write_text(
        "learning_rate: 0.001  # recipe\nhub_token: hf_abcdefghijklmnopqrst\n", "utf-8"
    )
    if kind == "grpo":
        write_json(folder / "preflight.json", preflight_record())
        for step in range(10, num_steps + 1, 10):
            write_rollouts(folder / "rollouts" / f"step-{step:06}.parquet", step)
    return folder


def preflight_record() -> dict[str, Any]:
    """The parts of a pre-flight check's record that the page shows."""
    return {
        "prompts": 8,
        "completions": 64,
        "truncated_share": 0.03125,
        "no_answer_share": 0.015625,
        "right_share": 0.546875,
        "right_without_format_share": None,
        "zero_variance_share": 0.25,
        "findings": [{"kind": "constant", "text": "tag_count_reward gave every completion 0.25.", "refused": False}],
    }


def _sft_metrics(step: int) -> dict[str, Any]:
    rng = random.Random(step)
    loss = 0.35 + 3.2 * math.exp(-step / 25) + rng.gauss(0, 0.05)
    return {
        "step": step,
        "loss": loss,
        "mean_token_accuracy": min(1.0, 1 - 0.25 * loss),
        "entropy": loss * 0.9,
        "grad_norm": 1.5 + rng.random(),
        "learning_rate": 1e-3 * (1 - step / 200),
        "num_tokens": 4000 * step,
    }


def _grpo_metrics(step: int, num_steps: int) -> dict[str, Any]:
    rng = random.Random(step)
    accuracy = min(1.0, max(0.0, 0.42 + 0.5 * step / num_steps + rng.gauss(0, 0.05)))
    form = min(1.0, 0.9 + 0.1 * step / num_steps)
    return {
        "step": step,
        "loss": rng.gauss(0, 0.01),
        "reward": accuracy + 2 * form,
        "reward_std": 0.4,
        "frac_reward_zero_std": min(1.0, 0.2 + 0.5 * step / num_steps + rng.gauss(0, 0.05)),
        "rewards/accuracy_reward/mean": accuracy,
        "rewards/format_reward/mean": form,
        "rewards/tag_count_reward/mean": min(1.0, form + 0.02),
        "rewards/accuracy_reward/std": 0.5,
        "rewards/accuracy_reward/zero_variance": min(1.0, 0.2 + 0.5 * step / num_steps),
        "rewards/accuracy_reward/unscored": 0.01,
        "completions/mean_length": 45 + 40 * step / num_steps + rng.gauss(0, 2),
        "completions/clipped_ratio": max(0.0, 0.05 - 0.0004 * step),
        "entropy": 0.6 * math.exp(-step / 80),
        "grad_norm": None if step == 7 else 0.4,
        "step_time": 0.31,
    }


def write_rollouts(path: Path, step: int, prompt: str = "Compute 7+5-3") -> None:
    """Two groups of four; the last rollout's accuracy is unscored."""
    rng = random.Random(step)
    rows: dict[str, list[Any]] = {"step": [], "prompt": [], "completion": [], "advantage": []}
    rows |= {column: [] for reward in REWARDS for column in (reward, f"{reward}_reason")}
    for index in range(8):
        is_right = rng.random() < 0.5
        rows["step"].append(step)
        rows["prompt"].append(prompt if index < 4 else "Sort 3 1 2")
        answer = 9 if is_right else 8
        rows["completion"].append(
            f"<think>\n7+5=12\n12-3={answer}\n</think>\n<answer>\n\\boxed{{{answer}}}\n</answer>"
        )
        rows["advantage"].append(0.5 if is_right else -0.5)
        for reward in REWARDS:
            is_unscored = index == 7 and reward == "accuracy_reward"
            rows[reward].append(None if is_unscored else float(is_right or reward != "accuracy_reward"))
            rows[f"{reward}_reason"].append("timeout" if is_unscored else "")
    rewards = {name: rows.pop(name) for name in REWARDS}
    prompts, completions, advantages = rows.pop("prompt"), rows.pop("completion"), rows.pop("advantage")
    del rows["step"]
    table = rollout_table(step, prompts, completions, rewards, rows, advantages)
    rollouts.write_rollouts(path, [table])
