"""Two processes on the CPU against one: do SFT and GRPO learn the same under DDP, ZeRO-2, ZeRO-3 and FSDP2?

    python benchmarks/sharded_losses.py FOLDER [--only zero2]

SFT runs as `open-r1 sft`; GRPO learns from completions and rewards that were fixed beforehand, by micro-batches of
`token_budget`, and its gradient norm is compared, since its loss does not depend on the weights where each completion is
used once. Every step follows from the updates before it, so equal figures at the last step mean equal updates. DDP and ZeRO
are started by accelerate with the shipped files. accelerate turns FSDP2 on a CPU into DDP, so FSDP2 is `fully_shard` on a
gloo mesh here, around the same model, without accelerate. Prints a table for benchmarks/results/sharded_losses.md.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

REPO = Path(__file__).parents[1]
TESTS = REPO / "tests" / "unit" / "training"
STRATEGIES = ("ddp", "zero2", "zero3")
STEPS, LIMIT_S = 4, 600
LEARNING_RATE = 3e-3


def start(words: list[str], environment: dict[str, str] | None = None) -> float:
    """Run a command; returns its seconds. SystemExit with its last words where it fails."""
    began = time.monotonic()
    more = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"} | (environment or {})
    ran = subprocess.run(words, env=more, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    if ran.returncode:
        raise SystemExit(f"{' '.join(words)}\n{ran.stdout[-3000:]}{ran.stderr[-6000:]}")
    return time.monotonic() - began


def launched(strategy: str, script: list[str], accumulation: int = 1) -> list[str]:
    """The command of a strategy: one process of Python, two by torch's launcher or by accelerate with a shipped file."""
    if strategy == "one process":
        return [sys.executable, *script]
    if strategy == "fsdp2":
        return [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", *script]
    file = REPO / "recipes" / "accelerate_configs" / f"{strategy}.yaml"
    words = ["--config_file", str(file), "--num_processes", "2", "--mixed_precision", "no"]
    words += ["--gradient_accumulation_steps", str(accumulation)] if strategy.startswith("zero") else []
    return [sys.executable, "-P", "-m", "open_r1.launch.node", *words, *script]


def run_sft(strategy: str, folder: Path) -> tuple[list[float], float]:
    """The losses of `open-r1 sft`, 8 samples a step whatever the number of processes, and its seconds."""
    out = folder / f"sft-{strategy.replace(' ', '-')}"
    rows = [
        {"prompt": f"Compute {n}+1", "completion": f"{n + 1} is {'the sum ' * (n % 5)}of them."} for n in range(64)
    ]
    data = folder / "sft.jsonl"
    data.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    settings = {
        "model_name_or_path": folder / "model", "dataset_name": data, "output_dir": out, "max_steps": STEPS,
        "per_device_train_batch_size": 8 if strategy == "one process" else 4, "learning_rate": LEARNING_RATE,
        "logging_steps": 1, "use_cpu": "true", "bf16": "false", "gradient_checkpointing": "false", "report_to": "none",
        "save_strategy": "no", "max_length": 128, "overwrite_output_dir": "true",
    }  # fmt: skip
    words = [word for key, value in settings.items() for word in (f"--{key}", str(value))]
    seconds = start(launched(strategy, [str(REPO / "src" / "open_r1" / "sft.py"), *words]))
    logged = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [row["loss"] for row in logged if "loss" in row], seconds


def run_worker(kind: str, strategy: str, folder: Path) -> tuple[list[float], float]:
    """The losses of this file's own training of a kind, and its seconds."""
    out = folder / f"{kind}-{strategy.replace(' ', '-')}.json"
    accumulation = 8 if strategy == "one process" else 4
    script = [
        str(Path(__file__)),
        str(folder),
        "--worker",
        kind,
        "--accumulation",
        str(accumulation),
        "--out",
        str(out),
    ]
    seconds = start(launched(strategy, script, accumulation))
    return json.loads(out.read_text()), seconds


def import_replay() -> Any:
    """The tests' module with the fixed completions."""
    sys.path.insert(0, str(TESTS))
    return importlib.import_module("replayed_grpo")


def train_grpo(folder: Path, accumulation: int) -> list[float]:
    """GRPO on fixed completions, 48 a step: the gradient norm of each step."""
    replayed_grpo = import_replay()
    changes: dict[str, Any] = {
        "max_steps": STEPS, "gradient_accumulation_steps": accumulation, "optim": "adamw_torch",
        "learning_rate": LEARNING_RATE, "max_grad_norm": 1.0,
    }  # fmt: skip
    _, trainer = replayed_grpo.gradients(replayed_grpo.Ours, folder / "model", **changes)
    return [row["grad_norm"] for row in trainer.state.log_history if "loss" in row]


def train_sharded(folder: Path, accumulation: int) -> list[float]:
    """A causal model on 8 rows a step, by `fully_shard` where there are two processes: the loss of each step."""
    import torch
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    from transformers import AutoModelForCausalLM

    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    model: Any = AutoModelForCausalLM.from_pretrained(folder / "model", dtype=torch.float32)
    if world > 1:
        torch.distributed.init_process_group("gloo")
        mesh = init_device_mesh("cpu", (world,))
        for layer in (*model.model.layers, model):
            fully_shard(layer, mesh=mesh)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE)
    sampled = torch.randint(0, 600, (STEPS, 8, 32), generator=torch.Generator().manual_seed(0))
    losses = []
    for batch in sampled:
        mine = batch.chunk(world)[rank]
        loss = model(input_ids=mine, labels=mine).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        whole = loss.detach().clone()
        if world > 1:
            torch.distributed.all_reduce(whole)
        losses.append(float(whole) / world)
    return losses


def work(arguments: argparse.Namespace) -> None:
    """One process of a training of this file."""
    import torch

    torch.set_num_threads(1)
    train = {"grpo": train_grpo, "fsdp2": train_sharded}[arguments.worker]
    losses = train(arguments.folder, arguments.accumulation)
    if not int(os.environ.get("RANK", 0)):
        arguments.out.write_text(json.dumps(losses))


def main() -> None:
    """Every strategy, or one, against one process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", choices=(*STRATEGIES, "fsdp2"))
    parser.add_argument("--worker", choices=("grpo", "fsdp2"))
    parser.add_argument("--accumulation", type=int)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.worker:
        work(arguments)
        return
    folder = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    import_replay().make_folder(folder / "model")
    sides = {
        "sft": run_sft,
        "grpo": lambda *of: run_worker("grpo", *of),
        "model": lambda *of: run_worker("fsdp2", *of),
    }
    print("| training | strategy | losses; GRPO: gradient norms | largest relative difference | seconds |", flush=True)
    print("|---|---|---|---|---|", flush=True)
    for kind, run in sides.items():
        tried = ("fsdp2",) if kind == "model" else STRATEGIES
        tried = tuple(name for name in tried if arguments.only in (None, name))
        alone, seconds = run("one process", folder) if tried else ([], 0.0)
        for strategy in ("one process", *tried) if tried else ():
            losses, seconds = (alone, seconds) if strategy == "one process" else run(strategy, folder)
            worst = max(abs(one - other) / max(abs(one), 1e-3) for one, other in zip(alone, losses, strict=True))
            shown = " ".join(f"{loss:.6g}" for loss in losses)
            print(f"| {kind} | {strategy} | {shown} | {worst:.1e} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
