"""Piston's protocol, version 2: its requests become programs, and executions its answers.

Source of the fields and their meaning: Piston's docs/api-v2.md and api/src/api/v2.js. As there, the first text file is
the program and the others lie beside it, a limit above the server's own is an error, and a run that was stopped has the
code null and a signal. What can't be set here is checked and otherwise ignored: the compiler has limits of its own.
"""

from __future__ import annotations

import binascii
import math
import signal
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from open_r1.execution.programs import Execution, Limits, Program, Status
from open_r1.execution.service.languages import COMPILED, Runtime, find_runtime
from open_r1.execution.service.requests import MAX_FILES, SHUTTING_DOWN, Arguments, Language, Refusal, check_file_name
from open_r1.execution.service.settings import ServiceSettings
from open_r1.execution.wire import decode_bytes

DEFAULT_WALL_S = 3.0
"""Piston's own, where a request names no time-out."""

ASKERS_FAULT = frozenset({"bad_request", "too_large", "unsupported_language"})
"""Reasons of an unavailable execution that no second attempt changes."""

STATUS_WORDS = {Status.TIME_LIMIT: "TO", Status.OUTPUT_LIMIT: "OL", Status.MEMORY_LIMIT: "SG"}


class PistonFile(BaseModel):
    """A file of a Piston request: its content, its name, and how the content is encoded."""

    model_config = ConfigDict(strict=True)

    content: str
    name: str | None = None
    encoding: Literal["utf8", "base64", "hex"] = "utf8"

    def to_bytes(self) -> bytes:
        """ValueError if the content isn't in its encoding."""
        if self.encoding == "base64":
            return decode_bytes(self.content)
        if self.encoding == "hex":
            return binascii.unhexlify(self.content)
        return self.content.encode()


class PistonRequest(BaseModel):
    """Keys that aren't known are ignored, as Piston does."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    language: Language
    version: str
    files: list[PistonFile]
    stdin: str | None = ""
    args: Arguments | None = None
    run_timeout: float | None = None
    compile_timeout: float | None = None
    run_cpu_time: float | None = None
    compile_cpu_time: float | None = None
    run_memory_limit: int | None = None
    compile_memory_limit: int | None = None

    def to_program(self, languages: Mapping[str, str], settings: ServiceSettings) -> tuple[Program, Runtime]:
        """What to run and in what; Refusal 400 if that can't be."""
        runtime = find_runtime(languages, self.language, self.version)
        if runtime is None:
            raise malformed(
                f"{self.language}-{self.version} runtime is unknown; GET runtimes lists those that are here"
            )
        source, others = self._read_files()
        program = Program(
            source=source,
            language=runtime.language,
            stdin=(self.stdin or "").encode(),
            args=tuple(self.args or ()),
            sources=others if runtime.language in COMPILED else {},
            files=others,
            limits=self._limits(settings.max_limits),
        )
        return program, runtime

    def _read_files(self) -> tuple[str, dict[str, bytes]]:
        if len(self.files) > MAX_FILES:
            raise malformed(f"files has {len(self.files)} entries; at most {MAX_FILES} are allowed")
        main = next((file for file in self.files if file.encoding == "utf8"), None)
        if main is None:
            raise malformed("files must include at least one utf8 encoded file")
        others: dict[str, bytes] = {}
        for place, file in enumerate(self.files):
            try:
                name = check_file_name(file.name or f"file{place}.code")
                if file is not main:
                    others[name] = file.to_bytes()
            except ValueError as error:
                raise malformed(f"files[{place}]: {error}") from error
        return main.content, others

    def _limits(self, largest: Limits) -> Limits:
        most_ms, most_cpu_ms = 1000 * largest.wall_s, 1000 * largest.cpu_s
        wall_ms = chosen("run_timeout", self.run_timeout, most_ms) or min(1000 * DEFAULT_WALL_S, most_ms)
        cpu_ms = chosen("run_cpu_time", self.run_cpu_time, most_cpu_ms) or min(wall_ms, most_cpu_ms)
        memory = chosen("run_memory_limit", self.run_memory_limit, largest.memory_mb << 20, unlimited=-1)
        memory_mb = math.ceil(memory / (1 << 20)) if memory else largest.memory_mb
        return replace(largest, wall_s=wall_ms / 1000, cpu_s=cpu_ms / 1000, memory_mb=memory_mb)


def chosen(name: str, value: float | None, largest: float, unlimited: float | None = None) -> float | None:
    """The value; None where the request leaves it to the server. Refusal if it is out of range."""
    if not value or value == unlimited:
        return None
    if value < 0:
        raise malformed(f"{name} must be non-negative")
    if value > largest:
        raise malformed(f"{name} cannot exceed the configured limit of {int(largest)}")
    return value


def malformed(message: str) -> Refusal:
    """A refusal with status 400, as Piston answers a request that it can't read."""
    return Refusal(400, "malformed", message)


def answer(execution: Execution, runtime: Runtime) -> dict[str, Any]:
    """Piston's answer. Refusal if the program could not be run: 500 where whoever asked may try again."""
    if execution.status is Status.UNAVAILABLE:
        message = execution.detail or execution.reason
        if execution.reason in ASKERS_FAULT:
            raise malformed(message)
        is_leaving = execution.reason == SHUTTING_DOWN
        raise Refusal(503 if is_leaving else 500, execution.reason, message, retry_after_s=5 if is_leaving else None)
    record: dict[str, Any] = {"language": runtime.piston_name, "version": runtime.version}
    out, err = (text.decode("utf-8", "replace") for text in (execution.stdout, execution.stderr))
    if execution.status is Status.COMPILE_ERROR:
        compiled = stage("", err, execution.exit_code or 1, None)
        return record | {"compile": compiled, "run": compiled}
    if runtime.language in COMPILED:
        record["compile"] = stage("", "", 0, None)
    code, signal_name = execution.exit_code, None
    if execution.status is not Status.FINISHED:
        code, signal_name = None, "SIGKILL"
    elif code is None or code < 0:
        code, signal_name = None, name_signal(-(code or 0))
    return record | {
        "run": stage(out, err, code, signal_name)
        | {
            "message": execution.detail or None,
            "status": STATUS_WORDS.get(execution.status) or ("SG" if signal_name else "RE" if code else None),
            "cpu_time": scaled(execution.cpu_s, 1000),
            "wall_time": scaled(execution.wall_s, 1000),
            "memory": scaled(execution.memory_mb, 1 << 20),
        }
    }


def stage(stdout: str, stderr: str, code: int | None, signal_name: str | None) -> dict[str, Any]:
    """The record of one stage, compile or run, in Piston's words."""
    return {"stdout": stdout, "stderr": stderr, "output": stdout + stderr, "code": code, "signal": signal_name}


def name_signal(number: int) -> str:
    """The signal's name, such as SIGKILL; SIG and the number for one that has none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIG{number}"


def scaled(value: float | None, factor: int) -> int | None:
    """The value times the factor, rounded; None if there is none."""
    return None if value is None else round(factor * value)
