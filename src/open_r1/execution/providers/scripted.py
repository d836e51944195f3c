"""A provider that answers by a script: the fake that tests of everything above this layer use.

ScriptedProvider({"print(1)": b"1\\n"})                  # a program's source -> what it prints
ScriptedProvider(lambda program: Execution(...))        # or whatever happened
ScriptedProvider([b"1\\n", Trouble.FAIL, b"2\\n"])        # one answer after another, whatever runs
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any

from open_r1.execution.programs import Execution, Program, Provider, Status
from open_r1.execution.providers import ProviderSpec, setting
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

UNSCRIPTED = Execution.unavailable("unscripted", "the script has no answer to this program")


class ScriptedProvider(Provider):
    """Answers with what `script` says, and keeps what it was asked in `asked`; a `Trouble.HANG` takes `hang_s`."""

    name = "scripted"

    def __init__(self, script: Script = (), concurrency: int = 4, hang_s: float = 0.2) -> None:
        super().__init__()
        self.concurrency, self.hang_s = concurrency, hang_s
        self.asked: list[Program] = []
        answers = iter(()) if callable(script) or isinstance(script, Mapping) else iter(script)
        self._answer: Callable[[Program], Any] = lambda program: next(answers, UNSCRIPTED)
        if callable(script):
            self._answer = script
        elif isinstance(script, Mapping):
            self._answer = lambda program: script.get(program.source, UNSCRIPTED)
        self._closed = threading.Event()

    def execute(self, program: Program) -> Execution:
        """The script's answer to this program; an exception or a `Trouble` becomes an `unavailable` execution."""
        self.asked.append(program)
        try:
            answer = self._answer(program)
        except Exception as error:  # noqa: BLE001  a script that raises is a provider that fails
            return Execution.unavailable(Trouble.FAIL.value, f"scripted: {type(error).__name__}: {error}")
        if answer is Trouble.HANG:
            self._closed.wait(self.hang_s)
        if isinstance(answer, Trouble):
            return Execution.unavailable(answer.value, "scripted trouble")
        if isinstance(answer, bytes):
            answer = Execution(Status.FINISHED, stdout=answer, exit_code=0)
        if not isinstance(answer, Execution):
            kind = type(answer).__name__
            return Execution.unavailable(Trouble.RUBBISH.value, f"scripted: a {kind}, not an execution")
        return bounded(answer, program.limits)

    def close(self) -> None:
        """Release the programs that hang."""
        self._closed.set()
        super().close()


PROVIDER = ProviderSpec(
    name="scripted",
    build=lambda settings, environment: ScriptedProvider(setting(settings, "scripted_executions", ())),
    summary="Answers by a script; for tests.",
    settings=("scripted_executions",),
)
