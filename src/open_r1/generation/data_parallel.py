"""Several generators in processes of their own, each with its own GPU: a batch is dealt out, and comes back in order."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from open_r1.errors import RunError
from open_r1.generation.protocol import Generator, Prompt, Sampling
from open_r1.processes.pool import Limits, Pool
from open_r1.records import Completion

START_LIMIT_S = 1800.0  # loading a large model takes minutes; a process that is not ready for longer is stuck
NO_LIMIT = Limits(wall_s=14 * 86_400)
"""A batch takes as long as it takes; this is near the longest wait that the system's `poll` knows."""

Make = Callable[..., Any]
Job = tuple[str, tuple[Any, ...]]


class DataParallelGenerator(Generator):
    """One generator a process; process i sees GPU i alone, or the i-th of those in CUDA_VISIBLE_DEVICES."""

    def __init__(self, make: Make, arguments: Sequence[Any], num_processes: int) -> None:
        listed = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        devices = listed.split(",") if listed else [str(index) for index in range(num_processes)]
        work = GeneratorProcess(make, tuple(arguments), devices)
        self.pool = Pool(work, num_processes, NO_LIMIT, START_LIMIT_S, environment={})
        self.ask([("is_ready", ())] * num_processes)

    def generate_each(self, prompts: Sequence[Prompt], samplings: Sequence[Sampling]) -> list[list[Completion]]:
        """The completions of each prompt, in order; process i generates every n-th prompt from the i-th on."""
        count = self.pool.workers
        shares = [(prompts[i::count], samplings[i::count]) for i in range(min(count, len(prompts)))]
        done: list[list[Completion]] = [[] for _ in prompts]
        for index, share in enumerate(self.ask([("generate_each", share) for share in shares])):
            done[index::count] = share
        return done

    def context_length(self) -> int:
        """Tokens of prompt and completion together that the model takes."""
        return self.ask([("context_length", ())])[0]

    def count_tokens(self, prompt: Prompt) -> int:
        """Tokens of the prompt, rendered by the chat template."""
        return self.ask([("count_tokens", (prompt,))])[0]

    def ask(self, jobs: Sequence[Job]) -> list[Any]:
        """The value of each job, one a process. RunError when a process fails, or ends."""
        try:
            outcomes = self.pool.map_pinned(jobs)
        except Exception as error:  # noqa: BLE001 - whatever a model fails with while it is loaded
            raise RunError(f"a generating process failed: {describe(error)}") from None
        for index, outcome in enumerate(outcomes):
            if outcome.kind != "done":
                said = describe(outcome.error) if outcome.kind == "raised" else str(outcome.error).rstrip(".")
                raise RunError(f"generating process {index} failed: {said}; run the same command again to go on.")
        return [outcome.value for outcome in outcomes]

    def close(self) -> None:
        """End the processes."""
        self.pool.close()


class GeneratorProcess:
    """The work of one process: make the generator, then call its methods."""

    def __init__(self, make: Make, arguments: tuple[Any, ...], devices: Sequence[str]) -> None:
        self.make, self.arguments, self.devices = make, arguments, devices

    def begin(self, index: int) -> None:
        """Make the generator, in its process, with the device of that process alone."""
        os.environ["CUDA_VISIBLE_DEVICES"] = self.devices[index % len(self.devices)]
        self.generator = self.make(*self.arguments)

    def __call__(self, job: Job) -> Any:
        name, arguments = job
        return True if name == "is_ready" else getattr(self.generator, name)(*arguments)


def make_vllm(model: str, options: Mapping[str, Any]) -> Any:
    """A vLLM generator, made in the process that calls this; `options` are its constructor's.

    Its engine lives in that process: one of its own, vLLM's default, outlives a process that is killed, and keeps its GPU.
    """
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    from open_r1.generation.vllm_in_process import VLLMGenerator

    return VLLMGenerator(model, **options)


def describe(error: BaseException | None) -> str:
    """The error's type and message in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
