"""The local provider: programs run in this machine's own sandbox.

Does: hand each program to an idle worker, compile once what is run many times, and say in a provider's words what came
of it. Does not: isolate (`server`) or judge.
"""

from __future__ import annotations

import os
import queue
import signal
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace

from open_r1.errors import ConfigError, nearest
from open_r1.execution.programs import Execution, Program, Provider, Status
from open_r1.execution.sandbox import tiers
from open_r1.execution.sandbox.binaries import BinaryCache, Compiled
from open_r1.execution.sandbox.jobs import (
    compile_error,
    compile_job,
    compile_key,
    execution_of,
    fault_of,
    is_graded,
    link_job,
    object_job,
    run_job,
    was_killed,
)
from open_r1.execution.sandbox.server.job import Job
from open_r1.execution.sandbox.toolchains import COMPILE_LIMITS, TOOLCHAINS, Toolchain, find_toolchain
from open_r1.execution.sandbox.worker import Worker, WorkerLost, memory_file
from open_r1.processes import ranks

MAX_WORKERS = 64
MAX_BINARY_BYTES = 128 << 20
HARMLESS = {
    "python": "", "javascript": "", "bash": "", "c": "int main(void) { return 0; }", "cpp": "int main() {}",
    "java": "class Main { public static void main(String[] arguments) {} }", "rust": "fn main() {}",
}  # fmt: skip
"""The program in each language that does nothing."""

IDLE_LIMIT_S = 3600.0


def default_workers() -> int:
    """One a core that this process may use, shared out among the processes of a multi-GPU run."""
    return ranks.default_workers(MAX_WORKERS)


class LocalProvider(Provider):
    """This machine's sandbox.

    Args:
        workers: How many programs run at once; by default one a core.
        packages: Installed packages that Python programs may import, such as numpy; imported once, before any program.
        tier: "A" or "B"; by default the better of those that the machine gives.
        interpreter: The Python, 3.11 or newer, that runs servers and Python programs; by default the one that runs this.
    """

    name = "local"

    def __init__(
        self,
        workers: int | None = None,
        packages: Sequence[str] = (),
        tier: str | None = None,
        interpreter: str | None = None,
    ) -> None:
        super().__init__()
        if tier not in (None, *tiers.TIERS):
            raise ConfigError(f"sandbox tier '{tier}' is unknown; the tiers are {', '.join(tiers.TIERS)}.")
        self.workers = workers or default_workers()
        self.concurrency = 2 * self.workers  # some wait for a compiler that another one has started
        self._packages = tuple(packages)
        self._tier = tier
        self._interpreter = interpreter
        self._idle: queue.LifoQueue[Worker] | None = None
        self._workers_made: tuple[Worker, ...] = ()
        self._binaries = BinaryCache()
        _providers.add(self)

    @property
    def tier(self) -> str:
        """The tier in use; ConfigError when the machine gives none."""
        return self._tier or tiers.detect(self._interpreter).require()

    def check(self) -> None:
        if self._tier and (obstacle := tiers.why_not(self._tier, self._interpreter)):
            raise ConfigError(f"sandbox tier {self._tier} isn't available here: {obstacle}. {tiers.REMEDY}")
        tiers.worker_config(self.tier, self._packages, self._interpreter)

    def submit(self, program: Program) -> Future[Execution]:
        toolchain = find_toolchain(program.language)
        if toolchain and toolchain.compile:
            return super().submit(program)
        return self._pool(self.workers).submit(self.execute, program)  # a thread a worker: none waits for another's

    def execute(self, program: Program) -> Execution:
        toolchain = find_toolchain(program.language)
        if toolchain is None:
            return Execution.unavailable(
                "unsupported_language",
                f"unknown language '{program.language}'{nearest(program.language, TOOLCHAINS)} "
                f"Known: {', '.join(TOOLCHAINS)}.",
            )
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
        super().close()
        with self._lock:
            idle, self._idle = self._idle, None
        while idle is not None and not idle.empty():
            idle.get().close()
        self._binaries.close()

    def _refusal(self, toolchain: Toolchain) -> Execution | None:
        try:
            tier = self.tier
        except ConfigError as error:
            return Execution.unavailable("no_isolation", str(error))
        if tier == "B" and toolchain.language != "python":
            return Execution.unavailable(
                "unsupported_language",
                f"tier B runs Python alone, and this is {toolchain.language}: see `open-r1 executor check`.",
            )
        missing = toolchain.missing()
        if missing:
            return Execution.unavailable(
                "unsupported_language",
                f"{toolchain.language} needs {', '.join(missing)}, which this machine lacks; install {toolchain.package}.",
            )
        return None

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
        if not toolchain.compile:
            source = memory_file(program.source.encode("utf-8", "replace"))
            try:
                return self._run_file(program, toolchain, source)
            finally:
                os.close(source)
        compiled = self._compile(program, toolchain)
        if isinstance(compiled, Execution):
            return compiled
        try:
            return self._run_file(program, toolchain, compiled)
        finally:
            os.close(compiled)

    def _compile(self, program: Program, toolchain: Toolchain) -> Compiled:
        if not is_graded(program, toolchain):
            return self._build(*compile_job(program, toolchain))
        graders = self._build_object(program, toolchain, of_graders=True)
        if isinstance(graders, Execution):
            said = graders.stderr[-300:].decode("utf-8", "replace")
            return Execution.unavailable("bad_grader", f"the grader does not compile: {said}")
        own = self._build_object(program, toolchain, of_graders=False)
        return own if isinstance(own, Execution) else self._build(*link_job(toolchain, [own, graders]))

    def _build_object(self, program: Program, toolchain: Toolchain, of_graders: bool) -> bytes | Execution:
        built = self._build(*object_job(program, toolchain, of_graders))
        if isinstance(built, Execution):
            return built
        try:
            return _content(built)
        finally:
            os.close(built)

    def _build(self, job: Job, files: Mapping[str, bytes]) -> Compiled:
        """What a compiler makes of files, from the cache where it has been made before."""
        return self._binaries.get(compile_key(job.argv, files), lambda: self._run_compiler(job, files))

    def _run_compiler(self, job: Job, files: Mapping[str, bytes]) -> Compiled:
        nothing = memory_file(b"")
        try:
            with self._worker() as worker:
                result = worker.run(job, nothing, b"", files, COMPILE_LIMITS.output_kb << 10)
        finally:
            os.close(nothing)
        if result.outcome.failure:
            raise WorkerLost(result.outcome.failure)
        if was_killed(result):
            raise WorkerLost("the compiler was killed, perhaps for the machine's lack of memory")
        if result.collected is None:
            return compile_error(result)
        try:
            if result.outcome.exit_code != 0:
                return compile_error(result)
            if os.fstat(result.collected).st_size > MAX_BINARY_BYTES:
                return compile_error(result, f"the executable has more than {MAX_BINARY_BYTES >> 20} MiB")
            return memory_file(_content(result.collected))
        finally:
            os.close(result.collected)

    def _run_file(self, program: Program, toolchain: Toolchain, file: int) -> Execution:
        """Run a program of which `file` is the source, or what the compiler made of it."""
        is_compiled = bool(toolchain.compile) and bool(toolchain.run)
        job, files = run_job(program, toolchain, _content(file) if is_compiled else None)
        with self._worker() as worker:
            output_bytes = program.limits.output_kb << 10
            result = worker.run(job, file, program.stdin, files, output_bytes, is_graded(program, toolchain))
        if result.outcome.failure:
            raise WorkerLost(result.outcome.failure)
        return execution_of(result, program.limits)

    @contextmanager
    def _worker(self) -> Iterator[Worker]:
        idle = self._workers()
        worker = idle.get(timeout=IDLE_LIMIT_S)
        try:
            yield worker
        finally:
            idle.put(worker)

    def _workers(self) -> queue.LifoQueue[Worker]:
        config = None if self._idle else tiers.worker_config(self.tier, self._packages, self._interpreter)
        with self._lock:
            if self._idle is None:
                assert config is not None
                # As root, each becomes a user of its own: the kernel counts threads by user.
                users = range(config.user, config.user - self.workers, -1)
                self._workers_made = tuple(Worker(replace(config, user=user)) for user in users)
                self._idle = queue.LifoQueue()
                for worker in self._workers_made:
                    self._idle.put(worker)
            return self._idle

    def forget_workers(self) -> None:
        """In a forked child: the workers and compiled programs are the parent's."""
        made, self._workers_made, self._idle, self._pools = self._workers_made, (), None, {}
        self._lock = threading.Lock()
        self._binaries = BinaryCache()
        for worker in made:
            worker.forget()


_providers: weakref.WeakSet[LocalProvider] = weakref.WeakSet()


def _forget_parents_workers() -> None:
    for provider in list(_providers):
        provider.forget_workers()


os.register_at_fork(after_in_child=_forget_parents_workers)


def _content(descriptor: int) -> bytes:
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0)
