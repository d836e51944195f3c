"""A GRPO step: stock TRL beside ours, on the same model, prompts, completions and rewards, in turn.

    python benchmarks/grpo_step.py [--quick] [--device cuda --shape 1.5B] [--write]

Completion lengths are log-normal (median and 95th percentile as given, cut at the cap), and a share of the groups
has no advantage. An update is all that a step does after generation and rewards: log-probabilities of the old policy where
TRL needs them, forward and backward passes, and the optimizer's step; its completions are replayed. A whole step generates
them too, greedily: stock by transformers' `generate`, all at once, ours by the slot engine. On a CPU the time is that of the
processor, which other work on the machine changes least. Also shown: the largest difference of any gradient, relative to the
largest gradient, and the most memory that the step took over what was taken before it.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import math
import random
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from demo import REPO, describe_machine
from transformers import Qwen2Config, Qwen3Config, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from open_r1.training.tiny_models import make_tokenizer
from open_r1.training.token_budget import TokenBudgetTrainer

GENERATIONS = 8
PROMPT_TOKENS = (20, 120)
SHAPES: dict[str, dict[str, Any]] = {
    "tiny": {"hidden_size": 128, "intermediate_size": 512, "num_hidden_layers": 4, "num_attention_heads": 4},
    "small": {"hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": 6, "num_attention_heads": 4},
    "135M": {"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9},
    "1.5B": {"hidden_size": 1536, "intermediate_size": 8960, "num_hidden_layers": 28, "num_attention_heads": 12},
}
VOCABULARIES = {"tiny": 640, "small": 2048, "135M": 49152, "1.5B": 151936}


@dataclass(frozen=True)
class Load:
    """What a step works on."""

    shape: str = "small"
    samples: int = 128
    median: int = 150
    p95: int = 535
    cap: int = 1024
    dull_share: float = 0.4
    batch_size: int = 8
    generates: bool = False  # the whole step: completions of these lengths are generated, not replayed

    def completions(self, seed: int) -> list[list[int]]:
        """Token ids of each sample's completion."""
        rng = random.Random(seed)
        spread = math.log(self.p95 / self.median) / 1.6449 if self.p95 > self.median else 0.0
        lengths = [
            min(self.cap, max(1, round(self.median * math.exp(rng.gauss(0, spread))))) for _ in range(self.samples)
        ]
        return [[rng.randrange(300, 600) for _ in range(length)] for length in lengths]

    def rewards(self, seed: int) -> list[float]:
        """Each sample's reward: equal within the dull groups, both values within the others."""
        rng = random.Random(seed + 1)
        groups = self.samples // GENERATIONS
        dull = set(rng.sample(range(groups), round(self.dull_share * groups)))
        values: list[float] = []
        for group in range(groups):
            right = rng.choice((0, GENERATIONS)) if group in dull else rng.randrange(1, GENERATIONS)
            values += rng.sample([1.0] * right + [0.0] * (GENERATIONS - right), GENERATIONS)
        return values


class Replay:
    """Completions and rewards that were fixed beforehand; seconds of the step without what replays them."""

    replayed: list[list[int]]
    generates = False
    replay_s = 0.0

    def _generate_single_turn(self, prompt_ids: Any, *_: Any) -> tuple[list[list[int]], None]:
        replayed = self.replayed[: len(prompt_ids)]
        if not self.generates:
            return [list(ids) for ids in replayed], None
        model = self.model.eval()  # type: ignore[attr-defined]
        completions = self.engine(model, list(map(tuple, prompt_ids)), list(map(len, replayed)), len(replayed))
        model.train()
        return completions, None

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        began = time.process_time()
        output = super()._generate_and_score_completions(inputs)  # type: ignore[misc]
        if not self.generates and self.args.gradient_accumulation_steps % self.args.steps_per_generation == 0:  # type: ignore[attr-defined]
            self.replay_s += time.process_time() - began  # no log-probabilities of the old policy in it
        return output


class Stock(Replay, GRPOTrainer):
    """TRL's trainer as it is; it generates by transformers' `generate`, all at once."""

    def engine(self, *load: Any) -> list[list[int]]:
        from engine import by_generate

        return by_generate(*load)


class Ours(Replay, TokenBudgetTrainer):
    """The package's trainer and its engine."""

    def engine(self, *load: Any) -> list[list[int]]:
        from engine import by_engine

        return by_engine(*load)


class Watch(TrainerCallback):
    """Seconds and gradients of each optimizer step."""

    def __init__(self, device: str) -> None:
        self.device, self.seconds, self.gradients, self.began = device, [], {}, 0.0

    def now(self) -> float:
        if self.device != "cuda":
            return time.process_time()
        torch.cuda.synchronize()
        return time.perf_counter()

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self.began = self.now()

    def on_pre_optimizer_step(self, *_: Any, model: Any = None, **__: Any) -> None:
        named = model.named_parameters()
        self.gradients = {name: value.grad.detach().float().cpu() for name, value in named if value.grad is not None}

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.seconds.append(self.now() - self.began)


class PeakMemory:
    """GiB that a step takes at most, over what was taken before: of the GPU, or of this process on Linux."""

    def __init__(self, device: str) -> None:
        self.device = device
        if device == "cuda":
            torch.cuda.reset_peak_memory_stats()
            return
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text(
            "5", encoding="ascii"
        )  # the peak starts again from what is resident now
        self.before = self.of_process("VmRSS")

    def of_process(self, name: str) -> float:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) / 2**20 for line in lines if line.startswith(name))

    def read(self) -> float:
        if self.device == "cuda":
            return torch.cuda.max_memory_allocated() / 2**30
        return self.of_process("VmHWM") - self.before


def make_model(shape: str, device: str) -> Any:
    torch.manual_seed(0)
    heads = SHAPES[shape]["num_attention_heads"]
    common = {**SHAPES[shape], "vocab_size": VOCABULARIES[shape], "max_position_embeddings": 4096}
    if shape == "1.5B":
        from transformers import Qwen2ForCausalLM

        return Qwen2ForCausalLM(Qwen2Config(num_key_value_heads=2, **common)).to(device, torch.bfloat16)
    from transformers import Qwen3ForCausalLM

    keys = 3 if heads % 2 else heads // 2
    config = Qwen3Config(num_key_value_heads=keys, head_dim=common["hidden_size"] // heads, **common)
    return Qwen3ForCausalLM(config).float().to(device)


@dataclass
class Measured:
    """One side of one round."""

    seconds: float
    gradients: dict[str, torch.Tensor]
    peak_gib: float
    padding_share: float | None


def measure(trainer_class: Any, load: Load, seed: int, device: str, folder: Path) -> Measured:
    """One optimizer step on the load."""
    values = load.rewards(seed)

    def replayed_reward(completions: Any, **_: Any) -> list[float]:
        return values[: len(completions)]

    rng = random.Random(seed + 2)
    prompts = [
        "1 + " * rng.randrange(PROMPT_TOKENS[0] // 2, PROMPT_TOKENS[1] // 2)
        for _ in range(load.samples // GENERATIONS)
    ]
    watch = Watch(device)
    trainer = trainer_class(
        model=make_model(load.shape, device),
        reward_funcs=replayed_reward,
        args=GRPOConfig(
            output_dir=str(folder),
            use_cpu=device == "cpu",
            bf16=device == "cuda",
            per_device_train_batch_size=load.batch_size,
            gradient_accumulation_steps=load.samples // load.batch_size,
            num_generations=GENERATIONS,
            max_completion_length=load.cap,
            max_steps=1,
            learning_rate=1e-6,
            max_grad_norm=0.0,
            gradient_checkpointing=False,
            shuffle_dataset=False,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            seed=seed,
        ),
        train_dataset=Dataset.from_dict({"prompt": prompts}),
        processing_class=TOKENIZER,
        callbacks=[watch],
    )
    trainer.replayed = load.completions(seed)
    trainer.generates = load.generates
    memory = PeakMemory(device)
    trainer.train()
    peak = memory.read()
    padding = trainer._metrics["train"].get("padding_share") or [
        row["padding_share"] for row in trainer.state.log_history if "padding_share" in row
    ]
    replay = 0.0 if device == "cuda" else trainer.replay_s
    return Measured(watch.seconds[0] - replay, watch.gradients, peak, padding[-1] if padding else None)


def difference(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> float:
    largest = max(float(value.abs().max()) for value in first.values())
    return max(float((first[name] - second[name]).abs().max()) for name in first) / largest


def compare(load: Load, rounds: int, device: str) -> dict[str, Any]:
    """Both sides in turn: median seconds, ratio of each round, gradients' difference."""
    pairs: list[tuple[Measured, Measured]] = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(rounds):
            sides = [measure(side, load, seed, device, Path(folder)) for side in (Stock, Ours)]
            pairs.append((sides[0], sides[1]))
    ratios = [stock.seconds / ours.seconds for stock, ours in pairs]
    return {
        "stock_s": statistics.median(stock.seconds for stock, _ in pairs),
        "ours_s": statistics.median(ours.seconds for _, ours in pairs),
        "ratio": statistics.median(ratios),
        "lowest": min(ratios),
        "highest": max(ratios),
        "gradients": max(difference(stock.gradients, ours.gradients) for stock, ours in pairs),
        "padding": statistics.median(ours.padding_share or 0.0 for _, ours in pairs),
        "peaks": [max(side.peak_gib for side in sides) for sides in zip(*pairs, strict=True)],
    }


def row(load: Load, found: dict[str, Any]) -> str:
    peaks = " / ".join(f"{peak:.2f}" for peak in found["peaks"])
    return (
        f"| {'whole step' if load.generates else 'update'} | {load.shape}, {load.samples} "
        f"| {load.median}, {load.p95}, {load.cap} | {100 * load.dull_share:.0f} | {found['stock_s']:.1f} "
        f"| {found['ours_s']:.1f} | {found['ratio']:.1f} [{found['lowest']:.1f}, {found['highest']:.1f}] "
        f"| {found['gradients']:.0e} | {100 * found['padding']:.0f} | {peaks} |"
    )


COLUMNS = (
    "seconds of",
    "model, samples",
    "length: median, p95, cap",
    "dull groups, %",
    "stock, s",
    "ours, s",
    "× [range]",
    "gradients differ by",
    "our padding, %",
    "peak GiB, stock / ours",
)
HEAD = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]


def loads(arguments: argparse.Namespace) -> list[Load]:
    main = Load(shape=arguments.shape)
    if arguments.quick:
        return [Load(shape=arguments.shape, samples=64)]
    return [
        main,
        Load(shape=arguments.shape, generates=True),
        Load(shape=arguments.shape, dull_share=0.0),
        Load(shape=arguments.shape, p95=200),
        Load(shape=arguments.shape, p95=150, dull_share=0.0),
        *([Load(shape="tiny"), Load(shape="135M", samples=16, batch_size=4)] if arguments.device == "cpu" else []),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--shape", choices=SHAPES, default="small")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--rounds", type=int, default=3, help="of the first two loads; the others run once")
    parser.add_argument("--quick", action="store_true", help="one load of 64 samples, one round")
    parser.add_argument("--write", action="store_true", help="keep the output in benchmarks/results/grpo_step.md")
    arguments = parser.parse_args()
    rounds = 1 if arguments.quick else arguments.rounds
    command = " ".join(["benchmarks/grpo_step.py", *sys.argv[1:]])
    lines = ["# The update of a GRPO step", "", f"{describe_machine()}; `{command}`", "", *HEAD]
    print("\n".join(lines), flush=True)
    for number, load in enumerate(loads(arguments)):
        found = compare(load, 1 if number > 1 else rounds, arguments.device)
        lines.append(row(load, found))
        print(lines[-1], flush=True)
        if not number:
            first = found
    print(f"\nupdate {first['ratio']:.1f}×")
    if arguments.write:
        (REPO / "benchmarks" / "results" / "grpo_step.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


TOKENIZER = make_tokenizer(["1 + "], 640)

if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
