"""Where a completion in this process begins and ends, and which folders can't be asked."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from open_r1.errors import ModelError, RunError
from open_r1.generation import Sampling
from open_r1.generation.batching import BatchedGenerator
from open_r1.generation.in_process import TransformersGenerator
from open_r1.generation.slots import Request
from open_r1.generation.vllm_in_process import VLLMGenerator
from open_r1.hub.folders import check_model_path
from open_r1.text.thinking import open_thinking, visible_part, with_opening

TURNS = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
)
PROMPTS = ["Compute 7+5", "a", "Compute 7+5-3+8+9+1-2 and then some more words"]


@pytest.fixture
def generator(tiny_model: Path) -> TransformersGenerator:
    return TransformersGenerator.from_folder(tiny_model)


@pytest.fixture
def folder(tiny_model: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model that may be spoilt."""
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


@pytest.mark.parametrize(
    ("prompt", "opened"),
    [
        ("assistant\n<think>\n", "<think>\n"),
        ("assistant<think>", "<think>"),
        ("<think>\n\n</think>\n\n", ""),
        ("Write <think> first.", ""),
        ("", ""),
    ],
)
def test_only_an_open_tag_at_the_end_of_a_prompt_counts(prompt: str, opened: str) -> None:
    assert open_thinking(prompt) == opened


def test_a_model_that_says_the_tag_again_has_it_once() -> None:
    assert with_opening("<think>\nso", "<think>\n") == "<think>\nso"
    assert with_opening("so</think>3", "<think>\n") == "<think>\nso</think>3"
    assert with_opening("so", "") == "so"


@pytest.mark.parametrize("sampling", [Sampling(max_new_tokens=4), Sampling(2, 1.0, max_new_tokens=4)])
def test_a_tag_that_the_template_opened_goes_back_into_the_completion(
    generator: TransformersGenerator, sampling: Sampling
) -> None:
    generator.tokenizer.chat_template = TURNS + "{{ '<think>\\n' }}"
    for completion in (completion for samples in generator.generate(PROMPTS, sampling) for completion in samples):
        assert completion.text.startswith("<think>\n") and visible_part(completion.text) == ""
        assert 1 <= completion.num_tokens <= 4
    generator.tokenizer.chat_template = TURNS
    assert not any(drawn[0].text.startswith("<think>") for drawn in generator.generate(PROMPTS, sampling))


class Engine:
    """What `vllm.LLM` is asked for here; prompts end as `tail` says."""

    tail, chat_template = "", "a template"

    llm_engine = SimpleNamespace(model_config=SimpleNamespace(max_model_len=100))

    def __init__(self, model: str, **options: Any) -> None: ...

    def get_tokenizer(self) -> Any:
        return SimpleNamespace(
            chat_template=self.chat_template,
            decode=lambda ids, **_: "".join(map(chr, ids)),
            apply_chat_template=self.encode,
        )

    def encode(self, messages: Any, **options: Any) -> Any:
        if messages[0]["role"] == "system":
            raise ValueError("System role not supported")
        return {"input_ids": [ord(letter) for message in messages for letter in message["content"]]}

    def chat(self, conversations: Any, wanted: Any, use_tqdm: bool) -> list[Any]:
        ids = [ord(letter) for letter in f"<|User|>{'?' * 40}<|Assistant|>{self.tail}"]
        drawn = SimpleNamespace(text="7 is \\boxed{7} so", token_ids=[1, 2, 3], finish_reason="length")
        return [SimpleNamespace(prompt_token_ids=ids, outputs=[drawn]) for _ in conversations]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> type[Engine]:
    """A stand-in for the library, which tests don't have."""

    class Own(Engine): ...

    platform = SimpleNamespace(is_cpu=lambda: False)
    monkeypatch.setitem(sys.modules, "vllm", SimpleNamespace(LLM=Own, SamplingParams=SimpleNamespace))
    monkeypatch.setitem(sys.modules, "vllm.platforms", SimpleNamespace(current_platform=platform))
    return Own


@pytest.mark.parametrize(("tail", "opened"), [("<think>\n", "<think>\n"), ("", "")])
def test_vllm_in_this_process_gets_the_tag_back_too(engine: type[Engine], tail: str, opened: str) -> None:
    engine.tail = tail
    ((completion,),) = VLLMGenerator("org/model").generate(["What is 7?"], Sampling(max_new_tokens=3))
    assert completion.text == opened + "7 is \\boxed{7} so"
    assert (completion.num_tokens, completion.finish_reason) == (3, "length")


def test_vllm_in_this_process_refuses_a_prompt_and_not_its_batch(engine: type[Engine]) -> None:
    """vLLM itself would end the whole batch: the template's error, or a prompt without room in the context."""
    completer = BatchedGenerator(VLLMGenerator("org/model"), "org/model", 8)
    user = {"role": "user", "content": "What is 7?"}
    prompts = [[user], [{"role": "system", "content": "Think."}, user], [user | {"content": "7" * 100}], [user]]

    async def ask() -> list[Any]:
        await completer.start()
        asked = (completer.complete(prompt, Sampling(max_new_tokens=3)) for prompt in prompts)
        return await asyncio.gather(*asked, return_exceptions=True)

    first, refused, too_long, last = asyncio.run(ask())
    assert first.completions == last.completions != ()
    assert (refused.reason, too_long.reason) == ("refused_prompt", "refused_prompt")
    assert "System role not supported" in refused.detail and "has 100 tokens" in too_long.detail
    assert [len(each) for each in completer.generator.generate(prompts, Sampling(max_new_tokens=3))] == [1, 0, 0, 1]


def test_vllm_without_a_chat_template_is_refused(engine: type[Engine]) -> None:
    engine.chat_template = None  # type: ignore[assignment]
    with pytest.raises(ModelError, match="tokenizer of 'org/model' has no chat template.*use a chat model"):
        VLLMGenerator("org/model")


@pytest.mark.parametrize("as_list", [True, False])
def test_every_end_of_turn_of_the_generation_config_ends_a_completion(
    generator: TransformersGenerator, as_list: bool
) -> None:
    request = Request(0, tuple(generator.encode("Compute 7+5")), Sampling(max_new_tokens=8))
    (whole,) = generator.complete_batch([request], threading.Event())
    stop = next(token for token in whole if token not in generator.stop_ids)
    own: Any = generator.tokenizer.eos_token_id
    generator.model.generation_config.eos_token_id = [own, stop] if as_list else stop  # type: ignore[union-attr]
    ending = TransformersGenerator(generator.model, generator.tokenizer)
    assert set(ending.stop_ids) == {own, stop}
    ((completion,),) = ending.generate(["Compute 7+5"], Sampling(max_new_tokens=8))
    at = whole.index(stop)
    assert (completion.finish_reason, completion.num_tokens) == ("stop", at + 1)
    assert completion.text == generator.decode(whole[:at]).text
    assert ending.decode([*whole[:at], own]).finish_reason == "stop"


def test_a_tokenizer_without_a_pad_token_pads_with_the_end_of_the_turn(generator: TransformersGenerator) -> None:
    expected = generator.generate(PROMPTS, Sampling(max_new_tokens=6))
    generator.tokenizer.pad_token = None
    unpadded = TransformersGenerator(generator.model, generator.tokenizer)
    assert unpadded.pad_id == generator.tokenizer.eos_token_id
    assert unpadded.generate(PROMPTS, Sampling(max_new_tokens=6)) == expected


def test_a_folder_without_a_chat_template_is_refused_before_its_weights_are_loaded(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config.pop("chat_template", None)
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(ModelError, match="has no chat template.*chat_template.jinja in its folder"):
        TransformersGenerator.from_folder(folder)


def test_a_folder_without_a_tokenizer_is_refused(folder: Path) -> None:
    check_model_path(str(folder))
    for path in folder.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(ModelError, match=r"has no tokenizer \(tokenizer.json.*copy those"):
        check_model_path(str(folder))


def test_cancelling_ends_the_generation_between_tokens(generator: TransformersGenerator) -> None:
    seen: list[int] = []

    def cancel_third(*_: Any) -> None:
        seen.append(1)
        if len(seen) == 3:
            generator.cancel()

    generator.stop_ids = ()
    generator.model.generation_config.eos_token_id = None  # type: ignore[union-attr]
    hook = generator.model.register_forward_hook(cancel_third)
    with pytest.raises(RunError, match="cancelled"):
        generator.generate_each(["Compute 7+5"] * 2, [Sampling(max_new_tokens=200)] * 2)
    assert len(seen) == 3
    hook.remove()
    assert len(generator.generate(["a"], Sampling(max_new_tokens=4))) == 1


@pytest.mark.parametrize("sampling", [Sampling(max_new_tokens=6), Sampling(3, 1.0, max_new_tokens=6)])
def test_tokens_are_reported_while_they_are_generated(generator: TransformersGenerator, sampling: Sampling) -> None:
    steps: list[int] = []
    generator.on_tokens = steps.append
    completions = [one for each in generator.generate(PROMPTS, sampling) for one in each]
    assert sum(steps) == sum(completion.num_tokens for completion in completions)
    assert max(steps) == len(completions)


@pytest.mark.parametrize("sampling", [Sampling(max_new_tokens=6), Sampling(3, 1.0, 0.9, max_new_tokens=6)])
def test_a_model_that_has_no_slots_makes_the_same_completions_by_transformers(
    generator: TransformersGenerator, sampling: Sampling, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_slots = generator.generate(PROMPTS, sampling)
    monkeypatch.setattr("open_r1.generation.in_process.supports", lambda model: False)
    assert generator.generate(PROMPTS, sampling) == in_slots


def test_completions_are_handed_out_as_soon_as_a_prompt_has_all(generator: TransformersGenerator) -> None:
    generator.stop_ids, told = (), []
    generator.on_completed = lambda place, completions: told.append((place, completions))
    samplings = [Sampling(2, 1.0, max_new_tokens=9), Sampling(max_new_tokens=2), Sampling(max_new_tokens=5)]
    done = generator.generate_each(["Compute 7+5"] * 3, samplings)
    assert told == [(1, done[1]), (2, done[2]), (0, done[0])]


def test_a_prompt_that_the_template_or_the_model_refuses_is_one_sentence(generator: TransformersGenerator) -> None:
    with pytest.raises(ModelError, match=r"the prompt has .* tokens, and the model takes 512 with its completion"):
        generator.encode("Compute 7+5 " * 500)
    generator.tokenizer.chat_template = "{{ raise_exception('System role not supported') }}"
    with pytest.raises(ModelError, match="the chat template refuses the prompt: System role not supported; leave out"):
        generator.encode("a")


def test_penalties_of_the_generation_config_are_off_in_either_way_of_generating(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A penalty that nobody asked for took greedy answers from 100 to 47 % right."""
    sampling = Sampling(max_new_tokens=12)
    expected = TransformersGenerator.from_folder(tiny_model).generate(PROMPTS, sampling)
    for supports in (True, False):
        monkeypatch.setattr("open_r1.generation.in_process.supports", lambda model, says=supports: says)
        generator = TransformersGenerator.from_folder(tiny_model)
        config: Any = generator.model.generation_config
        config.repetition_penalty, config.no_repeat_ngram_size, config.min_new_tokens = 5.0, 1, 9
        penalised = TransformersGenerator(generator.model, generator.tokenizer)
        assert penalised.generate(PROMPTS, sampling) == expected
