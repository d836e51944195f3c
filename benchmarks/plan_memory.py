"""The plan's memory beside what trainings allocate: small models, on the CPU, each option in a process of its own.

    python benchmarks/plan_memory.py [--only NAME …] [--output benchmarks/results/plan_memory.md]

What is measured: the weights, and the most that torch's CPU allocator has given out beside them from the start of TRL's
`train` to its end, by the profiler's record of every allocation. Pages that the process never touches count. The profiler
does not see what gloo's threads free; where its sum at the end is above what malloc has given out since the start, the
difference was freed there (DDP's first buckets) and is taken off.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from open_r1.launch.plan.sharding import Sharding

MIB = 1 << 20
SHAPE = {"architecture": "qwen2", "hidden_size": 256, "num_layers": 6, "num_heads": 8, "num_key_value_heads": 4,
         "intermediate_size": 704, "vocab_size": 640, "max_positions": 2048}  # fmt: skip
WIDE = {**SHAPE, "architecture": "qwen3", "hidden_size": 512, "num_layers": 4, "intermediate_size": 1536}
SFT = {"per_device_train_batch_size": 8, "max_length": 256, "gradient_checkpointing": False, "bf16": False}
GRPO = {"per_device_train_batch_size": 16, "num_generations": 8, "max_completion_length": 96, "bf16": False,
        "gradient_checkpointing": False, "reward_funcs": ["format"], "preflight_prompts": 0, "beta": 0.04}  # fmt: skip

CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any], int]] = {
    "float32": ("sft", SHAPE, SFT, 1),
    "float32, checkpointing": ("sft", SHAPE, {**SFT, "gradient_checkpointing": True}, 1),
    "bf16 over float32 weights": ("sft", SHAPE, {**SFT, "bf16": True}, 1),
    "bf16 over float32, checkpointing": ("sft", SHAPE, {**SFT, "bf16": True, "gradient_checkpointing": True}, 1),
    "bfloat16 weights": ("sft", SHAPE, {**SFT, "dtype": "bfloat16"}, 1),
    "Qwen3, 4 × 512": ("sft", WIDE, {**SFT, "per_device_train_batch_size": 4, "max_length": 512}, 1),
    "Qwen3, 2 × 256, 2 micro-batches": ("sft", WIDE, {**SFT, "per_device_train_batch_size": 2, "gradient_accumulation_steps": 2}, 1),  # noqa: E501
    "LoRA": ("sft", SHAPE, {**SFT, "use_peft": True, "lora_target_modules": ["all-linear"]}, 1),
    "LoRA, checkpointing": ("sft", SHAPE, {**SFT, "use_peft": True, "gradient_checkpointing": True}, 1),
    "GRPO": ("grpo", SHAPE, GRPO, 1),
    "GRPO, 4 micro-batches": ("grpo", SHAPE, {**GRPO, "per_device_train_batch_size": 4, "gradient_accumulation_steps": 4}, 1),  # noqa: E501
    "DDP, two processes": ("sft", WIDE, {**SFT, "per_device_train_batch_size": 2}, 2),
    "DDP, two processes, larger": ("sft", {**WIDE, "num_layers": 10}, {**SFT, "per_device_train_batch_size": 2}, 2),
    "ZeRO-2, two processes": ("sft", {**WIDE, "num_layers": 10}, {**SFT, "per_device_train_batch_size": 2}, 2),
}  # fmt: skip
"""Name -> kind, shape of the model, settings, processes."""
ZERO2 = Path(__file__).parents[1] / "recipes" / "accelerate_configs" / "zero2.yaml"


def make_inputs(folder: Path, shape: dict[str, Any], length: int) -> None:
    """A model folder, rows of conversations longer than a sample may be but for one in four, and problems."""
    from open_r1.training.tiny_models import ModelShape, make_model_folder

    words = "the sum of seven and nine is written below each line of the long table of numbers".split()
    texts = [" ".join(words[(i + j) % len(words)] for j in range(2 * length)) for i in range(48)]
    make_model_folder(folder / "model", texts, ModelShape(**shape), 0)
    rows = [{"messages": [{"role": "user", "content": "Write."},
                          {"role": "assistant", "content": text[: None if i % 4 else length]}]}
            for i, text in enumerate(texts)]  # fmt: skip
    (folder / "sft.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    problems = [
        {"prompt": f"Compute {i}+{i + 1}, and write the steps.", "solution": str(2 * i + 1)} for i in range(40)
    ]
    (folder / "grpo.jsonl").write_text("".join(json.dumps(row) + "\n" for row in problems))


def measure(kind: str, folder: Path, settings: dict[str, Any]) -> None:
    """Train three steps in this process, and write the peak of its allocations beside the results."""
    import torch
    from torch.profiler import ProfilerActivity, profile
    from transformers import Trainer

    from open_r1.pipeline.training import run_training
    from open_r1.processes.ranks import rank
    from open_r1.training.parse import parse_stage

    torch.set_num_threads(1)
    original, measured = Trainer.train, {}

    def train(trainer: Any, *args: Any, **kwargs: Any) -> Any:
        models = [one for one in (trainer.model, getattr(trainer, "ref_model", None)) if one is not None]
        tensors = [tensor for model in models for tensor in (*model.parameters(), *model.buffers())]
        storages = {one.untyped_storage().data_ptr(): one.untyped_storage().nbytes() for one in tensors}
        before = malloc_bytes()
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
            result = original(trainer, *args, **kwargs)
            grown = malloc_bytes() - before
        kineto: Any = profiler.profiler
        events = [event for event in kineto.kineto_results.events() if event.name() == "[memory]"]
        size = most = 0
        for event in sorted(events, key=lambda event: event.start_ns()):
            size += event.nbytes()
            most = max(most, size)
        unseen = max(0, size - grown)
        measured.update(weights=sum(storages.values()), peak=sum(storages.values()) + most - unseen, unseen=unseen)
        return result

    Trainer.train = train  # type: ignore[method-assign]
    given = {
        "model_name_or_path": folder / "model",
        "dataset_name": folder / f"{kind}.jsonl",
        "output_dir": folder / "run",
    }
    given |= {"max_steps": 3, "use_cpu": True, "report_to": "none", "save_strategy": "no"} | settings
    words: list[str] = []
    for key, value in given.items():
        words += [f"--{key}", *map(str, value if isinstance(value, list) else [value])]
    run_training(parse_stage(kind, words), lambda line: None)  # type: ignore[arg-type]
    if rank() == 0:
        (folder / "measured.json").write_text(json.dumps(measured))


def malloc_bytes() -> int:
    """Bytes that malloc has given out to this process: glibc's mallinfo2, all threads together."""
    names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()
    fields = [(name, ctypes.c_size_t) for name in names]
    info = type("Info", (ctypes.Structure,), {"_fields_": fields})
    library = ctypes.CDLL("libc.so.6")
    library.mallinfo2.restype = info
    found = library.mallinfo2()
    return found.hblkhd + found.uordblks


def run_case(name: str) -> dict[str, Any]:
    """Measured and planned bytes of a case."""
    kind, shape, settings, processes = CASES[name]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make_inputs(folder, shape, settings.get("max_length", 256))
        launcher = ["-m", "torch.distributed.run", f"--nproc_per_node={processes}"] if processes > 1 else []
        if name.startswith("ZeRO-2"):
            launcher = ["-m", "accelerate.commands.launch", "--config_file", str(ZERO2), "--mixed_precision", "no"]
            launcher += ["--num_processes", str(processes)]
        command = [sys.executable, *launcher, __file__, "--child", kind, str(folder), json.dumps(settings)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=900)
        if done.returncode:
            raise SystemExit(f"{name}: {done.stderr[-3000:]}")
        measured = json.loads((folder / "measured.json").read_text())
        sharding = Sharding("zero2" if name.startswith("ZeRO-2") else "ddp", processes)
        return {"name": name, **measured, "plan": planned(kind, folder, settings, sharding)}


def planned(kind: str, folder: Path, settings: dict[str, Any], sharding: Sharding) -> Any:
    """The plan's memory of a case, by the lengths that its data have."""
    from open_r1.configs.reader import as_setting
    from open_r1.launch.plan.architectures import read_architecture
    from open_r1.launch.plan.memory import Workload, plan_memory
    from open_r1.launch.plan.settings import read_settings

    values = read_settings(kind, [as_setting(key, value, "case") for key, value in settings.items()]).values  # type: ignore[arg-type]
    length = values.max_length or 0
    if kind == "grpo":
        length = (values.max_completion_length or 0) + longest_prompt(folder)
    architecture = read_architecture(str(folder / "model"))
    batch, accumulation = values.per_device_train_batch_size, values.gradient_accumulation_steps
    work = Workload(kind, architecture, values, sharding, batch, length, accumulation, on_gpu=False)  # type: ignore[arg-type]
    return plan_memory(work)


def longest_prompt(folder: Path) -> int:
    """Tokens of the longest problem, template included."""
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(folder / "model")
    rows = [json.loads(line) for line in (folder / "grpo.jsonl").read_text().splitlines()]
    chats = [[{"role": "user", "content": row["prompt"]}] for row in rows]
    return max(len(tokenizer.apply_chat_template(chat, add_generation_prompt=True)["input_ids"]) for chat in chats)


def main() -> None:
    """Run the cases and show the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", default=list(CASES), metavar="NAME")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--child", nargs=3, metavar=("KIND", "FOLDER", "SETTINGS"))
    arguments = parser.parse_args()
    if arguments.child:
        kind, folder, settings = arguments.child
        return measure(kind, Path(folder), json.loads(settings))
    rows = [as_row(run_case(name)) for name in arguments.only]
    text = HEADING.format(count=len(rows), command="python benchmarks/plan_memory.py") + "".join(rows)
    if arguments.output:
        arguments.output.write_text(text, encoding="utf-8")
    print(text)


HEADING = """# Memory: plan and measurement

`{command}`: {count} trainings of three steps on a CPU; MiB.

| training | measured | plan | difference | fullest at | parts |
|---|---|---|---|---|---|
"""


def as_row(found: dict[str, Any]) -> str:
    """A case as a line of the table, shown at once too."""
    plan, peak = found["plan"], found["peak"]
    parts = ", ".join(f"{name} {size / MIB:.1f}" for name, size in plan.parts.items())
    row = (f"| {found['name']} | {peak / MIB:.1f} | {plan.total / MIB:.1f} | {plan.total / peak - 1:+.1%} | {plan.moment} "
           f"| {parts} |\n")  # fmt: skip
    print(row, end="", file=sys.stderr, flush=True)
    return row


if __name__ == "__main__":
    main()
