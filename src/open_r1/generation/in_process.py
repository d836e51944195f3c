"""Completions from a transformers model in this process, stopped at the end of the turn.

Models whose layers attend to everything are run by `slots`; others by transformers' `generate`, batch by batch. The longest
prompts come first, so that what doesn't fit in memory shows at once. An opening `<think>` that the chat template has put
into the prompt goes back into the completion.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import GenerationConfig

from open_r1.errors import ModelError, RunError
from open_r1.generation.precision import loading_dtype
from open_r1.generation.protocol import Prompt, Sampling, TemplatedGenerator
from open_r1.generation.slots import Request, SlotEngine, sample_scores, supports
from open_r1.hub.folders import check_model_path, without_template
from open_r1.records import Completion
from open_r1.text.thinking import with_opening

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class TransformersGenerator(TemplatedGenerator):
    """A model and its tokenizer; `batch_size` counts sequences, samples included."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, batch_size: int = 256) -> None:
        self.model, self.tokenizer = model.eval(), tokenizer
        self.batch_size = batch_size
        stated = getattr(model.generation_config, "eos_token_id", None)
        stated = stated if isinstance(stated, list | tuple) else [stated]
        self.stop_ids = _known_ids(tokenizer.eos_token_id, *stated)  # tokens that end a turn
        self.pad_id = next(iter(_known_ids(tokenizer.pad_token_id, tokenizer.eos_token_id, *self.stop_ids)), 0)
        model.generation_config = GenerationConfig(  # penalties and lengths of the model's own are off, as in `slots`
            bos_token_id=tokenizer.bos_token_id, eos_token_id=list(self.stop_ids) or None, pad_token_id=self.pad_id
        )
        self.cancelled = threading.Event()
        self.on_tokens: Callable[[int], None] = lambda count: None
        """Called after each step of the model, with the number of tokens that it added."""
        self.on_completed: Callable[[int, list[Completion]], None] = lambda place, completions: None
        """Called with a prompt's place and its completions as soon as all of them are done."""

    @classmethod
    def from_folder(
        cls, folder: Path | str, use_cpu: bool = False, hub: Mapping[str, Any] | None = None, **options: Any
    ) -> TransformersGenerator:
        """The model and tokenizer of a local folder or Hub id, on the accelerator where there is one and may be used.

        `hub` are transformers' settings of what is loaded: revision, dtype, trust_remote_code. Without a dtype it is the
        saved one, or float32 on a processor that is slow with bfloat16.
        """
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()
        check_model_path(str(folder))
        has_accelerator = torch.accelerator.is_available() and not use_cpu
        device = torch.accelerator.current_accelerator() if has_accelerator else None
        hub = dict(hub or {})
        dtype = loading_dtype(not has_accelerator, hub.pop("dtype", None))
        what = "tokenizer"
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left", **hub)
            if not tokenizer.chat_template:
                raise without_template(str(folder))
            what = "model"
            model = AutoModelForCausalLM.from_pretrained(folder, device_map=device, dtype=dtype, **hub)
        except ModelError:
            raise
        except Exception as error:  # noqa: BLE001 - a damaged folder fails in each library's own way
            raise ModelError(f"no {what} could be loaded from '{folder}': {' '.join(str(error).split())}") from None
        return cls(model, tokenizer, **options)

    def cancel(self) -> None:
        """End what is being generated, in whatever thread, before its next token; what is asked for later goes on."""
        self.cancelled.set()
        self.cancelled = threading.Event()

    def generate_each(self, prompts: Sequence[Prompt], samplings: Sequence[Sampling]) -> list[list[Completion]]:
        """As the protocol says, but for ties: padding changes the last digits of what a model computes."""
        encoded = [tuple(self.encode(prompt)) for prompt in prompts]
        requests = [
            Request(
                (place, index), encoded[place], replace(sampling, num_samples=1, seed=(sampling.seed + index) % 2**31)
            )
            for place, sampling in enumerate(samplings)
            for index in range(sampling.num_samples)
        ]
        requests.sort(key=lambda request: -len(request.prompt))
        done: list[dict[int, Completion]] = [{} for _ in prompts]
        for (place, index), tokens in self.complete(requests, self.cancelled):
            done[place][index] = self.decode(tokens, self.opened_by(encoded[place]))
            if len(done[place]) == samplings[place].num_samples:
                self.on_completed(place, in_order(done[place]))
        return [in_order(completions) for completions in done]

    def complete(self, requests: Sequence[Request], cancelled: threading.Event) -> Iterator[tuple[Any, list[int]]]:
        """The key and the token ids of each request, as they end; RunError once `cancelled` is set."""
        if supports(self.model):
            engine = SlotEngine(self.model, self.stop_ids, self.batch_size, self.on_tokens)
            yield from engine.complete(requests, cancelled)
            return
        for _, alike in itertools.groupby(requests, lambda request: replace(request.sampling, seed=0)):
            while batch := list(itertools.islice(alike, self.batch_size)):
                yield from zip((request.key for request in batch), self.complete_batch(batch, cancelled), strict=True)

    def context_length(self) -> int | None:
        """Tokens of prompt and completion together that the model takes; None where its config does not say."""
        return getattr(self.model.config.get_text_config(), "max_position_embeddings", None)

    @torch.no_grad()
    def complete_batch(self, requests: Sequence[Request], cancelled: threading.Event) -> list[list[int]]:
        """Token ids of each request, whose samplings differ in the seed alone, by transformers' `generate`."""
        sampling = requests[0].sampling
        input_ids, mask = (
            part.to(self.model.device) for part in pad_left([one.prompt for one in requests], self.pad_id)
        )
        sampled = [SeededSampling(requests, input_ids.device)] if sampling.temperature > 0 else []
        output = self.model.generate(  # type: ignore[operator]
            input_ids=input_ids,
            attention_mask=mask,
            max_new_tokens=sampling.max_new_tokens,
            do_sample=False,  # `SeededSampling` makes the greedy choice a sample
            temperature=None,
            top_p=None,
            top_k=None,
            logits_processor=sampled,
            stopping_criteria=[Watch(self.on_tokens, self.pad_id, cancelled)],
        )
        if cancelled.is_set():
            raise RunError("the generation was cancelled; run the same command again to go on.")
        return output[:, input_ids.shape[1] :].tolist()

    def decode(self, tokens: list[int], opened: str = "") -> Completion:
        """Text without special tokens, after the tag that the prompt `opened`; cut off when the turn's end never came."""
        end = next((place for place, token in enumerate(tokens) if token in self.stop_ids), None)
        has_ended = end is not None
        whole = tokens[:end]
        text = with_opening(str(self.tokenizer.decode(whole, skip_special_tokens=True)), opened)
        return Completion(text, len(whole) + has_ended, "stop" if has_ended else "length")


def _known_ids(*ids: Any) -> tuple[int, ...]:
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
    """A logits processor after which the greedy choice is a sample, each row's by its own seed."""

    def __init__(self, requests: Sequence[Request], device: torch.device) -> None:
        self.samplings = [request.sampling for request in requests]
        self.generators = [torch.Generator(device).manual_seed(sampling.seed) for sampling in self.samplings]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """`scores` are logits (sequences, vocabulary)."""
        return sample_scores(scores.float(), self.samplings, self.generators)


def in_order(completions: Mapping[int, Completion]) -> list[Completion]:
    """The completions of one prompt by their indices."""
    return [completions[index] for index in sorted(completions)]
