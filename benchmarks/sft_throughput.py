"""SFT's useful tokens a second: stock TRL, which pads at random, beside batches of one length and packed sequences, in turn.

    python benchmarks/sft_throughput.py [--quick] [--batch_size 8] [--device cuda --shape 1.5B --scale 8] [--write]

Lengths are log-normal with the mean of Mixture-of-Thoughts (2.1 billion tokens in 349,317 rows: 6,000) and a spread of 0.8,
cut at 32,768, all divided by `--scale`. Each side trains on the same samples, in batches of `--batch_size`; the packed one
in sequences of the longest length, one at a time, as many an update as have about as many tokens as the others' padded
batch. Useful tokens are those of the samples. On a CPU the time is that of the processor, which other work on the machine
changes least.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import datasets
import torch
from datasets import Dataset
from demo import REPO, describe_machine
from grpo_step import SHAPES, TOKENIZER, Watch, make_model
from transformers import PrinterCallback
from trl import SFTConfig, SFTTrainer

from open_r1.training.sft import TraceTrainer

MEAN, SPREAD, LONGEST = 6000, 0.8, 32768
SIDES: dict[str, tuple[Any, dict[str, Any]]] = {
    "stock, padded": (SFTTrainer, {}),
    "one length": (TraceTrainer, {"train_sampling_strategy": "group_by_length"}),
    "packed": (TraceTrainer, {"packing": True}),
}


def make_samples(count: int, scale: int, seed: int) -> list[list[int]]:
    """Token ids of each sample."""
    rng, median = random.Random(seed), MEAN / math.exp(SPREAD**2 / 2)
    lengths = [min(LONGEST, max(scale, round(median * math.exp(rng.gauss(0, SPREAD))))) // scale for _ in range(count)]
    return [[rng.randrange(300, 600) for _ in range(length)] for length in lengths]


def measure(
    side: str, samples: list[list[int]], arguments: argparse.Namespace, seed: int
) -> tuple[float, float, float]:
    """Useful tokens a second, padding share, and peak GiB on a GPU, of one pass over the samples."""
    trainer_class, changes = SIDES[side]
    watch, longest = Watch(arguments.device), LONGEST // arguments.scale
    padded = arguments.batch_size * statistics.mean(
        max(map(len, batch)) for batch in batches(samples, arguments.batch_size)
    )
    packed_size = max(1, round(padded / longest))
    with tempfile.TemporaryDirectory() as folder:
        trainer = trainer_class(
            model=make_model(arguments.shape, arguments.device),
            args=SFTConfig(
                output_dir=folder,
                use_cpu=arguments.device == "cpu",
                bf16=arguments.device == "cuda",
                per_device_train_batch_size=1 if "packing" in changes else arguments.batch_size,
                gradient_accumulation_steps=packed_size if "packing" in changes else 1,
                max_length=longest,
                num_train_epochs=1,
                learning_rate=1e-5,
                gradient_checkpointing=arguments.device == "cuda",
                logging_steps=1,
                save_strategy="no",
                report_to="none",
                disable_tqdm=True,
                seed=seed,
                **changes,
            ),
            train_dataset=Dataset.from_dict({"input_ids": samples}),
            processing_class=TOKENIZER,
            callbacks=[watch],
        )
        trainer.remove_callback(PrinterCallback)
        watch.on_pre_optimizer_step = lambda *_, **__: None  # type: ignore[method-assign]  # keeps no gradients
        if arguments.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        trainer.train()
    peak = torch.cuda.max_memory_allocated() / 2**30 if arguments.device == "cuda" else 0.0
    useful = sum(map(len, samples))
    share = 0.0 if "packing" in changes else padding_of(trainer, arguments.batch_size)
    return useful / sum(watch.seconds), share, peak


def batches(items: Any, size: int) -> list[Any]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def padding_of(trainer: Any, size: int) -> float:
    """The share of padding in the batches of the pass."""
    lengths, order = [len(ids) for ids in trainer.train_dataset["input_ids"]], list(trainer._get_train_sampler())
    found = [[lengths[index] for index in batch] for batch in batches(order, size)]
    return 1 - sum(map(sum, found)) / sum(max(batch) * len(batch) for batch in found)


def compare(arguments: argparse.Namespace, count: int, rounds: int) -> list[str]:
    """A row of the table for each side: medians, and the ratio of each round to stock TRL's."""
    found: dict[str, list[tuple[float, float, float]]] = {side: [] for side in SIDES}
    for seed in range(rounds):
        samples = make_samples(count, arguments.scale, seed)
        for side in SIDES:
            found[side].append(measure(side, samples, arguments, seed))
    rows = []
    for side, measured in found.items():
        speeds, shares, peaks = (list(values) for values in zip(*measured, strict=True))
        ratios = [speed / stock[0] for speed, stock in zip(speeds, found["stock, padded"], strict=True)]
        peak = f"{max(peaks):.1f}" if any(peaks) else "–"
        rows.append(
            f"| {side} | {arguments.batch_size} | {statistics.median(speeds):,.0f} | {100 * statistics.median(shares):.0f} "
            f"| {statistics.median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}] | {peak} |"
        )
    return rows


COLUMNS = ("side", "batch", "useful tokens a second", "padding, %", "speed × [range]", "peak GiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--shape", choices=SHAPES, default="small")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--batch_size", type=int, nargs="+", default=[2, 8], help="samples a batch")
    parser.add_argument("--scale", type=int, default=32, help="lengths are divided by this")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=128)
    parser.add_argument("--quick", action="store_true", help="128 samples of a tiny model, batches of 8, one round")
    parser.add_argument("--write", action="store_true", help="keep the output in benchmarks/results/sft_throughput.md")
    arguments = parser.parse_args()
    sizes, rounds, shape = (
        ([8], 1, "tiny")
        if arguments.quick
        else (
            arguments.batch_size,
            arguments.rounds,
            arguments.shape,
        )
    )
    arguments.shape = shape
    command = " ".join(["benchmarks/sft_throughput.py", *sys.argv[1:]])
    lines = ["# SFT's useful tokens a second", "", f"{describe_machine()}; `{command}`", ""]
    lines += [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    datasets.disable_progress_bars()
    print("\n".join(lines), flush=True)
    for size in sizes:
        arguments.batch_size = size
        lines += compare(arguments, arguments.samples, rounds)
        print("\n".join(lines[-len(SIDES) :]), flush=True)
    if arguments.write:
        path: Path = REPO / "benchmarks" / "results" / "sft_throughput.md"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
