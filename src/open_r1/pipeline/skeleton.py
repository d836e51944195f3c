"""A folder to start from, `open-r1 new NAME`: problems, traces, a reward, recipes and a pipeline that runs as it is."""

from __future__ import annotations

import random
from pathlib import Path

from open_r1.errors import RunFolderError
from open_r1.rundir import write_jsonl, write_text
from open_r1.tasks import draw_problems, get_family, write_trace
from open_r1.text.tags import render_completion

FAMILY, DIFFICULTIES = "sums", (1, 2)
COUNTS = {"problems": 1200, "held_out": 60}

PIPELINE = """# open-r1 run {folder}/pipeline.yaml
# Put your own files in place of problems.jsonl, held_out.jsonl (columns prompt and solution) and traces.jsonl (messages);
# for `model: base` write a folder or Hub id, and leave the stage `base` out.
output_dir: {folder}/run
threads: 1

stages:
  base: {{kind: model, traces: traces.jsonl, shape: {{hidden_size: 64, num_layers: 2}}}}
  sft: {{kind: sft, model: base, traces: traces.jsonl, recipe: sft.yaml}}
  before: {{kind: evaluate, model: sft, problems: held_out.jsonl, max_new_tokens: 32}}
  grpo: {{kind: grpo, model: sft, problems: problems.jsonl, recipe: grpo.yaml}}
  after: {{kind: evaluate, model: grpo, problems: held_out.jsonl, baseline: before, max_new_tokens: 32}}
  report: {{kind: report}}
"""
SFT = """max_steps: 400
per_device_train_batch_size: 16
learning_rate: 3.0e-3
max_length: 128
gradient_checkpointing: false
bf16: false
logging_steps: 20
save_steps: 100
report_to: none
"""
GRPO = """reward_funcs: [accuracy, "{folder}/reward.py:one_answer"]  # the path starts where you run the command
reward_weights: [1.0, 0.1]
max_steps: 20
per_device_train_batch_size: 128
num_generations: 8
max_completion_length: 32
learning_rate: 3.0e-4
lr_scheduler_type: constant_with_warmup
warmup_steps: 3
adam_beta2: 0.99
loss_type: dapo
beta: 0.0
gradient_checkpointing: false
bf16: false
logging_steps: 1
save_steps: 10
report_to: none
"""
REWARD = '''"""A reward of your own: a value for each completion, None where it has nothing to say."""


def one_answer(completions, **columns):
    """Whether a completion boxes exactly one answer; every column of the data is a keyword argument."""
    texts = [chat[-1]["content"] for chat in completions]
    return [float(text.count("boxed{") == 1) for text in texts]
'''


def write_skeleton(folder: Path) -> list[Path]:
    """Write the files and return their paths. RunFolderError for a folder that has something in it."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunFolderError(f"'{folder}' exists and is not empty; choose another name.")
    family = get_family(FAMILY)
    problems = {
        name: draw_problems(family, count, "held_out" if name == "held_out" else "train", 0, DIFFICULTIES)
        for name, count in COUNTS.items()
    }
    rng, traces = random.Random(0), []
    for problem in problems["problems"]:
        trace = write_trace(problem, rng.choice(("terse", "lazy")), 0)
        answer = {"role": "assistant", "content": render_completion(trace.thinking, trace.answer)}
        traces.append({"messages": [{"role": "user", "content": problem.prompt}, answer]})
    for name, found in problems.items():
        write_jsonl(folder / f"{name}.jsonl", [{"prompt": one.prompt, "solution": one.gold} for one in found])
    write_jsonl(folder / "traces.jsonl", traces)
    texts = {"pipeline.yaml": PIPELINE, "sft.yaml": SFT, "grpo.yaml": GRPO}
    for name, text in {
        **{name: text.format(folder=folder) for name, text in texts.items()},
        "reward.py": REWARD,
    }.items():
        write_text(folder / name, text)
    return sorted(folder.iterdir())
