"""Several generators in processes of their own, each with its own GPUs: a batch is dealt out, and comes back in order.

Does: start the processes, give each a share of the prompts, end them with this process. Does not: know what they generate
with (`make` is a module's function and its arguments).
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import Any

from open_r1.errors import RunError
from open_r1.generation.protocol import Prompt, Sampling
from open_r1.records import Completion

START_LIMIT_S = 1800.0
"""Loading a large model takes minutes; a process that says nothing for longer is taken for stuck."""

Make = Callable[..., Any]


class DataParallelGenerator:
    """One generator a process; process i sees GPU i alone, unless CUDA_VISIBLE_DEVICES names others to share out."""

    def __init__(self, make: Make, arguments: Sequence[Any], num_processes: int) -> None:
        context = multiprocessing.get_context("spawn")
        devices = (
            os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if os.environ.get("CUDA_VISIBLE_DEVICES") else None
        )
        self.workers: list[tuple[Any, Connection]] = []
        for index in range(num_processes):
            ours, theirs = context.Pipe()
            device = devices[index % len(devices)] if devices else str(index)
            process = context.Process(target=serve, args=(theirs, device, make, tuple(arguments)), daemon=True)
            process.start()
            theirs.close()
            self.workers.append((process, ours))
        self.threads = ThreadPoolExecutor(num_processes)
        for index in range(num_processes):
            self.receive(index, START_LIMIT_S)

    @classmethod
    def of_vllm(cls, model: str, num_processes: int, options: Mapping[str, Any]) -> DataParallelGenerator:
        return cls(make_vllm, (model, dict(options)), num_processes)

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[list[Completion]]:
        return self.deal(prompts, [sampling] * len(prompts), "generate_shared")

    def generate_each(self, prompts: Sequence[Prompt], samplings: Sequence[Sampling]) -> list[list[Completion]]:
        return self.deal(prompts, samplings, "generate_each")

    def deal(self, prompts: Sequence[Prompt], samplings: Sequence[Sampling], how: str) -> list[list[Completion]]:
        """Every n-th prompt to each process."""
        count = len(self.workers)
        shares = [
            self.threads.submit(self.ask, index, how, prompts[index::count], samplings[index::count])
            for index in range(count)
            if prompts[index::count]
        ]
        done: list[list[Completion]] = [[] for _ in prompts]
        for index, share in enumerate(shares):
            done[index::count] = share.result()
        return done

    def ask_first(self, name: str, *arguments: Any) -> Any:
        """What a method of the first process's generator gives."""
        return self.ask(0, name, *arguments)

    def ask(self, index: int, name: str, *arguments: Any) -> Any:
        try:
            self.workers[index][1].send((name, arguments))
        except OSError:
            raise self.ended(index) from None
        return self.receive(index)

    def receive(self, index: int, limit_s: float | None = None) -> Any:
        """The reply of a process; RunError when it failed, or is gone."""
        connection = self.workers[index][1]
        try:
            if not connection.poll(limit_s):
                raise RunError(f"generating process {index} was not ready within {limit_s:.0f} s; look at its output.")
            failed, reply = connection.recv()
        except (EOFError, OSError):
            raise self.ended(index) from None
        if failed:
            raise RunError(f"generating process {index} failed: {reply}")
        return reply

    def ended(self, index: int) -> RunError:
        process = self.workers[index][0]
        process.join(5)
        return RunError(
            f"generating process {index} ended with exit status {process.exitcode}; what it said stands above. "
            "Run the same command again to go on."
        )

    def close(self) -> None:
        for process, connection in self.workers:
            connection.close()
            process.join(10)
            process.kill()
        self.threads.shutdown(wait=False)


def make_vllm(model: str, options: Mapping[str, Any]) -> Any:
    from open_r1.generation.vllm_in_process import VLLMGenerator

    return VLLMGenerator(model, **options)


def serve(connection: Connection, device: str, make: Make, arguments: tuple[Any, ...]) -> None:
    """A process's life: make the generator, answer until the other end closes."""
    os.environ["CUDA_VISIBLE_DEVICES"] = device
    try:
        generator = make(*arguments)
        connection.send((False, None))
    except Exception as error:  # noqa: BLE001 - told to the parent, whatever it is
        connection.send((True, describe(error)))
        return
    while True:
        try:
            name, given = connection.recv()
        except (EOFError, OSError):
            return
        try:
            if name == "generate_shared":
                reply = generator.generate(given[0], given[1][0])
            elif name == "generate_each" and not hasattr(generator, "generate_each"):
                reply = [generator.generate([prompt], sampling)[0] for prompt, sampling in zip(*given, strict=True)]
            else:
                reply = getattr(generator, name)(*given)
            connection.send((False, reply))
        except Exception as error:  # noqa: BLE001 - told to the parent, whatever it is
            connection.send((True, describe(error)))


def describe(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
