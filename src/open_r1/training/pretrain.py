"""Pretraining of a small base model on plain worked text, without tags or chat template, until it is sometimes right.

Reinforcement learning from a base model (R1-Zero, arXiv:2501.12948, section 2.2) needs one whose samples are right at times.
This loop trains on next tokens at a constant rate, measures its samples on problems that are not in the text, and stops at
the first measurement within the range asked for. It is for models of the size of `tiny_models`, in one process.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from open_r1.answers.check import check_answers
from open_r1.errors import RunError
from open_r1.estimates import estimate_share
from open_r1.generation.in_process import TransformersGenerator
from open_r1.generation.protocol import Sampling
from open_r1.records import Estimate, Problem
from open_r1.rundir import RunDir, append_line, atomic_file
from open_r1.text.tags import TAGS

PLAIN = (
    "{%- for message in messages %}"
    "{%- if message['role'] == 'assistant' %}"
    "{%- generation %}{{- message['content'] + eos_token }}{%- endgeneration %}"
    "{%- else %}{{- message['content'] + '\n' }}{%- endif %}"
    "{%- endfor %}"
)
"""A template that adds no more than the text's line breaks, so that every later stage asks a base in its own form."""

STATE = "state.pt"
IGNORED = -100  # label of a token without loss
BETAS, WEIGHT_DECAY, MAX_NORM, WARMUP_STEPS = (0.9, 0.98), 0.01, 1.0, 40


@dataclass(frozen=True)
class PretrainSettings:
    """How long and how fast; `accuracy` is the range of the share of right samples at which training stops."""

    accuracy: tuple[float, float]
    max_steps: int
    batch_size: int
    learning_rate: float
    measure_every: int
    max_new_tokens: int
    seed: int


def plain_text(prompt: str, completion: str) -> str:
    """A problem and its solution as they would stand in a book: the lines of the completion without R1's tags."""
    for tag in TAGS:
        completion = completion.replace(tag, "\n")
    return "\n".join([prompt, *(line for line in completion.splitlines() if line.strip())])


class Pretraining:
    """One run: the model, its optimizer and the text as token ids. `run` continues after the last measurement."""

    def __init__(self, model: Path, pairs: Sequence[tuple[str, str]], settings: PretrainSettings, run: RunDir) -> None:
        self.settings, self.run = settings, run
        self.tokenizer: Any = AutoTokenizer.from_pretrained(model, padding_side="left")
        self.tokenizer.chat_template = PLAIN
        self.model: Any = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
        self.rows = [self.encode(plain_text(*pair)) for pair in pairs]
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), settings.learning_rate, BETAS, weight_decay=WEIGHT_DECAY
        )
        self.step = self.tokens = 0

    def encode(self, text: str) -> list[int]:
        """The token ids of a text and of its end."""
        return [*self.tokenizer(text)["input_ids"], self.tokenizer.eos_token_id]

    def train(self, problems: Sequence[Problem], report: Callable[[str], None]) -> dict[str, Any]:
        """Train until the accuracy is in its range; returns steps, tokens and accuracy. RunError when it never is."""
        low, high = self.settings.accuracy
        self.restore()
        while self.step < self.settings.max_steps:
            loss = self.take_step()
            if self.step % self.settings.measure_every:
                continue
            accuracy = self.measure(problems)
            report(f"step {self.step}  loss {loss:.3g}  {accuracy.as_percent()} % of samples are right")
            append_line(
                self.run.metrics,
                {"step": self.step, "loss": loss, "accuracy": accuracy.value, "num_tokens": self.tokens},
            )
            if accuracy.value > high:
                raise RunError(
                    f"the accuracy went from below {low:g} to {accuracy.value:.2g} between two measurements, "
                    f"past the range up to {high:g}; lower measure_every or learning_rate."
                )
            if accuracy.value >= low:
                return self.finish() | {"accuracy": accuracy.value, "low": accuracy.low, "high": accuracy.high}
            self.keep()
        raise RunError(
            f"after max_steps = {self.step} steps less than {low:g} of the samples are right; raise max_steps or "
            "learning_rate, or take easier problems."
        )

    def take_step(self) -> float:
        """One update on the next batch; returns the loss a token."""
        ids, mask = self.next_batch()
        rate = self.settings.learning_rate * min(1.0, (self.step + 1) / WARMUP_STEPS)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.model.train()
        loss = self.model(input_ids=ids, attention_mask=mask, labels=ids.masked_fill(mask == 0, IGNORED)).loss
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), MAX_NORM)
        self.optimizer.step()
        self.step, self.tokens = self.step + 1, self.tokens + int(mask.sum())
        return loss.item()

    def next_batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Token ids and attention mask, both (rows, tokens); every epoch has an order of its own."""
        size, count = self.settings.batch_size, len(self.rows)
        places = range(self.step * size, (self.step + 1) * size)
        rows = [self.rows[self.order(place // count)[place % count]] for place in places]
        longest = max(map(len, rows))
        ids = torch.tensor([row + [self.tokenizer.pad_token_id] * (longest - len(row)) for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
        return ids, mask

    def order(self, epoch: int) -> list[int]:
        """The rows' order in an epoch, which depends on nothing but the seed and the epoch."""
        if getattr(self, "_ordered", (-1,))[0] != epoch:
            order = list(range(len(self.rows)))
            random.Random(f"pretrain/{self.settings.seed}/{epoch}").shuffle(order)
            self._ordered = (epoch, order)
        return self._ordered[1]

    def measure(self, problems: Sequence[Problem]) -> Estimate:
        """The share of problems that one sample at temperature 1 gets right, with its 95 % interval."""
        generator = TransformersGenerator(self.model, self.tokenizer, batch_size=len(problems))
        sampling = Sampling(1, 1.0, 1.0, self.settings.max_new_tokens, self.settings.seed)
        completions = generator.generate([problem.prompt for problem in problems], sampling)
        verdicts = check_answers([problem.gold for problem in problems], [one[0].text for one in completions])
        return estimate_share([float(verdict.is_correct) for verdict in verdicts])

    def keep(self) -> None:
        """Write what a run that is killed after this goes on from."""
        state = {
            "step": self.step,
            "tokens": self.tokens,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        with atomic_file(self.run.path / STATE) as file:
            torch.save(state, file)

    def restore(self) -> None:
        """Go on from what an earlier run has kept, if one has."""
        path = self.run.path / STATE
        if path.exists():
            state = torch.load(path, weights_only=True)
            self.step, self.tokens = state["step"], state["tokens"]
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
        self.run.forget_after(self.step)

    def finish(self) -> dict[str, int]:
        """Write the model and its tokenizer."""
        self.model.save_pretrained(self.run.path)
        self.tokenizer.save_pretrained(self.run.path)
        (self.run.path / STATE).unlink(missing_ok=True)
        return {"steps": self.step, "tokens": self.tokens}
