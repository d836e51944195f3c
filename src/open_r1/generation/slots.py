"""Completions by a transformers model with a place for each sequence: who is done leaves, who waits takes the place.

`transformers.generate` computes every row of a batch until the longest is done. Here a finished sequence leaves the batch at
once, the next prompt takes its slot, samples of one prompt share its prefill, and each completion is handed out as it ends.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import DynamicCache

from open_r1.errors import RunError
from open_r1.generation.protocol import Sampling

PREFILL_TOKENS = 4096
"""The most padded tokens of prompts in one forward pass."""
REFILL_SHARE = 8
"""New prompts are taken in when one slot in so many is free: every other sequence waits for a prefill."""


@dataclass(frozen=True)
class Request:
    """One completion to make: the prompt's token ids, and how its tokens are chosen (`num_samples` does not count)."""

    key: Any
    prompt: tuple[int, ...]
    sampling: Sampling


@dataclass
class Running:
    """A request at work in a slot."""

    request: Request
    generator: torch.Generator | None
    tokens: list[int] = field(default_factory=list)

    @property
    def position(self) -> int:
        """The position of its last token."""
        return len(self.request.prompt) + len(self.tokens) - 1


class SlotCache(DynamicCache):
    """Keys and values of each slot, shape (slots, heads, columns, head size); a sequence begins at column 0 of its slot.

    Before a forward pass `write_to` says where the new tokens stand; the slots in use are always the first ones.
    """

    def __init__(self, slots: int) -> None:
        super().__init__()
        self.slots = slots
        self.kept: list[list[torch.Tensor]] = []
        self.rows, self.columns = torch.zeros(0, dtype=torch.long), torch.zeros(0, dtype=torch.long)
        self.length, self.is_prefill = 0, False

    def write_to(self, rows: torch.Tensor, columns: torch.Tensor, length: int) -> None:
        """The next pass decodes one token a row, at these columns, and attends to the first `length` columns."""
        self.rows, self.columns, self.length, self.is_prefill = rows, columns, length, False

    def fill(self, rows: torch.Tensor, length: int) -> None:
        """The next pass reads prompts of at most `length` tokens into these slots."""
        self.rows, self.length, self.is_prefill = rows, length, True

    def update(self, keys: torch.Tensor, values: torch.Tensor, layer: int, *_: Any, **__: Any) -> Any:
        """Store a layer's new keys and values, each (rows, heads, tokens, head size); returns those to attend to."""
        while len(self.kept) <= layer:
            self.kept.append([new.new_zeros(self.slots, new.size(1), 0, new.size(3)) for new in (keys, values)])
        self.grow(self.kept[layer])
        if self.is_prefill:
            for kept, new in zip(self.kept[layer], (keys, values), strict=True):
                kept[self.rows, :, : self.length] = new
            return keys, values
        for kept, new in zip(self.kept[layer], (keys, values), strict=True):
            kept[self.rows, :, self.columns] = new[:, :, 0]
        return tuple(kept[: len(self.rows), :, : self.length] for kept in self.kept[layer])

    def grow(self, buffers: list[torch.Tensor]) -> None:
        """Make room for `length` columns, at least doubling."""
        for number, buffer in enumerate(buffers):
            if buffer.size(2) < self.length:
                wanted = max(self.length, 2 * buffer.size(2), 64)
                buffers[number] = torch.nn.functional.pad(buffer, (0, 0, 0, wanted - buffer.size(2)))

    def copy(self, source: int, target: int, length: int) -> None:
        """The first `length` columns of a slot into another."""
        for buffer in (one for layer in self.kept for one in layer):
            buffer[target, :, :length] = buffer[source, :, :length]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """None is cached before a prefill; a decoding step brings its own mask."""
        return 0

    def get_mask_sizes(self, query_length: int, layer_idx: int = 0) -> tuple[int, int]:
        """Keys that a prefill attends to: its own."""
        return query_length, 0


class SlotEngine:
    """Up to `slots` sequences at a time; `on_tokens` is called after each step with the number of tokens that it added.

    Needs a model whose layers all attend to everything before (`supports`).
    """

    def __init__(self, model: Any, stop_ids: Sequence[int], slots: int, on_tokens: Callable[[int], None]) -> None:
        self.model, self.stop_ids, self.slots, self.on_tokens = model, frozenset(stop_ids), slots, on_tokens
        self.device = model.device
        self.active: list[Running] = []
        self.cache = SlotCache(slots)

    @torch.no_grad()
    def complete(self, requests: Sequence[Request], cancelled: threading.Event) -> Iterator[tuple[Any, list[int]]]:
        """The key and the token ids of each request, as they end; RunError once `cancelled` is set."""
        waiting = deque(requests)
        self.active, self.cache = [], SlotCache(min(self.slots, len(requests)))
        while waiting or self.active:
            if cancelled.is_set():
                raise RunError("the generation was cancelled; run the same command again to go on.")
            free = self.cache.slots - len(self.active)
            if waiting and (not self.active or free * REFILL_SHARE >= self.cache.slots):
                self.take_in([waiting.popleft() for _ in range(min(free, len(waiting)))])
            else:
                self.decode()
            yield from self.take_out()

    def take_in(self, requests: Sequence[Request]) -> None:
        """Read the requests' prompts into free slots and choose each one's first token."""
        slots_of: dict[tuple[int, ...], list[int]] = {}
        for request in requests:
            slots_of.setdefault(request.prompt, []).append(len(self.active))
            self.active.append(Running(request, self.generator_of(request.sampling)))
        logits: dict[int, torch.Tensor] = {}
        for prompts in grouped_by_length(list(slots_of)):
            for prompt, last in zip(prompts, self.prefill(prompts, slots_of), strict=True):
                first, *others = slots_of[prompt]
                for slot in others:
                    self.cache.copy(first, slot, len(prompt))
                logits |= dict.fromkeys(slots_of[prompt], last)
        slots = range(len(self.active) - len(requests), len(self.active))
        self.choose(slots, torch.stack([logits[slot] for slot in slots]))

    def generator_of(self, sampling: Sampling) -> torch.Generator | None:
        """The random numbers of a request by its seed; None where it is greedy."""
        return torch.Generator(self.device).manual_seed(sampling.seed) if sampling.temperature > 0 else None

    def prefill(self, prompts: Sequence[tuple[int, ...]], slots_of: dict[tuple[int, ...], list[int]]) -> torch.Tensor:
        """The logits after each prompt, shape (prompts, vocabulary); its keys and values go to its first slot."""
        longest = max(map(len, prompts))
        ids = torch.tensor([[*prompt, *[0] * (longest - len(prompt))] for prompt in prompts], device=self.device)
        self.cache.fill(torch.tensor([slots_of[prompt][0] for prompt in prompts], device=self.device), longest)
        ends = sorted({len(prompt) - 1 for prompt in prompts})
        logits = self.forward(
            ids, position_ids=None, attention_mask=None, logits_to_keep=torch.tensor(ends, device=self.device)
        )
        places = [ends.index(len(prompt) - 1) for prompt in prompts]
        return logits[torch.arange(len(prompts), device=self.device), torch.tensor(places, device=self.device)]

    def decode(self) -> None:
        """One more token of every active sequence."""
        rows = torch.arange(len(self.active), device=self.device)
        positions = torch.tensor([sequence.position for sequence in self.active], device=self.device)
        length = int(positions.max()) + 1
        self.cache.write_to(rows, positions, length)
        visible = torch.arange(length, device=self.device) <= positions[:, None]
        mask = torch.zeros(visible.shape, dtype=self.model.dtype, device=self.device)
        mask.masked_fill_(~visible, torch.finfo(mask.dtype).min)
        ids = torch.tensor([[sequence.tokens[-1]] for sequence in self.active], device=self.device)
        logits = self.forward(
            ids, position_ids=positions[:, None], attention_mask=mask[:, None, None], logits_to_keep=1
        )
        self.choose(range(len(self.active)), logits[:, -1])

    def forward(self, ids: torch.Tensor, **options: Any) -> torch.Tensor:
        """Logits for token ids of shape (rows, tokens), keys and values stored in the cache."""
        return self.model(input_ids=ids, past_key_values=self.cache, use_cache=True, **options).logits

    def choose(self, slots: Sequence[int], logits: torch.Tensor) -> None:
        """Append a token to each slot's sequence, by logits of shape (slots, vocabulary)."""
        sequences = [self.active[slot] for slot in slots]
        scores = logits.float()
        sampled = [row for row, sequence in enumerate(sequences) if sequence.generator is not None]
        if sampled:
            chosen = [sequences[row] for row in sampled]
            samplings = [sequence.request.sampling for sequence in chosen]
            noisy = sample_scores(scores[sampled], samplings, [sequence.generator for sequence in chosen])
            scores = scores.index_copy(0, torch.tensor(sampled, device=self.device), noisy)
        for sequence, token in zip(sequences, scores.argmax(dim=-1).tolist(), strict=True):
            sequence.tokens.append(token)
        self.on_tokens(len(sequences))

    def take_out(self) -> Iterator[tuple[Any, list[int]]]:
        """Hand out the sequences that have ended; the last slot's sequence moves into a slot that becomes free."""
        for slot in reversed(range(len(self.active))):
            sequence = self.active[slot]
            if (
                sequence.tokens[-1] not in self.stop_ids
                and len(sequence.tokens) < sequence.request.sampling.max_new_tokens
            ):
                continue
            last = self.active.pop()
            if last is not sequence:
                self.active[slot] = last
                self.cache.copy(len(self.active), slot, last.position)
            yield sequence.request.key, sequence.tokens


def supports(model: Any) -> bool:
    """Whether every layer attends to all tokens before: no sliding window, no recurrent state."""
    config = model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    window = getattr(config, "sliding_window", None) if getattr(config, "use_sliding_window", True) else None
    return kinds == {"full_attention"} and window is None and not getattr(model, "_is_stateful", False)


def grouped_by_length(prompts: list[tuple[int, ...]]) -> Iterator[list[tuple[int, ...]]]:
    """Prompts of similar length together, at most PREFILL_TOKENS padded tokens or one prompt a group."""
    group: list[tuple[int, ...]] = []
    for prompt in sorted(prompts, key=len):
        if group and (len(group) + 1) * len(prompt) > PREFILL_TOKENS:
            yield group
            group = []
        group.append(prompt)
    if group:
        yield group


def sample_scores(scores: torch.Tensor, samplings: Sequence[Sampling], generators: Sequence[Any]) -> torch.Tensor:
    """Scores whose largest is a sample of each row's distribution, by its own generator; shape (rows, vocabulary).

    The Gumbel-max trick: the largest of log-probability + Gumbel noise is a sample of the distribution (Gumbel 1954).
    """
    scores = scores / torch.tensor([[one.temperature] for one in samplings], device=scores.device)
    scores = keep_top_p(scores, torch.tensor([[one.top_p] for one in samplings], device=scores.device))
    uniform = [torch.rand(scores.size(1), generator=generator, device=scores.device) for generator in generators]
    smallest = torch.finfo(torch.float32).tiny
    return scores - torch.log(-torch.log(torch.stack(uniform).clamp_min(smallest)))


def keep_top_p(scores: torch.Tensor, top_p: torch.Tensor) -> torch.Tensor:
    """Scores with everything below the smallest set of tokens that has `top_p` (rows, 1) of the probability at -inf."""
    if bool((top_p >= 1).all()):
        return scores
    ordered, places = scores.sort(dim=-1, descending=True)
    before = ordered.softmax(dim=-1).cumsum(dim=-1) - ordered.softmax(dim=-1)
    outside = (before >= top_p) & (top_p < 1)
    return scores.masked_fill(outside.scatter(-1, places, outside), -torch.inf)
