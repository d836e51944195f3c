"""A provider that answers by a script: the fake that tests of everything above this layer use.

    ScriptedProvider({"print(1)": b"1\\n"})                  # a program's source -> what it prints
    ScriptedProvider(lambda program: Execution(...))        # or whatever happened
    ScriptedProvider([b"1\\n", Trouble.FAIL, b"2\\n"])        # one answer after another, whatever runs

An answer is an `Execution`, the bytes of a standard output, or a `Trouble`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any

from open_r1.execution.environment import Environment
from open_r1.execution.programs import Execution, Program, Provider, Status
from open_r1.execution.providers.registry import ProviderSpec, setting
from open_r1.execution.providers.replies import bounded


class Trouble(StrEnum):
    """Ways for a provider to fail."""

    FAIL = "provider_error"
    """It breaks."""
    HANG = "timeout"
    """It does not answer, and is given up after `hang_s`."""
    RUBBISH = "garbled_reply"
    """It answers what no one can read."""


Answer = Execution | bytes | Trouble
Script = Callable[[Program], Answer] | Mapping[str, Answer] | Sequence[Answer]


class ScriptedProvider(Provider):
    """Answers with what `script` says, and keeps what it was asked in `asked`.

    Args:
        script: A function of the program, answers by source, or answers in order; see above.
        concurrency: How many programs "run" at once.
        hang_s: How long a `Trouble.HANG` takes.
    """

    name = "scripted"

    def __init__(self, script: Script = (), concurrency: int = 4, hang_s: float = 0.2) -> None:
        super().__init__()
        self.concurrency = concurrency
        self.hang_s = hang_s
        self.asked: list[Program] = []
        self._answer = script if callable(script) else _from_table(script)
        self._closed = threading.Event()

    def execute(self, program: Program) -> Execution:
        self.asked.append(program)
        try:
            answer: Any = self._answer(program)
        except Exception as error:  # noqa: BLE001  a script that raises is a provider that fails
            return Execution.unavailable(Trouble.FAIL.value, f"scripted: {type(error).__name__}: {error}")
        if answer is Trouble.HANG:
            self._closed.wait(self.hang_s)
        if isinstance(answer, Trouble):
            return Execution.unavailable(answer.value, "scripted trouble")
        if isinstance(answer, bytes):
            answer = Execution(Status.FINISHED, stdout=answer, exit_code=0)
        if not isinstance(answer, Execution):
            return Execution.unavailable(
                Trouble.RUBBISH.value, f"scripted: a {type(answer).__name__}, not an execution"
            )
        return bounded(answer, program.limits)

    def close(self) -> None:
        self._closed.set()
        super().close()


def _from_table(table: Mapping[str, Answer] | Sequence[Answer]) -> Callable[[Program], Answer]:
    unscripted = Execution.unavailable("unscripted", "the script has no answer to this program")
    if isinstance(table, Mapping):
        return lambda program: table.get(program.source, unscripted)
    answers, lock = iter(table), threading.Lock()

    def answer_next(program: Program) -> Answer:
        with lock:
            return next(answers, unscripted)

    return answer_next


def build(settings: Any, environment: Environment) -> Provider:
    return ScriptedProvider(setting(settings, "scripted_executions", ()))


PROVIDER = ProviderSpec(
    name="scripted",
    build=build,
    summary="Answers by a script; for tests.",
    settings=("scripted_executions",),
)
