"""Tokens a second of the slot engine beside `transformers.generate`: the same prompts and the same lengths, in turn.

    python benchmarks/engine.py [--shapes demo 135M] [--rounds 3] [--write]

Lengths are log-normal (median 150, 95th percentile 535, cap 1,024; a tenth of that for the demonstration's model). Each side
ends every sequence at its own length: the engine by the request's limit, `generate` by a stopping criterion that marks the
rows that are done, which is how it treats a row that has met the end of its turn. `generate` works in batches of as many
sequences as the engine has slots. Counted are the tokens that were asked for, and processor seconds.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from demo import REPO, describe_machine
from grpo_step import Load, make_model

from open_r1.generation.protocol import Sampling
from open_r1.generation.slots import Request, SlotEngine


@dataclass(frozen=True)
class Case:
    """A model's shape, lengths, sequences in all and at a time."""

    shape: str
    load: Load
    slots: int
    samples_a_prompt: int = 4


CASES = {
    "demo": Case("tiny", Load(median=15, p95=54, cap=102, samples=512), 128),
    "135M": Case("135M", Load(samples=48), 16),
}


class EndAt:
    """A stopping criterion that ends each row at its own length."""

    def __init__(self, prompt: int, lengths: Sequence[int]) -> None:
        self.ends = torch.tensor([prompt + length for length in lengths])

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: Any) -> torch.Tensor:
        return input_ids.size(1) >= self.ends


def by_engine(model: Any, prompts: Sequence[tuple[int, ...]], lengths: Sequence[int], slots: int) -> list[list[int]]:
    requests = [
        Request(place, prompt, Sampling(max_new_tokens=length))
        for place, (prompt, length) in enumerate(zip(prompts, lengths, strict=True))
    ]
    done = dict(SlotEngine(model, (), slots, lambda count: None).complete(requests, threading.Event()))
    return [done[place] for place in range(len(requests))]


@torch.no_grad()
def by_generate(model: Any, prompts: Sequence[tuple[int, ...]], lengths: Sequence[int], slots: int) -> list[list[int]]:
    done: list[list[int]] = []
    for start in range(0, len(prompts), slots):
        rows, ends = prompts[start : start + slots], lengths[start : start + slots]
        longest = max(map(len, rows))
        ids = torch.tensor([[0] * (longest - len(row)) + list(row) for row in rows])
        mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
        output = model.generate(
            input_ids=ids,
            attention_mask=mask,
            do_sample=False,
            max_new_tokens=max(ends),
            eos_token_id=None,
            pad_token_id=0,
            stopping_criteria=[EndAt(longest, ends)],
        )
        done += [row[longest : longest + end].tolist() for row, end in zip(output, ends, strict=True)]
    return done


def compare(case: Case, rounds: int) -> tuple[list[float], list[float], float]:
    """Tokens a second of `generate` and of the engine in each round, and the share of sequences that are the same."""
    model = make_model(case.shape, "cpu").eval()
    stock, ours, same = [], [], []
    for seed in range(rounds):
        lengths = [len(ids) for ids in case.load.completions(seed)]
        distinct = [tuple(range(5, 25 + 3 * number % 60)) for number in range(len(lengths) // case.samples_a_prompt)]
        prompts = [prompt for prompt in distinct for _ in range(case.samples_a_prompt)]
        made = []
        for run, speeds in ((by_generate, stock), (by_engine, ours)):
            began = time.process_time()
            made.append(run(model, prompts, lengths, case.slots))
            speeds.append(sum(lengths) / (time.process_time() - began))
        same.append(statistics.mean(one == other for one, other in zip(*made, strict=True)))
    return stock, ours, statistics.mean(same)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--shapes", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="keep the output in benchmarks/results/engine.md")
    arguments = parser.parse_args()
    command = " ".join(["benchmarks/engine.py", *sys.argv[1:]])
    lines = ["# Generation in this process", "", f"{describe_machine()}; `{command}`", ""]
    lines += [
        "| model | sequences, slots | generate, tokens/s | engine, tokens/s | × [range] | same tokens, % |",
        "|---" * 6 + "|",
    ]
    print("\n".join(lines), flush=True)
    for name in arguments.shapes:
        case = CASES[name]
        stock, ours, same = compare(case, arguments.rounds)
        ratios = [mine / theirs for mine, theirs in zip(ours, stock, strict=True)]
        spread = f"{statistics.median(ratios):.1f} [{min(ratios):.1f}, {max(ratios):.1f}]"
        speeds = f"{statistics.median(stock):.0f} | {statistics.median(ours):.0f}"
        lines.append(f"| {name} | {case.load.samples}, {case.slots} | {speeds} | {spread} | {100 * same:.1f} |")
        print(lines[-1], flush=True)
    if arguments.write:
        (REPO / "benchmarks" / "results" / "engine.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
