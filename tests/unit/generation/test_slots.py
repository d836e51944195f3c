"""The slot engine makes what transformers' generate makes, whatever else is in the batch."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

from open_r1.errors import RunError
from open_r1.generation.protocol import Sampling
from open_r1.generation.slots import Request, SlotEngine, keep_top_p, supports

STOP = 7
PROMPTS = [tuple(range(20 + n, 20 + n + size)) for n, size in enumerate((3, 9, 1, 14, 5, 9, 2))]
never: Any = threading.Event()


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32).eval()


def run(
    model: Any, requests: Sequence[Request], slots: int = 4, stop: Sequence[int] = (STOP,)
) -> dict[Any, list[int]]:
    engine = SlotEngine(model, stop, slots, lambda count: None)
    return dict(engine.complete(requests, never))


def alone(model: Any, prompt: Sequence[int], tokens: int) -> list[int]:
    """What transformers' own greedy generation makes of one prompt."""
    ids = torch.tensor([list(prompt)])
    output = model.generate(
        input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens, do_sample=False,
        eos_token_id=STOP, pad_token_id=0,
    )  # fmt: skip
    return output[0, ids.size(1) :].tolist()


@pytest.mark.parametrize("slots", [1, 2, 3, 16])
def test_greedy_tokens_are_those_of_transformers_for_every_number_of_slots(model: Any, slots: int) -> None:
    limits = [5, 12, 1, 30, 7, 3, 20]
    requests = [
        Request(place, prompt, Sampling(max_new_tokens=limit))
        for place, (prompt, limit) in enumerate(zip(PROMPTS, limits, strict=True))
    ]
    expected = {place: alone(model, prompt, limits[place]) for place, prompt in enumerate(PROMPTS)}
    assert run(model, requests, slots) == expected


def test_a_sample_depends_on_its_seed_and_not_on_what_stands_beside_it(model: Any) -> None:
    def request(prompt: int, seed: int, temperature: float = 1.0) -> Request:
        return Request((prompt, seed), PROMPTS[prompt], Sampling(1, temperature, 0.9, 12, seed))

    together = run(model, [request(prompt, seed) for prompt in range(4) for seed in range(3)], slots=5)
    for key in ((0, 0), (2, 1), (3, 2)):
        assert run(model, [request(*key)])[key] == together[key]
    mixed = run(model, [request(0, 0), Request("greedy", PROMPTS[0], Sampling(max_new_tokens=12)), request(2, 1, 0.5)])
    assert mixed[0, 0] == together[0, 0]
    assert mixed["greedy"] == alone(model, PROMPTS[0], 12)


def test_the_seeds_of_one_prompt_make_different_samples(model: Any) -> None:
    made = run(model, [Request(seed, PROMPTS[0], Sampling(1, 1.0, 1.0, 20, seed)) for seed in range(8)])
    assert len({tuple(tokens) for tokens in made.values()}) > 4


def test_samples_of_a_prompt_share_one_prefill(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes: list[tuple[int, ...]] = []
    forward = SlotEngine.forward

    def counting(self: SlotEngine, ids: torch.Tensor, **options: Any) -> torch.Tensor:
        shapes.append(tuple(ids.shape))
        return forward(self, ids, **options)

    monkeypatch.setattr(SlotEngine, "forward", counting)
    run(model, [Request(seed, PROMPTS[1], Sampling(1, 1.0, 1.0, 3, seed)) for seed in range(6)], slots=6, stop=())
    assert shapes == [(1, 9), (6, 1), (6, 1)]


def test_sequences_are_handed_out_as_they_end_and_others_take_their_place(model: Any) -> None:
    limits = {"long": 40, "short": 2, "next": 3, "last": 2}
    requests = [Request(name, PROMPTS[0], Sampling(max_new_tokens=limit)) for name, limit in limits.items()]
    engine = SlotEngine(model, (), 2, lambda count: None)
    assert [key for key, _ in engine.complete(requests, never)] == ["short", "next", "last", "long"]


def test_tokens_are_counted_as_they_are_made(model: Any) -> None:
    counts: list[int] = []
    engine = SlotEngine(model, (), 3, counts.append)
    made = dict(engine.complete([Request(n, PROMPTS[n], Sampling(max_new_tokens=n + 1)) for n in range(3)], never))
    assert sum(counts) == sum(map(len, made.values())) == 6
    assert counts == [3, 2, 1]


def test_a_cancelled_generation_ends_at_once(model: Any) -> None:
    cancelled = threading.Event()
    engine = SlotEngine(model, (), 2, lambda count: cancelled.set())
    with pytest.raises(RunError, match="cancelled"):
        list(engine.complete([Request(0, PROMPTS[0], Sampling(max_new_tokens=50))], cancelled))


def test_models_with_windows_are_left_to_transformers(model: Any) -> None:
    small = {
        "vocab_size": 64, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1,
    }  # fmt: skip
    assert supports(model)
    assert supports(LlamaForCausalLM(LlamaConfig(**small)))
    assert not supports(MistralForCausalLM(MistralConfig(**small, num_key_value_heads=1, sliding_window=4)))


def test_top_p_keeps_the_smallest_set_that_has_the_probability() -> None:
    scores = torch.log(torch.tensor([[0.5, 0.3, 0.15, 0.05], [0.5, 0.3, 0.15, 0.05], [0.1, 0.2, 0.3, 0.4]]))
    kept = keep_top_p(scores, torch.tensor([[0.79], [1.0], [0.4]])) > -torch.inf
    assert kept.tolist() == [[True, True, False, False], [True] * 4, [False, False, False, True]]
