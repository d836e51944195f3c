"""Completions from a transformers model in this process: batched, left-padded, stopped at the end of the turn.

Prompts are taken longest first, so that a batch that doesn't fit in memory shows at once and little is wasted on
padding. An opening `<think>` that the chat template has put into the prompt goes back into the completion.
"""

from __future__ import annotations

import dataclasses
import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import TopPLogitsWarper

from open_r1.errors import ModelError, RunError
from open_r1.generation.protocol import Generator, Prompt, Sampling, to_messages
from open_r1.hub.folders import check_model_path, without_template
from open_r1.records import Completion
from open_r1.text.thinking import OPENING_TOKENS, open_thinking, with_opening

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class TransformersGenerator(Generator):
    """A model and its tokenizer; `batch_size` counts sequences, samples included."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        batch_size: int = 256,
        system_prompt: str | None = None,
    ) -> None:
        self.model, self.tokenizer = model.eval(), tokenizer
        self.batch_size, self.system_prompt = batch_size, system_prompt
        self.stop_ids = find_stop_ids(model, tokenizer)
        self.pad_id = next(iter(known_ids(tokenizer.pad_token_id, tokenizer.eos_token_id, *self.stop_ids)), 0)
        self.cancelled = threading.Event()
        self.on_tokens: Callable[[int], None] = lambda count: None
        """Called while a batch is generated, with the number of tokens that its last step added."""

    @classmethod
    def from_folder(cls, folder: Path | str, **options: Any) -> TransformersGenerator:
        """The model and tokenizer of a local folder or Hub id, on the accelerator where there is one."""
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()
        check_model_path(str(folder))
        device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        with loading("tokenizer", folder):
            tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
        try:
            tokenizer.get_chat_template()
        except ValueError:
            raise without_template(str(folder)) from None
        with loading("model", folder):
            model = AutoModelForCausalLM.from_pretrained(folder, device_map=device)
        return cls(model, tokenizer, **options)

    def cancel(self) -> None:
        """End what is being generated, in whatever thread, before its next token; what is asked for later goes on."""
        self.cancelled.set()
        self.cancelled = threading.Event()

    def generate_each(self, prompts: Sequence[Prompt], samplings: Sequence[Sampling]) -> list[list[Completion]]:
        """As the protocol says, but for ties: padding changes the last digits of what a model computes."""
        cancelled = self.cancelled
        rows = [
            (place, encoded, dataclasses.replace(sampling, num_samples=1, seed=(sampling.seed + index) % 2**31))
            for place, (encoded, sampling) in enumerate(zip(map(self.encode, prompts), samplings, strict=True))
            for index in range(sampling.num_samples)
        ]
        done: list[list[Completion]] = [[] for _ in prompts]
        rows.sort(key=lambda row: -len(row[1]))
        for _, alike in itertools.groupby(rows, lambda row: dataclasses.replace(row[2], seed=0)):
            while batch := list(itertools.islice(alike, self.batch_size)):
                seeds = [sampling.seed for _, _, sampling in batch]
                sequences = self.complete_batch([encoded for _, encoded, _ in batch], batch[0][2], seeds, cancelled)
                for (place, encoded, _), tokens in zip(batch, sequences, strict=True):
                    done[place].append(self.decode(tokens, self.opened_by(encoded)))
        return done

    def encode(self, prompt: Prompt) -> list[int]:
        """The token ids of a prompt by the chat template."""
        messages = to_messages(prompt)
        encoded: Any = self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)
        return encoded["input_ids"]

    def opened_by(self, encoded: Sequence[int]) -> str:
        """The opening `<think>` that a prompt ends with; empty where it doesn't."""
        return open_thinking(str(self.tokenizer.decode(list(encoded[-OPENING_TOKENS:]), skip_special_tokens=False)))

    @torch.no_grad()
    def complete_batch(
        self,
        encoded: Sequence[Sequence[int]],
        sampling: Sampling,
        seeds: Sequence[int] = (),
        cancelled: threading.Event | None = None,
    ) -> list[list[int]]:
        """Token ids of one completion of each prompt, up to the end-of-turn token; RunError once `cancelled` is set.

        `seeds`, one a prompt, are needed above temperature 0.
        """
        input_ids, mask = (part.to(self.model.device) for part in pad_left(encoded, self.pad_id))
        sampled = [SeededSampling(sampling, seeds, input_ids.device)] if sampling.temperature > 0 else []
        output = self.model.generate(  # type: ignore[operator]
            input_ids=input_ids,
            attention_mask=mask,
            max_new_tokens=sampling.max_new_tokens,
            do_sample=False,  # `SeededSampling` makes the greedy choice a sample
            temperature=None,
            top_p=None,
            top_k=None,
            logits_processor=sampled,
            pad_token_id=self.pad_id,
            eos_token_id=list(self.stop_ids) or None,
            stopping_criteria=[Watch(self.on_tokens, self.pad_id, cancelled or self.cancelled)],
        )
        if cancelled is not None and cancelled.is_set():
            raise RunError("the generation was cancelled; run the same command again to go on.")
        return output[:, input_ids.shape[1] :].tolist()

    def decode(self, tokens: list[int], opened: str = "") -> Completion:
        """Text without special tokens, after the tag that the prompt `opened`; cut off when the turn's end never came."""
        end = next((place for place, token in enumerate(tokens) if token in self.stop_ids), None)
        has_ended = end is not None
        whole = tokens[:end]
        text = with_opening(str(self.tokenizer.decode(whole, skip_special_tokens=True)), opened)
        return Completion(text, len(whole) + has_ended, "stop" if has_ended else "length")


@contextmanager
def loading(what: str, folder: Path | str) -> Iterator[None]:
    """ModelError for whatever a library fails with while it loads a part of a folder."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - a damaged folder fails in each library's own way
        raise ModelError(f"no {what} could be loaded from '{folder}': {' '.join(str(error).split())}") from None


def find_stop_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """The tokens that end a turn: the tokenizer's and those of the model's generation_config.json."""
    stated = getattr(model.generation_config, "eos_token_id", None)
    return known_ids(tokenizer.eos_token_id, *(stated if isinstance(stated, list | tuple) else [stated]))


def known_ids(*ids: Any) -> tuple[int, ...]:
    """Each id once, those that are None left out."""
    return tuple(dict.fromkeys(int(id) for id in ids if id is not None))


def pad_left(encoded: Sequence[Sequence[int]], pad_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and the attention mask, both (prompts, tokens of the longest)."""
    longest = max(len(row) for row in encoded)
    missing = [longest - len(row) for row in encoded]
    ids = [[pad_id] * count + list(row) for count, row in zip(missing, encoded, strict=True)]
    mask = [[0] * count + [1] * (longest - count) for count in missing]
    return torch.tensor(ids), torch.tensor(mask)


class Watch:
    """A stopping criterion that reports how many tokens each step adds, and ends every row once the event is set."""

    def __init__(self, on_tokens: Callable[[int], None], pad_id: int, event: threading.Event) -> None:
        self.on_tokens, self.pad_id, self.event = on_tokens, pad_id, event

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **options: Any) -> torch.Tensor:
        """`input_ids` is (sequences, tokens so far); returns one truth value for each sequence."""
        self.on_tokens(int((input_ids[:, -1] != self.pad_id).sum()))  # padding does not count
        return torch.full((input_ids.shape[0],), self.event.is_set(), dtype=torch.bool, device=input_ids.device)


class SeededSampling:
    """A logits processor after which the greedy choice is a sample, each row's by its own seed.

    The Gumbel-max trick: the largest of log-probability + Gumbel noise is a sample of the distribution (Gumbel 1954).
    """

    def __init__(self, sampling: Sampling, seeds: Sequence[int], device: torch.device) -> None:
        self.temperature, self.top_p = sampling.temperature, sampling.top_p
        self.generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        scores = scores.float() / self.temperature
        if self.top_p < 1:
            scores = TopPLogitsWarper(self.top_p)(input_ids, scores)
        uniform = torch.stack(
            [torch.rand(scores.shape[1], generator=generator, device=scores.device) for generator in self.generators]
        )
        return scores - torch.log(-torch.log(uniform.clamp_min(torch.finfo(uniform.dtype).tiny)))
