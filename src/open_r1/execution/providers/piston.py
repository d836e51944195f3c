"""Piston v2 (https://github.com/engineer-man/piston), on one endpoint or many.

    GET  /runtimes -> [{"language", "version", "aliases"}]
    POST /execute {"language", "version": "*", "files": [{"name", "content", "encoding"}], "stdin", "args",
                   "run_timeout" ms, "run_cpu_time" ms, "run_memory_limit" bytes, "compile_timeout" ms}
                -> {"run": {"stdout", "stderr", "code", "signal", "status"?, ...}, "compile"?: {...}}, or 400 {"message"}

Does: share programs among endpoints, the least busy first; leave out an endpoint that fails, and try it again later;
work with a Piston that allows less than is asked for, as long as the program needs no more than that. Does not: install
runtimes; carry stdin that isn't UTF-8 (Piston's is text, and gets a line end where it has none).

A language that is none of ours goes to the runtime of that name with `files` as they stand, in their order, so that
packages with a layout of their own, such as `cms_ioi`, can be used: `source` may then be "".
"""

from __future__ import annotations

import asyncio
import base64
import math
import re
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from open_r1.execution.environment import Environment, explain_missing
from open_r1.execution.programs import Execution, Program, Status
from open_r1.execution.providers.http import bearer, get_json, parse_json, post_json, service_url
from open_r1.execution.providers.registry import ProviderSpec
from open_r1.execution.providers.remote import COMPILE_S, RemoteProvider, RetryPolicy, Session
from open_r1.execution.providers.replies import (
    Failure,
    GarbledReply,
    as_object,
    exit_code_of,
    max_reply_bytes,
    number_of,
    output_of,
    text_of,
)
from open_r1.execution.providers.wrapping import fault_of_files, other_cpp_standard
from open_r1.execution.sandbox.toolchains import Toolchain, find_toolchain, says_out_of_memory
from open_r1.net.retry import CoolDown
from open_r1.processes import ranks

DEFAULT_PATH = "/api/v2"

NAMES: Mapping[str, tuple[str, ...]] = {
    "python": ("python", "python3"),
    "cpp": ("c++", "cpp", "c++17"),
    "c": ("c",),
    "javascript": ("javascript", "node"),
    "bash": ("bash",),
    "java": ("java",),
    "rust": ("rust",),
}
"""What Piston's packages may call our languages."""

RETRY_ENDPOINT_S = 15.0
"""How long an endpoint that failed is left out; doubled with every further failure, up to `MAX_RETRY_ENDPOINT_S`."""

MAX_RETRY_ENDPOINT_S = 300.0

RUNTIMES_AGE_S = 300.0
"""How long a list of runtimes is believed when a language is not on it."""

MAX_RUNTIMES_BYTES = 1 << 20
OUTPUT_CHUNK = 1 << 16
"""Piston drops the chunk that goes over its output limit, so an output may end this far below it."""

OVERLOAD_PAUSES_S = (1.0, 3.0)
"""Waits before running again what looks as if Piston had no process left for it; then it is taken at its word, since a
program could write the same."""

SQUEUE_S = 20

_CEILING = re.compile(
    r"(run|compile)_(timeout|cpu_time|memory_limit) cannot exceed the configured limit of ([\d.e+]+)"
)


@dataclass(eq=False)
class Endpoint:
    """One Piston: what is known of it."""

    url: str
    in_flight: int = 0
    cool_down: CoolDown = field(default_factory=lambda: CoolDown(1, RETRY_ENDPOINT_S, MAX_RETRY_ENDPOINT_S, jitter=0))
    languages: frozenset[str] | None = None
    languages_at: float = 0.0
    ceilings: dict[str, int] = field(default_factory=dict)
    """Limits that it was seen to refuse, and the highest that it allows."""


class PistonProvider(RemoteProvider):
    """One or more Pistons.

    Args:
        endpoints: Their addresses, up to and with `/api/v2`, which is added where there is no path.
        token: Sent as a bearer token, where the service wants one.
        requests_per_endpoint: How many programs one endpoint gets from this process at once.
        rank, world_size: Of this process among those that share the endpoints: each begins elsewhere.
        problem: Why there are no endpoints.
    """

    name = "piston"

    def __init__(
        self,
        endpoints: Sequence[str],
        token: str = "",
        requests_per_endpoint: int = 1,
        rank: int = 0,
        world_size: int = 1,
        policy: RetryPolicy | None = None,
        problem: str = "",
    ) -> None:
        urls = [service_url(address, DEFAULT_PATH) for address in endpoints]
        invalid = [address for address, url in zip(endpoints, urls, strict=True) if not url]
        if invalid:
            problem = f"PISTON_ENDPOINTS has '{invalid[0]}', not an address; write http://host:2000/api/v2."
        at_once = max(1, math.ceil(len(urls) * requests_per_endpoint / world_size))
        super().__init__(at_once, policy, problem)
        start = rank * len(urls) // world_size if urls else 0
        self.endpoints = [Endpoint(url) for url in (*urls[start:], *urls[:start])]
        self._headers = bearer(token)

    async def greet(self, session: Session) -> None:
        """One endpoint that answers is enough."""
        failures = await asyncio.gather(*(self._greet_endpoint(endpoint, session) for endpoint in self.endpoints))
        if all(failures):
            raise next(failure for failure in failures if failure)

    async def _greet_endpoint(self, endpoint: Endpoint, session: Session) -> Failure | None:
        try:
            await self._load_languages(endpoint, session)
        except Failure as failure:
            return failure
        return None

    def refuse(self, program: Program) -> Execution | None:
        try:
            program.stdin.decode()
        except UnicodeDecodeError:
            return Execution.unavailable("unsupported", "Piston's standard input is text, and this is not UTF-8.")
        toolchain = find_toolchain(program.language)
        return fault_of_files(program, is_compiled=toolchain is None or bool(toolchain.compile))

    async def attempt(self, program: Program, session: Session, clean_up: AsyncExitStack) -> Execution:
        failure = Failure(
            "unsupported_language", f"no endpoint has a runtime for '{program.language}'", can_retry=False
        )
        for endpoint in self._by_preference():
            try:
                async with self._occupied(endpoint, self.program_s(program)):
                    if runtime := await self._runtime_for(program.language, endpoint, session):
                        return await self._run_at(endpoint, session, _request(program, runtime), program)
            except Failure as error:
                if error.reason != "connection_failed":
                    raise
                failure = error
        raise failure

    def _by_preference(self) -> list[Endpoint]:
        """The endpoints that work, the least busy first; where none does, the one that was left out first."""
        now = time.monotonic()
        working = [endpoint for endpoint in self.endpoints if endpoint.cool_down.until <= now]
        if working:
            return sorted(working, key=lambda endpoint: endpoint.in_flight)
        return sorted(self.endpoints, key=lambda endpoint: endpoint.cool_down.until)

    async def _run_at(
        self, endpoint: Endpoint, session: Session, request: dict[str, Any], program: Program
    ) -> Execution:
        execution = await self._post(endpoint, session, request, program)
        for pause_s in OVERLOAD_PAUSES_S:
            if not _looks_overloaded(execution):
                break
            await asyncio.sleep(pause_s)
            execution = await self._post(endpoint, session, request, program)
        return execution

    async def _runtime_for(self, language: str, endpoint: Endpoint, session: Session) -> str:
        """What the endpoint calls a language; "" if it doesn't have it."""
        wanted = _names(language)
        for is_fresh in (False, True):
            is_old = time.monotonic() - endpoint.languages_at > RUNTIMES_AGE_S
            if endpoint.languages is None or (is_fresh and is_old):
                await self._load_languages(endpoint, session)
            known = endpoint.languages or frozenset()
            if found := next((name for name in wanted if name in known), ""):
                return found
        return ""

    async def _load_languages(self, endpoint: Endpoint, session: Session) -> None:
        runtimes = await get_json(session.http, f"{endpoint.url}/runtimes", self._headers, MAX_RUNTIMES_BYTES)
        if not isinstance(runtimes, list):
            raise GarbledReply(f"{endpoint.url}/runtimes is not a list")
        names: set[str] = set()
        for runtime in runtimes:
            aliases = as_object(runtime, "a runtime").get("aliases")
            names |= {text_of(runtime, "language"), *(str(alias) for alias in aliases or ())}
        endpoint.languages, endpoint.languages_at = frozenset(names - {""}), time.monotonic()

    @asynccontextmanager
    async def _occupied(self, endpoint: Endpoint, program_s: float) -> AsyncIterator[None]:
        """Keep count of what the endpoint is at, and of whether it fails: for what it refuses it is not to blame."""
        endpoint.in_flight += 1
        started = time.monotonic()
        try:
            yield
        except Failure as failure:
            if failure.can_retry:
                endpoint.cool_down.failed(time.monotonic())
            raise
        except asyncio.CancelledError:
            if time.monotonic() - started > program_s:  # it was given up, and not merely no longer wanted
                endpoint.cool_down.failed(time.monotonic())
            raise
        else:
            endpoint.cool_down.succeeded()
        finally:
            endpoint.in_flight -= 1

    async def _post(
        self, endpoint: Endpoint, session: Session, request: dict[str, Any], program: Program
    ) -> Execution:
        """Run it, asking for less where the endpoint is known, or turns out, to allow less."""
        most = max_reply_bytes(program.limits)
        for _ in range(6):  # each limit may be refused once
            lowered = {key: limit for key, limit in endpoint.ceilings.items() if request.get(key, 0) > limit}
            started = time.monotonic()
            try:
                reply = await post_json(
                    session.http, f"{endpoint.url}/execute", request | lowered, self._headers, most
                )
            except Failure as failure:
                if failure.reason != "refused" or not self._learn_ceiling(endpoint, failure.detail):
                    raise
                continue
            if reply.is_cut and (b'"run"' in reply.body[:4096] or b'"compile"' in reply.body[:4096]):
                return Execution(Status.OUTPUT_LIMIT, detail="Piston's reply is longer than any allowed output")
            answer = as_object(parse_json(reply), "Piston's answer")
            return _read(answer, program, request | lowered, lowered, time.monotonic() - started)
        raise Failure("refused", f"{endpoint.url} refuses every limit", can_retry=False)

    @staticmethod
    def _learn_ceiling(endpoint: Endpoint, message: str) -> bool:
        match = _CEILING.search(message)
        if not match:
            return False
        key, limit = f"{match[1]}_{match[2]}", int(float(match[3]))
        is_news = endpoint.ceilings.get(key) != limit
        endpoint.ceilings[key] = limit
        return is_news


def _names(language: str) -> tuple[str, ...]:
    """What a runtime for the language may be called, best first."""
    toolchain = find_toolchain(language)
    if toolchain is None:
        return (language,)
    if standard := other_cpp_standard(language):
        return (f"c++{standard}",)
    return NAMES.get(toolchain.language, (toolchain.language,))


def _request(program: Program, runtime: str) -> dict[str, Any]:
    toolchain, limits = find_toolchain(program.language), program.limits
    request: dict[str, Any] = {
        "language": runtime,
        "version": "*",
        "files": _files(program, toolchain),
        "stdin": program.stdin.decode(),
        "args": list(program.args),
        "run_timeout": math.ceil(limits.wall_s * 1000),
        "run_cpu_time": math.ceil(limits.cpu_s * 1000),
    }
    if toolchain is None or toolchain.limits_address_space:  # older Pistons limit memory as address space
        request["run_memory_limit"] = limits.memory_mb << 20
    if toolchain is None or toolchain.compile:
        request |= {"compile_timeout": int(COMPILE_S * 1000), "compile_cpu_time": int(COMPILE_S * 1000)}
    return request


def _files(program: Program, toolchain: Toolchain | None) -> list[dict[str, str]]:
    """The main file comes first, as text; the others in Base64, since Piston hands all text files to the compiler."""
    others = (*program.sources.items(), *program.files.items())
    if toolchain is None:
        main = [{"name": "main", "content": program.source}] if program.source else []
        return main + [_as_text(*file) for file in others]
    main = [{"name": toolchain.main_file(program.source), "content": program.source}]
    return main + [_as_base64(*file) for file in others]


def _as_text(name: str, content: bytes) -> dict[str, str]:
    try:
        return {"name": name, "content": content.decode()}
    except UnicodeDecodeError:
        return _as_base64(name, content)


def _as_base64(name: str, content: bytes) -> dict[str, str]:
    return {"name": name, "content": base64.b64encode(content).decode("ascii"), "encoding": "base64"}


def _read(
    answer: Mapping[str, Any], program: Program, request: Mapping[str, Any], lowered: Mapping[str, int], took_s: float
) -> Execution:
    """What happened, out of an answer. Failure where Piston is to blame, or a limit of its own that is below ours."""
    if answer.get("compile") is not None:
        compiled = _Stage.read(as_object(answer["compile"], "'compile'"))
        if not compiled.is_good:
            return _compile_error(compiled, lowered)
    run = _Stage.read(as_object(answer.get("run"), "'run'"))
    if run.status == "XX":
        raise Failure("sandbox_failed", f"Piston's sandbox failed: {run.message[:200]}")
    execution = _as_execution(run, program, request, took_s)
    if too_low := _limit_of_piston(execution, run, program, lowered):
        raise Failure("limit_too_low", too_low, can_retry=False)
    return execution


@dataclass(frozen=True)
class _Stage:
    """The compiler's or the program's run, as Piston reports it."""

    stdout: bytes
    stderr: bytes
    code: int | None
    signal: str
    status: str
    message: str
    wall_s: float | None
    cpu_s: float | None
    memory_mb: float | None

    @classmethod
    def read(cls, record: Mapping[str, Any]) -> _Stage:
        if "code" not in record and "signal" not in record:
            raise GarbledReply("a stage without 'code' and 'signal'")
        wall_ms, cpu_ms, memory = (number_of(record, key) for key in ("wall_time", "cpu_time", "memory"))
        return cls(
            stdout=output_of(record, "stdout"),
            stderr=output_of(record, "stderr"),
            code=exit_code_of(record, "code"),
            signal=text_of(record, "signal"),
            status=text_of(record, "status"),
            message=text_of(record, "message"),
            wall_s=None if wall_ms is None else wall_ms / 1000,
            cpu_s=None if cpu_ms is None else cpu_ms / 1000,
            memory_mb=None if memory is None else memory / (1 << 20),
        )

    @property
    def is_good(self) -> bool:
        return self.code == 0 and not self.signal


def _compile_error(compiled: _Stage, lowered: Mapping[str, int]) -> Execution:
    if compiled.status == "XX":
        raise Failure("sandbox_failed", f"Piston's sandbox failed while compiling: {compiled.message[:200]}")
    if compiled.signal == "SIGKILL" and any(key.startswith("compile_") for key in lowered):
        raise Failure("limit_too_low", _advice("PISTON_COMPILE_TIMEOUT", "the compiler", lowered), can_retry=False)
    stderr = compiled.stderr or compiled.stdout
    detail = "the compiler was killed" if compiled.signal == "SIGKILL" else ""
    return Execution(Status.COMPILE_ERROR, stderr=stderr, exit_code=compiled.code, detail=detail)


def _as_execution(run: _Stage, program: Program, request: Mapping[str, Any], took_s: float) -> Execution:
    status, exit_code = Status.FINISHED, run.code
    if run.signal and run.code is None:
        exit_code = -getattr(signal.Signals, run.signal, signal.SIGKILL)
    if run.status == "TO":
        status = Status.TIME_LIMIT
    elif run.status in ("OL", "EL"):
        status = Status.OUTPUT_LIMIT
    elif run.signal == "SIGKILL" and run.code is None:
        status = _killed_for(run, program, request, took_s)
    elif run.code != 0 and _is_out_of_memory(run, program):
        status = Status.MEMORY_LIMIT
    return Execution(
        status,
        run.stdout,
        run.stderr,
        exit_code if status is Status.FINISHED else None,
        run.wall_s,
        run.cpu_s,
        run.memory_mb,
    )


def _killed_for(run: _Stage, program: Program, request: Mapping[str, Any], took_s: float) -> Status:
    """Why a program got SIGKILL: older Pistons kill for time and for output alike, and say neither."""
    if _is_out_of_memory(run, program):
        return Status.MEMORY_LIMIT
    if took_s * 1000 >= request["run_timeout"]:
        return Status.TIME_LIMIT
    return Status.OUTPUT_LIMIT if max(len(run.stdout), len(run.stderr)) >= 1024 else Status.FINISHED


def _is_out_of_memory(run: _Stage, program: Program) -> bool:
    if run.memory_mb is not None and run.memory_mb >= 0.98 * program.limits.memory_mb:
        return True
    return says_out_of_memory(run.stderr)


def _looks_overloaded(execution: Execution) -> bool:
    is_failure = execution.status is Status.FINISHED and execution.exit_code != 0 and not execution.stdout
    return is_failure and b"Resource temporarily unavailable" in execution.stderr[:1000]


def _limit_of_piston(execution: Execution, run: _Stage, program: Program, lowered: Mapping[str, int]) -> str:
    """What to raise on a Piston whose own limit, lower than the program's, ended it; "" if none did."""
    if execution.status is Status.TIME_LIMIT and lowered.keys() & {"run_timeout", "run_cpu_time"}:
        return _advice("PISTON_RUN_TIMEOUT and PISTON_RUN_CPU_TIME", "the program", lowered)
    if execution.status is Status.MEMORY_LIMIT and "run_memory_limit" in lowered:
        return _advice("PISTON_RUN_MEMORY_LIMIT", "the program", lowered)
    longest = max(len(run.stdout), len(run.stderr))
    if execution.status is Status.OUTPUT_LIMIT and longest + OUTPUT_CHUNK < program.limits.output_kb * 1024:
        return f"Piston cuts outputs after about {longest} bytes; start it with a higher PISTON_OUTPUT_MAX_SIZE"
    return ""


def _advice(variable: str, what: str, lowered: Mapping[str, int]) -> str:
    allowed = ", ".join(f"{key} {limit}" for key, limit in sorted(lowered.items()))
    return f"{what} needs more than this Piston allows ({allowed}); start it with a higher {variable}"


def find_endpoints(value: str) -> tuple[list[str], str]:
    """PISTON_ENDPOINTS -> the addresses, and the problem if there are none."""
    if value.strip() == "slurm":
        return _find_slurm_workers()
    addresses = [address.strip() for address in value.split(",") if address.strip()]
    return addresses, "" if addresses else explain_missing("PISTON_ENDPOINTS", "provider piston")


def _find_slurm_workers() -> tuple[list[str], str]:
    """The running jobs called piston-worker-PORT."""
    command = ["squeue", "--noheader", "--states=RUNNING", "--format=%j %N"]
    try:
        listing = subprocess.run(command, capture_output=True, text=True, timeout=SQUEUE_S, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        return [], f"PISTON_ENDPOINTS is slurm, but squeue does not work ({error}); list the addresses instead."
    jobs = re.findall(r"^\s*piston-worker-(\d+)\s+(\S+)\s*$", listing, flags=re.MULTILINE)
    if not jobs:
        return [], "PISTON_ENDPOINTS is slurm, but no job called piston-worker-PORT runs; start the workers first."
    return sorted(f"http://{node}:{port}{DEFAULT_PATH}" for port, node in jobs), ""


def build(settings: Any, environment: Environment) -> RemoteProvider:
    endpoints, problem = find_endpoints(environment.get("PISTON_ENDPOINTS", ""))
    return PistonProvider(
        endpoints,
        environment.get("PISTON_TOKEN", ""),
        _whole_number(environment, "PISTON_MAX_REQUESTS_PER_ENDPOINT", 1),
        ranks.rank(environment),
        ranks.world_size(environment),
        problem=problem,
    )


def _whole_number(environment: Environment, name: str, default: int) -> int:
    value = environment.get(name, "").strip()
    return int(value) if value.isdigit() else default


PROVIDER = ProviderSpec(
    name="piston",
    build=build,
    summary="Piston servers, one or many.",
    variables=("PISTON_ENDPOINTS", "PISTON_TOKEN", "PISTON_MAX_REQUESTS_PER_ENDPOINT", "RANK", "WORLD_SIZE"),
)
