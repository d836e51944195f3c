"""What every generator must do, checked on each of them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from scripted import ScriptedCompleter

from open_r1.generation import Generator, Sampling


@pytest.fixture
def generator(tiny_model: Path) -> Generator:
    from open_r1.generation.in_process import TransformersGenerator

    return TransformersGenerator.from_folder(tiny_model, batch_size=4)


PROMPTS = ["Compute 7+5", "a", "Compute 7+5-3+8+9+1-2 and then some more words", "a"]


def test_every_prompt_gets_its_completions_in_order(generator: Generator) -> None:
    completions = generator.generate(PROMPTS, Sampling(num_samples=3, temperature=1.0, max_new_tokens=5))
    assert [len(drawn) for drawn in completions] == [3, 3, 3, 3]


def test_completions_keep_to_the_token_limit_and_say_when_they_were_cut(generator: Generator) -> None:
    for drawn in generator.generate(PROMPTS, Sampling(max_new_tokens=4)):
        for completion in drawn:
            assert 1 <= completion.num_tokens <= 4
            assert completion.finish_reason in ("length", "stop")


def test_the_same_seed_draws_the_same(generator: Generator) -> None:
    sampling = Sampling(num_samples=2, temperature=1.0, max_new_tokens=8, seed=3)
    assert generator.generate(PROMPTS, sampling) == generator.generate(PROMPTS, sampling)


def test_no_prompt_no_completion(generator: Generator) -> None:
    assert generator.generate([], Sampling(max_new_tokens=4)) == []


def test_a_prompt_may_be_a_conversation(generator: Generator) -> None:
    turns = [{"role": "system", "content": "Think."}, {"role": "user", "content": "Compute 7+5"}]
    (drawn,) = generator.generate([turns], Sampling(max_new_tokens=4))
    assert len(drawn) == 1


def test_batching_and_padding_do_not_change_greedy_completions(tiny_model: Path) -> None:
    from open_r1.generation.in_process import TransformersGenerator

    alone = TransformersGenerator.from_folder(tiny_model, batch_size=1).generate(PROMPTS, Sampling(max_new_tokens=12))
    together = TransformersGenerator.from_folder(tiny_model, batch_size=8).generate(
        PROMPTS, Sampling(max_new_tokens=12)
    )
    assert [drawn[0].text for drawn in alone] == [drawn[0].text for drawn in together]


def test_another_seed_draws_something_else(tiny_model: Path) -> None:
    from open_r1.generation.in_process import TransformersGenerator

    generator: Any = TransformersGenerator.from_folder(tiny_model)
    first = generator.generate(PROMPTS, Sampling(temperature=1.0, max_new_tokens=8, seed=1))
    assert first != generator.generate(PROMPTS, Sampling(temperature=1.0, max_new_tokens=8, seed=2))


@pytest.mark.parametrize(("limit", "expected"), [(3, ("a b c", 3, "length")), (5, ("a b c d e", 5, "stop"))])
def test_a_scripted_completion_over_the_limit_says_that_it_was_cut(limit: int, expected: Any) -> None:
    scripted = ScriptedCompleter(lambda prompt, seed: "a b c d e")
    reply = asyncio.run(scripted.complete([{"role": "user", "content": "p"}], Sampling(max_new_tokens=limit)))
    (completion,) = reply.completions
    assert (completion.text, completion.num_tokens, completion.finish_reason) == expected


def test_tokens_after_the_end_of_the_turn_are_no_part_of_a_completion(tiny_model: Path) -> None:
    from open_r1.generation.in_process import TransformersGenerator

    generator = TransformersGenerator.from_folder(tiny_model)
    end = generator.tokenizer.eos_token_id
    ids = [*generator.tokenizer("7+5").input_ids, end, *generator.tokenizer("=12").input_ids]
    completion = generator.decode(ids)
    assert (completion.text, completion.finish_reason) == ("7+5", "stop")
    assert generator.decode(ids[: ids.index(end)]).finish_reason == "length"


def test_a_sample_depends_on_its_own_seed_and_not_on_its_batch(tiny_model: Path) -> None:
    from open_r1.generation.in_process import TransformersGenerator

    samplings = [Sampling(temperature=1.0, top_p=0.9, max_new_tokens=8, seed=seed) for seed in range(4)]
    together = TransformersGenerator.from_folder(tiny_model, batch_size=8)
    drawn = together.generate_each(PROMPTS, samplings)
    for place in range(4):
        alone = together.generate_each(PROMPTS[place : place + 1], samplings[place : place + 1])
        assert alone == drawn[place : place + 1]
    assert drawn[1] != drawn[3]
    assert together.generate_each(["a"], [Sampling(max_new_tokens=6)]) == together.generate(
        ["a"], Sampling(max_new_tokens=6)
    )


def test_draws_by_seed_follow_the_models_distribution() -> None:
    import torch

    from open_r1.generation.slots import sample_scores

    scores = torch.log(torch.tensor([0.5, 0.3, 0.15, 0.05])).repeat(20_000, 1)
    for top_p, expected in ((1.0, [0.5, 0.3, 0.15, 0.05]), (0.8, [0.625, 0.375, 0, 0])):
        generators = [torch.Generator().manual_seed(seed) for seed in range(20_000)]
        samplings = [Sampling(temperature=1.0, top_p=top_p)] * 20_000
        chosen = sample_scores(scores, samplings, generators).argmax(dim=-1)
        shares = torch.bincount(chosen, minlength=4) / 20_000
        assert shares.tolist() == pytest.approx(expected, abs=0.015)
