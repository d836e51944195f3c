"""Completions from a transformers model in this process: batched, left-padded, stopped at the end of the turn.

Prompts are taken longest first, so that a batch that doesn't fit in memory shows at once and little is wasted on
padding; results come back in the prompts' order.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from open_r1.errors import ModelError
from open_r1.generation.protocol import Prompt, Sampling, to_messages
from open_r1.model_folder import check_model_path
from open_r1.records import Completion

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class TransformersGenerator:
    """A model and its tokenizer; `batch_size` counts sequences, samples included."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        batch_size: int = 256,
        system_prompt: str | None = None,
        report: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.batch_size = batch_size
        self.system_prompt = system_prompt
        self.report = report

    @classmethod
    def from_folder(cls, folder: Path | str, **options: Any) -> TransformersGenerator:
        """The model and tokenizer of a local folder or Hub id, on the accelerator where there is one."""
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()
        check_model_path(str(folder))
        device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
            model = AutoModelForCausalLM.from_pretrained(folder, device_map=device)
        except Exception as error:  # noqa: BLE001 - a damaged folder fails in each library's own way
            raise ModelError(f"no model could be loaded from '{folder}': {' '.join(str(error).split())}") from None
        return cls(model, tokenizer, **options)

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[list[Completion]]:
        encoded = [self.encode(prompt) for prompt in prompts]
        order = sorted(range(len(encoded)), key=lambda index: -len(encoded[index]))
        per_batch = max(1, self.batch_size // sampling.num_samples)
        done: dict[int, list[Completion]] = {}
        for start in range(0, len(order), per_batch):
            batch = order[start : start + per_batch]
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(sampling.seed + start)
                sequences = self.complete_batch([encoded[index] for index in batch], sampling)
            for position, index in enumerate(batch):
                first = position * sampling.num_samples
                done[index] = [self.decode(tokens) for tokens in sequences[first : first + sampling.num_samples]]
            self.report(f"{len(done)}/{len(prompts)} prompts at temperature {sampling.temperature:g}")
        return [done[index] for index in range(len(prompts))]

    def generate_each(self, prompts: Sequence[Prompt], samplings: Sequence[Sampling]) -> list[list[Completion]]:
        """Each prompt by its own sampling; a sample depends on its own seed, not on what stands beside it in a batch.

        But for ties, as greedy completions do: padding changes the last digits of what a model computes.
        """
        rows = [
            (
                len(encoded),
                place,
                encoded,
                dataclasses.replace(sampling, num_samples=1, seed=(sampling.seed + index) % 2**31),
            )
            for place, (encoded, sampling) in enumerate(zip(map(self.encode, prompts), samplings, strict=True))
            for index in range(sampling.num_samples)
        ]
        done: list[list[Completion]] = [[] for _ in prompts]
        for batch in self.batches_alike(sorted(rows, key=lambda row: (-row[0], row[1]))):
            seeds = [sampling.seed for *_, sampling in batch]
            sequences = self.complete_batch([encoded for _, _, encoded, _ in batch], batch[0][3], seeds)
            for (_, place, _, _), tokens in zip(batch, sequences, strict=True):
                done[place].append(self.decode(tokens))
        return done

    def batches_alike(self, rows: Sequence[Any]) -> Iterator[list[Any]]:
        """Successive rows whose samplings differ in the seed alone, at most `batch_size` at a time."""
        for _, alike in itertools.groupby(rows, lambda row: dataclasses.replace(row[3], seed=0)):
            found = list(alike)
            for start in range(0, len(found), self.batch_size):
                yield found[start : start + self.batch_size]

    def encode(self, prompt: Prompt) -> list[int]:
        messages = to_messages(prompt, self.system_prompt)
        encoded: Any = self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)
        return encoded["input_ids"]

    @torch.no_grad()
    def complete_batch(
        self, encoded: Sequence[Sequence[int]], sampling: Sampling, seeds: Sequence[int] | None = None
    ) -> list[list[int]]:
        """Token ids of the completions, `num_samples` for each prompt in turn, up to the end-of-turn token.

        With `seeds`, one a prompt, each row is drawn by its own.
        """
        rows: Any = {"input_ids": list(encoded)}
        padded = self.tokenizer.pad(rows, padding_side="left", return_tensors="pt")
        padded = padded.to(self.model.device)
        choice: dict[str, Any] = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
        if sampling.temperature > 0 and seeds is not None:
            choice["logits_processor"] = [SeededDraw(sampling, seeds, padded["input_ids"].device)]
        elif sampling.temperature > 0:
            choice = {"do_sample": True, "temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0}
        output = self.model.generate(  # type: ignore[operator]
            input_ids=padded["input_ids"],
            attention_mask=padded["attention_mask"],
            max_new_tokens=sampling.max_new_tokens,
            num_return_sequences=sampling.num_samples,
            pad_token_id=self.tokenizer.pad_token_id,
            eos_token_id=self.tokenizer.eos_token_id,
            **choice,
        )
        return output[:, padded["input_ids"].shape[1] :].tolist()

    def decode(self, tokens: list[int]) -> Completion:
        """Text without special tokens; cut off when the end of the turn never came."""
        end = self.tokenizer.eos_token_id
        has_ended = end in tokens
        whole = tokens[: tokens.index(end)] if has_ended else tokens
        text = str(self.tokenizer.decode(whole, skip_special_tokens=True))
        return Completion(text, len(whole) + has_ended, "stop" if has_ended else "length")


class SeededDraw:
    """A logits processor after which the greedy choice is a draw, each row's by its own seed.

    The Gumbel-max trick: the largest of log-probability + Gumbel noise is a sample of the distribution (Gumbel 1954).
    """

    def __init__(self, sampling: Sampling, seeds: Sequence[int], device: torch.device) -> None:
        self.temperature, self.top_p = sampling.temperature, sampling.top_p
        self.generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        scores = keep_top_p(scores.float() / self.temperature, self.top_p)
        uniform = torch.stack(
            [torch.rand(scores.shape[1], generator=generator, device=scores.device) for generator in self.generators]
        )
        return scores - torch.log(-torch.log(uniform.clamp_min(torch.finfo(uniform.dtype).tiny)))


def keep_top_p(scores: torch.Tensor, top_p: float) -> torch.Tensor:
    """The scores with everything below the smallest set of tokens that has `top_p` of the probability at -inf."""
    if top_p >= 1:
        return scores
    ordered, places = scores.sort(dim=-1, descending=True)
    before = ordered.softmax(dim=-1).cumsum(dim=-1) - ordered.softmax(dim=-1)
    left_out = (before >= top_p).scatter(-1, places, before >= top_p)
    return scores.masked_fill(left_out, -torch.inf)
