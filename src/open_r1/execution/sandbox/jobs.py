"""From a program to the job a worker gets, and from a worker's result back to an execution."""

from __future__ import annotations

import hashlib
import re
import signal
from collections.abc import Mapping, Sequence

from open_r1.execution.programs import Execution, Limits, Program, Status
from open_r1.execution.sandbox.server.job import Job
from open_r1.execution.sandbox.toolchains import COMPILE_LIMITS, RESULT, Toolchain, says_out_of_memory
from open_r1.execution.sandbox.worker import Result

MAX_SOURCE_BYTES = 16 << 20
MAX_ARGUMENT_BYTES = 64 << 10
MAX_FILES = 32
PAGE_BYTES = 4096
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}")


JobFiles = tuple[Job, Mapping[str, bytes]]
"""A job, and the contents of its files by name."""


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
    if program.limits.fault:
        return Execution.unavailable("bad_request", program.limits.fault)
    return None


def compile_job(program: Program, toolchain: Toolchain) -> JobFiles:
    """The job that makes an executable of a program."""
    sources = {**program.sources, toolchain.main_file(program.source): _encoded(program.source)}
    return _compile_job(toolchain, toolchain.compile_command(program.source, program.sources), sources)


def object_job(program: Program, toolchain: Toolchain, of_graders: bool) -> JobFiles:
    """The job that makes an object file of a program's further sources, or of its own alone.

    In a job of their own, so that a program can't include what it is to be graded by.
    """
    compiled = toolchain.compiled_with(program.sources)
    headers = {name: content for name, content in program.sources.items() if name not in compiled}
    own = {toolchain.main: _encoded(program.source)}
    files = {name: program.sources[name] for name in compiled} if of_graders else own
    return _compile_job(toolchain, toolchain.object_command(list(files)), headers | files)


def link_job(toolchain: Toolchain, objects: Sequence[bytes]) -> JobFiles:
    """The job that makes an executable of object files."""
    files = {f"{place}.o": content for place, content in enumerate(objects)}
    return _compile_job(toolchain, toolchain.link_command(list(files)), files)


def _compile_job(toolchain: Toolchain, command: Sequence[str], files: Mapping[str, bytes]) -> JobFiles:
    return _job(toolchain, COMPILE_LIMITS, command, files=files, forks=True, collect=RESULT), files


def run_job(program: Program, toolchain: Toolchain, executable: bytes | None) -> JobFiles:
    """The job that runs a program, and its files.

    `executable` is what was compiled where a command runs it; None where it is run by itself, or nothing is compiled.
    """
    files = dict(program.files)
    command = toolchain.run_command(program.limits, toolchain.main)
    is_binary = bool(toolchain.compile) and not command
    if command and executable is not None:
        files[RESULT] = executable
    elif command:
        files[toolchain.main] = _encoded(program.source)
    job = _job(
        toolchain,
        program.limits,
        [RESULT] if is_binary else command,
        program.args,
        files=files,
        is_binary=is_binary,
        stdin=len(program.stdin) if "/dev/stdin" in program.source and not is_graded(program, toolchain) else None,
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
    stdin: int | None = None,
    collect: str = "",
) -> Job:
    """The job; `stdin` is the size of standard input where that is wanted as a file too. What it is given takes no room."""
    return Job(
        argv=list(argv),
        arguments=[str(word) for word in arguments],  # numbers and words that are no more than that: they travel
        environment=toolchain.environment(),
        is_binary=is_binary,
        files=[str(name) for name in files],
        stdin_file=stdin is not None,
        collect=collect,
        forks=forks,
        limits_address_space=toolchain.limits_address_space,
        wall_s=float(limits.wall_s),
        cpu_s=float(limits.cpu_s),
        memory_mb=int(limits.memory_mb),
        disk_mb=int(limits.disk_mb) + _megabytes([stdin or 0, *map(len, files.values())]),
        processes=int(limits.processes + toolchain.threads),
        open_files=int(limits.open_files),
    )


def is_graded(program: Program, toolchain: Toolchain) -> bool:
    """A grader is compiled along: it has the first look at standard input, which can't be read twice."""
    return bool(toolchain.link and toolchain.compiled_with(program.sources))


def _megabytes(sizes: Sequence[int]) -> int:
    """Room for files of these sizes, which take whole pages."""
    return -(-sum(size + PAGE_BYTES for size in sizes if size) // (1 << 20))


def _encoded(source: str) -> bytes:
    return source.encode("utf-8", "replace")


def compile_error(result: Result, note: str = "") -> Execution:
    """What a program has that the compiler made nothing of, or nothing that can be used."""
    if result.outcome.timed_out:
        note = "the compiler took too long"
    elif result.memory_exceeded or result.output_exceeded:
        note = "the compiler used too much memory or wrote too much"
    return Execution(
        Status.COMPILE_ERROR,
        stderr=result.stderr + note.encode(),
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
    if result.outcome.exit_code and says_out_of_memory(result.stderr):
        return Status.MEMORY_LIMIT
    return Status.FINISHED


def compile_key(command: Sequence[str], files: Mapping[str, bytes]) -> str:
    """A hash of all that decides what files are compiled to."""
    digest = hashlib.sha256(repr((list(command), sorted(files))).encode())
    for name in sorted(files):
        digest.update(len(files[name]).to_bytes(8, "little") + files[name])
    return digest.hexdigest()
