"""From a program to the job a worker gets, and from a worker's result back to an execution."""

from __future__ import annotations

import hashlib
import re
import signal
from collections.abc import Mapping, Sequence

from open_r1.execution.programs import Execution, Limits, Program, Status
from open_r1.execution.sandbox.server.job import Job
from open_r1.execution.sandbox.toolchains import COMPILE_LIMITS, RESULT, Toolchain
from open_r1.execution.sandbox.worker import Result

MAX_SOURCE_BYTES = 16 << 20
MAX_ARGUMENT_BYTES = 64 << 10
MAX_FILES = 32
MAX_SECONDS = 1_000_000
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}")
_OUT_OF_MEMORY = (b"MemoryError", b"std::bad_alloc", b"java.lang.OutOfMemoryError", b"heap out of memory")


def fault_of(program: Program) -> Execution | None:
    """What makes a program impossible to run as it was given; the caller's doing, not the program's."""
    if len(program.source) > MAX_SOURCE_BYTES:
        return Execution.unavailable(
            "too_large", f"a program of {len(program.source):,} characters; {MAX_SOURCE_BYTES:,} at most."
        )
    if len(program.sources) + len(program.files) > MAX_FILES:
        return Execution.unavailable(
            "too_large", f"{len(program.sources) + len(program.files)} files; {MAX_FILES} at most."
        )
    if sum(map(len, program.args)) > MAX_ARGUMENT_BYTES or any("\0" in word for word in program.args):
        return Execution.unavailable(
            "bad_request", f"arguments hold no null and at most {MAX_ARGUMENT_BYTES:,} characters."
        )
    for name in (*program.sources, *program.files):
        if not _FILE_NAME.fullmatch(name):
            return Execution.unavailable(
                "bad_request", f"file name {name!r} is not a plain one: letters, digits and _.+- only, no folders."
            )
    limits = program.limits
    least = min(limits.memory_mb, limits.output_kb, limits.disk_mb, limits.processes, limits.open_files)
    if not (least >= 1 and 0 < limits.wall_s <= MAX_SECONDS and 0 < limits.cpu_s <= MAX_SECONDS):
        return Execution.unavailable(
            "bad_request", f"limits must be above 0 and finite, seconds at most {MAX_SECONDS:,}: {limits}."
        )
    return None


def compile_job(program: Program, toolchain: Toolchain) -> tuple[Job, dict[str, bytes]]:
    """The job that makes an executable of a program, and its files."""
    main = toolchain.main_file(program.source)
    sources = {**program.sources, main: program.source.encode("utf-8", "replace")}
    command = toolchain.compile_command(main, program.sources)
    return _job(toolchain, COMPILE_LIMITS, command, files=sources, forks=True, collect=RESULT), sources


def run_job(program: Program, toolchain: Toolchain, executable: bytes | None) -> tuple[Job, dict[str, bytes]]:
    """The job that runs a program, and its files.

    `executable` is what was compiled where a command runs it; None where it is run by itself, or nothing is compiled.
    """
    files = dict(program.files)
    command = toolchain.run_command(program.limits, toolchain.main)
    is_binary = bool(toolchain.compile) and not command
    if command and executable is not None:
        files[RESULT] = executable
    elif command:
        files[toolchain.main] = program.source.encode("utf-8", "replace")
    job = _job(
        toolchain,
        program.limits,
        [RESULT] if is_binary else command,
        program.args,
        files=files,
        is_binary=is_binary,
        stdin_file="/dev/stdin" in program.source,
        forks=toolchain.forks,
    )
    return job, files


def _job(
    toolchain: Toolchain,
    limits: Limits,
    argv: Sequence[str],
    arguments: Sequence[str] = (),
    *,
    files: Mapping[str, bytes],
    forks: bool,
    is_binary: bool = False,
    stdin_file: bool = False,
    collect: str = "",
) -> Job:
    return Job(
        argv=list(argv),
        arguments=[str(word) for word in arguments],  # numbers and words that are no more than that: they travel
        environment=toolchain.environment(),
        is_binary=is_binary,
        files=[str(name) for name in files],
        stdin_file=stdin_file,
        collect=collect,
        forks=forks,
        limits_address_space=toolchain.limits_address_space,
        wall_s=float(limits.wall_s),
        cpu_s=float(limits.cpu_s),
        memory_mb=int(limits.memory_mb),
        disk_mb=int(limits.disk_mb),
        processes=int(limits.processes + toolchain.threads),
        open_files=int(limits.open_files),
    )


def compile_error(result: Result) -> Execution:
    """What a program has that the compiler made nothing of."""
    note = b""
    if result.outcome.timed_out:
        note = b"the compiler took too long"
    elif result.memory_exceeded or result.output_exceeded:
        note = b"the compiler used too much memory or wrote too much"
    return Execution(
        Status.COMPILE_ERROR,
        stderr=result.stderr + note,
        exit_code=result.outcome.exit_code,
        wall_s=result.outcome.wall_s,
    )


def was_killed(result: Result) -> bool:
    """A compiler, and not for a limit of its own: a program can't do that to it."""
    outcome = result.outcome
    for_a_limit = outcome.timed_out or outcome.cpu_s >= COMPILE_LIMITS.cpu_s
    return outcome.exit_code == -signal.SIGKILL and not (
        for_a_limit or result.memory_exceeded or result.output_exceeded
    )


def execution_of(result: Result, limits: Limits) -> Execution:
    """What a run came to, in a provider's words."""
    if result.outcome.failure:
        return Execution.unavailable("sandbox_failed", result.outcome.failure)
    return Execution(
        _status(result, limits),
        result.stdout,
        result.stderr,
        result.outcome.exit_code,
        result.outcome.wall_s,
        result.outcome.cpu_s,
        result.outcome.memory_kb / 1024,
    )


def _status(result: Result, limits: Limits) -> Status:
    if result.output_exceeded:
        return Status.OUTPUT_LIMIT
    if result.memory_exceeded:
        return Status.MEMORY_LIMIT
    if result.outcome.timed_out or result.outcome.cpu_s > limits.cpu_s:
        return Status.TIME_LIMIT
    if result.outcome.exit_code and any(sign in result.stderr[-4096:] for sign in _OUT_OF_MEMORY):
        return Status.MEMORY_LIMIT
    return Status.FINISHED


def compile_key(program: Program, toolchain: Toolchain) -> str:
    """A hash of all that decides what a program is compiled to."""
    digest = hashlib.sha256(repr((toolchain, sorted(program.sources))).encode())
    for content in (
        program.source.encode("utf-8", "replace"),
        *(program.sources[name] for name in sorted(program.sources)),
    ):
        digest.update(len(content).to_bytes(8, "little") + content)
    return digest.hexdigest()
