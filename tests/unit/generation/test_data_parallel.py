"""A batch dealt out to processes comes back in order; a process that fails or dies is reported."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import pytest

from open_r1.errors import RunError
from open_r1.generation import Sampling, vllm_in_process
from open_r1.generation.data_parallel import DataParallelGenerator, make_vllm
from open_r1.generation.protocol import Prompt, to_messages
from open_r1.records import Completion


class Echo:
    """Says the prompt, the seed and the device it sees."""

    def generate_each(self, prompts: Sequence[Prompt], samplings: Sequence[Sampling]) -> list[list[Completion]]:
        if "die" in prompts:
            os._exit(9)
        if "fail" in prompts:
            raise ValueError("out of memory")
        device = os.environ["CUDA_VISIBLE_DEVICES"]
        return [
            [Completion(f"{to_messages(prompt)[0]['content']} {sampling.seed} {device}", 3, "stop")]
            for prompt, sampling in zip(prompts, samplings, strict=True)
        ]

    def context_length(self) -> int:
        return 77


def make_echo() -> Echo:
    return Echo()


def make_nothing() -> Echo:
    raise ValueError("no such model")


@pytest.fixture
def parallel(monkeypatch: pytest.MonkeyPatch) -> Iterator[DataParallelGenerator]:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    generator = DataParallelGenerator(make_echo, (), 2)
    yield generator
    generator.close()


def test_a_batch_comes_back_in_order_from_both_devices(parallel: DataParallelGenerator) -> None:
    prompts = [f"p{index}" for index in range(7)]
    drawn = parallel.generate_each(prompts, [Sampling(seed=index) for index in range(7)])
    assert [completions[0].text for completions in drawn] == [
        f"p{index} {index} {(4, 6)[index % 2]}" for index in range(7)
    ]
    assert parallel.generate_each(["one"], [Sampling(seed=3)])[0][0].text == "one 3 4"
    assert parallel.generate_each([], []) == []
    assert parallel.context_length() == 77


def test_a_failure_is_reported_and_the_others_go_on(parallel: DataParallelGenerator) -> None:
    with pytest.raises(RunError, match="process 0 failed: ValueError: out of memory"):
        parallel.generate_each(["fail", "fine"], [Sampling()] * 2)
    assert parallel.generate_each(["fine"], [Sampling()])[0][0].text == "fine 0 4"


def test_a_process_that_dies_is_reported(parallel: DataParallelGenerator) -> None:
    with pytest.raises(
        RunError, match="process 0 failed: a worker process ended with exit status 9.*run the same command again"
    ):
        parallel.generate_each(["die"], [Sampling()])


def test_a_model_that_cannot_be_loaded_is_reported() -> None:
    with pytest.raises(RunError, match="failed: ValueError: no such model"):
        DataParallelGenerator(make_nothing, (), 1)


def test_vllms_engine_ends_with_the_process_that_made_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "1")
    monkeypatch.setattr(vllm_in_process, "VLLMGenerator", lambda model, **options: (model, options))
    assert make_vllm("m", {"max_model_len": 8}) == ("m", {"max_model_len": 8})
    assert os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] == "0"
