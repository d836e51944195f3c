"""The local provider: programs run in this machine's own sandbox, each on an idle worker; what is compiled is kept."""

from __future__ import annotations

import hashlib
import os
import queue
import re
import signal
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace

from open_r1.errors import ConfigError
from open_r1.execution.programs import Execution, Limits, Program, Provider, Status
from open_r1.execution.sandbox import tiers
from open_r1.execution.sandbox.server.job import Job
from open_r1.execution.sandbox.toolchains import (
    COMPILE_LIMITS,
    RESULT,
    Toolchain,
    find_toolchain,
    says_out_of_memory,
    unsupported_language,
)
from open_r1.execution.sandbox.worker import Result, Worker, WorkerLost, user_of
from open_r1.processes import ranks

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


MAX_WORKERS = 64
HARMLESS = {
    "python": "", "javascript": "", "bash": "", "c": "int main(void) { return 0; }", "cpp": "int main() {}",
    "java": "class Main { public static void main(String[] arguments) {} }", "rust": "fn main() {}",
}  # fmt: skip
"""The program in each language that does nothing."""

IDLE_LIMIT_S = 3600.0
MAX_BYTES = 512 << 20
MAX_ENTRIES = 4096
"""Of the compiled programs that are kept."""

COMPILE_WAIT_S = 3600.0
"""A compiler has limits of its own; what takes long is its turn."""


class BinaryCache:
    """Executables, the least recently used dropped first. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, Future[Compiled]] = OrderedDict()

    def get(self, key: str, compile_it: Callable[[], Compiled]) -> Compiled:
        """What `key` was compiled to, compiled now if need be; others who ask meanwhile wait.

        Raises what `compile_it` raises; then nothing is kept.
        """
        with self._lock:
            entry = self._entries.get(key)
            is_new = entry is None
            if entry is None:
                entry = self._entries[key] = Future()
            self._entries.move_to_end(key)
        if not is_new:
            return entry.result(timeout=COMPILE_WAIT_S)
        try:
            entry.set_result(compile_it())
        except BaseException as error:
            with self._lock:
                self._entries.pop(key, None)
            entry.set_exception(error)
            raise
        with self._lock:
            while len(self._entries) > MAX_ENTRIES or (len(self._entries) > 1 and self._num_bytes() > MAX_BYTES):
                self._entries.popitem(last=False)
        return entry.result()

    def _num_bytes(self) -> int:
        done = [entry.result() for entry in self._entries.values() if entry.done() and not entry.exception()]
        return sum(len(compiled.stderr if isinstance(compiled, Execution) else compiled) for compiled in done)


class LocalProvider(Provider):
    """This machine's sandbox.

    Args:
        workers: How many programs run at once; by default one a core.
        packages: Installed packages that Python programs may import, such as numpy; imported once, before any program.
        tier: "A" or "B"; by default the better of those that the machine gives.
    """

    name = "local"

    def __init__(self, workers: int | None = None, packages: Sequence[str] = (), tier: str | None = None) -> None:
        super().__init__()
        if tier not in (None, *tiers.TIERS):
            raise ConfigError(f"sandbox tier '{tier}' is unknown; the tiers are {', '.join(tiers.TIERS)}.")
        self.workers = workers or ranks.default_workers(MAX_WORKERS)
        self.concurrency = 2 * self.workers  # some wait for a compiler that another one has started
        self._packages = tuple(packages)
        self._tier = tier
        self._idle: queue.LifoQueue[Worker] | None = None
        self._workers_made: tuple[Worker, ...] = ()
        self._binaries = BinaryCache()
        _providers.add(self)

    @property
    def tier(self) -> str:
        """The tier in use; ConfigError when the machine gives none."""
        return self._tier or tiers.detect().require()

    def check(self) -> None:
        """ConfigError if the chosen tier or a package is not available on this machine."""
        if self._tier and (obstacle := tiers.why_not(self._tier)):
            raise ConfigError(f"sandbox tier {self._tier} isn't available here: {obstacle}. {tiers.REMEDY}")
        tiers.worker_config(self.tier, self._packages)

    def execute(self, program: Program) -> Execution:
        """Run the program in a sandbox worker, again if the worker dies; `unavailable` if it can't be isolated."""
        toolchain = find_toolchain(program.language)
        if toolchain is None:
            return unsupported_language(program.language)
        refusal = self._refusal(toolchain) or fault_of(program)
        if refusal:
            return refusal
        try:
            return self._run(program, toolchain)
        except WorkerLost:
            return self._run_again(program, toolchain)
        except OSError as error:
            return Execution.unavailable("sandbox_failed", str(error))

    def close(self) -> None:
        """End the idle workers and delete the compiled programs."""
        super().close()
        with self._lock:
            idle, self._idle = self._idle, None
        while idle is not None and not idle.empty():
            idle.get().close()
        self._binaries = BinaryCache()

    def _refusal(self, toolchain: Toolchain) -> Execution | None:
        try:
            tier = self.tier
        except ConfigError as error:
            return Execution.unavailable("no_isolation", str(error))
        missing = toolchain.missing()
        if tier == "B" and toolchain.language != "python":
            obstacle = f"tier B runs Python alone, and this is {toolchain.language}: see `open-r1 executor check`."
        elif missing:
            lacks = f"{toolchain.language} needs {', '.join(missing)}, which this machine lacks"
            obstacle = f"{lacks}; install {toolchain.package}."
        else:
            return None
        return Execution.unavailable("unsupported_language", obstacle)

    def _run_again(self, program: Program, toolchain: Toolchain) -> Execution:
        """A program whose run was lost gets a second one. Lost again, it is to blame where a harmless one isn't lost.

        Or a policy could choose to go unscored, by a program that takes its sandbox with it.
        """
        try:
            return self._run(program, toolchain)
        except (WorkerLost, OSError) as error:
            lost = str(error)
        harmless = replace(program, source=HARMLESS[toolchain.language], sources={})
        try:
            self._run(harmless, toolchain)
        except (WorkerLost, OSError):
            return Execution.unavailable("sandbox_failed", lost)
        detail = f"the program's run was lost twice ({lost}), and a harmless one's was not"
        return Execution(Status.FINISHED, exit_code=-signal.SIGKILL, detail=detail)

    def _run(self, program: Program, toolchain: Toolchain) -> Execution:
        """WorkerLost or OSError where that can't be done here and now."""
        content = self._compile(program, toolchain) if toolchain.compile else _encoded(program.source)
        return content if isinstance(content, Execution) else self._run_file(program, toolchain, content)

    def _compile(self, program: Program, toolchain: Toolchain) -> Compiled:
        own = {toolchain.main_file(program.source): _encoded(program.source)}
        if not is_graded(program, toolchain):
            command = toolchain.compile_command(program.source, program.sources)
            return self._build(toolchain, command, {**program.sources, **own})
        graders = {name: program.sources[name] for name in toolchain.compiled_with(program.sources)}
        headers = {name: content for name, content in program.sources.items() if name not in graders}
        built: dict[str, bytes] = {}
        for name, files in (("1.o", graders), ("0.o", own)):  # apart, so that a program can't include its grader
            part = self._build(toolchain, toolchain.object_command(list(files)), headers | files)
            if isinstance(part, Execution):
                said = part.stderr[-300:].decode("utf-8", "replace")
                fault = Execution.unavailable("bad_grader", f"the grader does not compile: {said}")
                return part if files is own else fault
            built[name] = part
        return self._build(toolchain, toolchain.link_command(sorted(built)), built)

    def _build(self, toolchain: Toolchain, command: Sequence[str], files: Mapping[str, bytes]) -> Compiled:
        """What a compiler makes of files, from the cache where it has been made before."""
        contents = sorted((name, hashlib.sha256(content).digest()) for name, content in files.items())
        return self._binaries.get(repr((command, contents)), lambda: self._run_compiler(toolchain, command, files))

    def _run_compiler(self, toolchain: Toolchain, command: Sequence[str], files: Mapping[str, bytes]) -> Compiled:
        with self._worker() as worker:
            job = compile_job(toolchain, command, files)
            return read_compilation(worker.run(job, b"", b"", files, COMPILE_LIMITS.output_kb << 10))

    def _run_file(self, program: Program, toolchain: Toolchain, content: bytes) -> Execution:
        """Run a program of which `content` is the source, or what the compiler made of it."""
        job, files = run_job(program, toolchain, content)
        with self._worker() as worker:
            output_bytes = program.limits.output_kb << 10
            result = worker.run(job, content, program.stdin, files, output_bytes, is_graded(program, toolchain))
        return read_run(result, program.limits)

    @contextmanager
    def _worker(self) -> Iterator[Worker]:
        idle = self._workers()
        worker = idle.get(timeout=IDLE_LIMIT_S)
        try:
            yield worker
        finally:
            idle.put(worker)

    def _workers(self) -> queue.LifoQueue[Worker]:
        config = None if self._idle else tiers.worker_config(self.tier, self._packages)
        with self._lock:
            if self._idle is None:
                assert config is not None
                users = map(user_of, range(self.workers))
                self._workers_made = tuple(Worker(replace(config, user=user)) for user in users)
                self._idle = queue.LifoQueue()
                for worker in self._workers_made:
                    self._idle.put(worker)
            return self._idle

    def forget_workers(self) -> None:
        """In a forked child: the workers and compiled programs are the parent's."""
        made, self._workers_made, self._idle, self._pool = self._workers_made, (), None, None
        self._lock = threading.Lock()
        self._binaries = BinaryCache()
        for worker in made:
            worker.forget()


_providers: weakref.WeakSet[LocalProvider] = weakref.WeakSet()


def _forget_parents_workers() -> None:
    for provider in list(_providers):
        provider.forget_workers()


os.register_at_fork(after_in_child=_forget_parents_workers)


def _encoded(source: str) -> bytes:
    return source.encode("utf-8", "replace")
