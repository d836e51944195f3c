"""From a program to the job a worker gets, and from a worker's result back to an execution."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping, Sequence

from open_r1.execution.programs import Execution, Limits, Program, Status
from open_r1.execution.sandbox.server.job import Job
from open_r1.execution.sandbox.toolchains import COMPILE_LIMITS, RESULT, Toolchain, says_out_of_memory
from open_r1.execution.sandbox.worker import Result, WorkerLost

MAX_SOURCE_BYTES = 16 << 20
MAX_ARGUMENT_BYTES = 64 << 10
MAX_BINARY_BYTES = 128 << 20
MAX_FILES = 32
PAGE_BYTES = 4096
Compiled = bytes | Execution
"""An executable, or what its program has because it couldn't be compiled."""

_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}")


def fault_of(program: Program) -> Execution | None:
    """What makes a program impossible to run as it was given; the caller's doing, not the program's."""
    names = [*program.sources, *program.files]
    odd_names = [name for name in names if not _FILE_NAME.fullmatch(name)]
    if len(program.source) > MAX_SOURCE_BYTES:
        detail = f"a program of {len(program.source):,} characters; {MAX_SOURCE_BYTES:,} at most."
        return Execution.unavailable("too_large", detail)
    if len(names) > MAX_FILES:
        return Execution.unavailable("too_large", f"{len(names)} files; {MAX_FILES} at most.")
    fault = program.limits.fault
    if sum(map(len, program.args)) > MAX_ARGUMENT_BYTES or any("\0" in word for word in program.args):
        fault = f"arguments contain no null and at most {MAX_ARGUMENT_BYTES:,} characters."
    elif odd_names:
        fault = f"file name {odd_names[0]!r} is not a plain one: letters, digits and _.+- only, no folders."
    return Execution.unavailable("bad_request", fault) if fault else None


def compile_job(toolchain: Toolchain, command: Sequence[str], files: Mapping[str, bytes]) -> Job:
    """The job in which a compiler makes `RESULT` of files."""
    return _job(toolchain, COMPILE_LIMITS, command, files)._replace(forks=True, collect=RESULT)


def run_job(program: Program, toolchain: Toolchain, content: bytes) -> tuple[Job, Mapping[str, bytes]]:
    """The job that runs a program, and its files; `content` is its source, or what the compiler made of it."""
    command = toolchain.run_command(program.limits)
    is_binary = bool(toolchain.compile) and not command
    files = dict(program.files)
    if command:
        files[RESULT if toolchain.compile else toolchain.main] = content
    needs_file = "/dev/stdin" in program.source and not is_graded(program, toolchain)
    job = _job(toolchain, program.limits, [RESULT] if is_binary else command, files, len(program.stdin) * needs_file)
    arguments = [str(word) for word in program.args]  # numbers and words that are no more than that: they travel
    job = job._replace(arguments=arguments, is_binary=is_binary, stdin_file=needs_file)
    return job, files


def _job(
    toolchain: Toolchain, limits: Limits, argv: Sequence[str], files: Mapping[str, bytes], stdin_bytes: int = 0
) -> Job:
    """A job with further files of some size; what it is given takes no room of its own."""
    given_bytes = sum(size + PAGE_BYTES for size in (stdin_bytes, *map(len, files.values())) if size)
    return Job(
        argv=list(argv),
        arguments=[],
        environment=toolchain.environment(),
        is_binary=False,
        files=[str(name) for name in files],
        stdin_file=False,
        collect="",
        forks=toolchain.forks,
        limits_address_space=toolchain.limits_address_space,
        wall_s=float(limits.wall_s),
        cpu_s=float(limits.cpu_s),
        memory_mb=int(limits.memory_mb),
        disk_mb=int(limits.disk_mb) - (-given_bytes >> 20),
        processes=int(limits.processes + toolchain.threads),
        open_files=int(limits.open_files),
    )


def is_graded(program: Program, toolchain: Toolchain) -> bool:
    """A grader is compiled along: it has the first look at standard input, which can't be read twice."""
    return bool(toolchain.compiler and toolchain.compiled_with(program.sources))


def read_compilation(result: Result) -> Compiled:
    """What a compiler made, or what its program has instead. WorkerLost where the program isn't to blame."""
    outcome = result.outcome
    note = ""
    if outcome.timed_out or outcome.cpu_s >= COMPILE_LIMITS.cpu_s:
        note = "the compiler took too long"
    elif result.memory_exceeded or result.output_exceeded:
        note = "the compiler used too much memory or wrote too much"
    elif outcome.exit_code == -signal.SIGKILL:
        raise WorkerLost("the compiler was killed, perhaps for the machine's lack of memory")
    elif outcome.exit_code == 0 and result.collected is not None:
        if len(result.collected) <= MAX_BINARY_BYTES:
            return result.collected
        note = f"the executable has more than {MAX_BINARY_BYTES >> 20} MiB"
    stderr = result.stderr + note.encode()
    return Execution(Status.COMPILE_ERROR, stderr=stderr, exit_code=outcome.exit_code, wall_s=outcome.wall_s)


def read_run(result: Result, limits: Limits) -> Execution:
    """What a run came to, in a provider's words."""
    outcome, status = result.outcome, Status.FINISHED
    if result.output_exceeded:
        status = Status.OUTPUT_LIMIT
    elif result.memory_exceeded:
        status = Status.MEMORY_LIMIT
    elif outcome.timed_out or outcome.cpu_s > limits.cpu_s:
        status = Status.TIME_LIMIT
    elif outcome.exit_code and says_out_of_memory(result.stderr):
        status = Status.MEMORY_LIMIT
    memory_mb = outcome.memory_kb / 1024
    return Execution(status, result.stdout, result.stderr, outcome.exit_code, outcome.wall_s, outcome.cpu_s, memory_mb)
