"""Piston v2 (https://github.com/engineer-man/piston), on one endpoint or many.

    GET  /runtimes -> [{"language", "version", "aliases"}]
    POST /execute {"language", "version": "*", "files": [{"name", "content", "encoding"}], "stdin", "args",
                   "run_timeout" ms, "run_cpu_time" ms, "run_memory_limit" bytes, "compile_timeout" ms}
                -> {"run": {"stdout", "stderr", "code", "signal", "status"?, ...}, "compile"?: {...}}, or 400 {"message"}

Programs are shared among endpoints, the least busy first; an endpoint that fails is left out for a while. A Piston that
allows less than is asked for does as long as the program needs no more. Runtimes must be installed, and stdin be UTF-8.

A language that is none of ours goes to the runtime of that name with `files` as they stand, in their order, so that
packages with a layout of their own, such as `cms_ioi`, can be used: `source` may then be "".
"""

from __future__ import annotations

import asyncio
import math
import re
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from open_r1.execution.environment import Environment, explain_missing
from open_r1.execution.programs import Execution, Program, Status
from open_r1.execution.providers import ProviderSpec, replies
from open_r1.execution.providers.remote import COMPILE_S, RemoteProvider, RetryPolicy, Session
from open_r1.execution.providers.replies import Failure, GarbledReply
from open_r1.execution.providers.wrapping import fault_of_files, fault_of_text, other_cpp_standard
from open_r1.execution.sandbox.toolchains import find_toolchain, says_out_of_memory
from open_r1.execution.wire import encode_bytes
from open_r1.net.client import bearer
from open_r1.net.retry import CoolDown
from open_r1.processes import ranks

DEFAULT_PATH = "/api/v2"

NAMES = {
    "python": ("python", "python3"),
    "cpp": ("c++", "cpp", "c++17"),
    "javascript": ("javascript", "node"),
}
"""What Piston's packages may call a language, where it isn't by our name alone."""

RETRY_ENDPOINT_S = 15.0
"""How long an endpoint that failed is left out; doubled with every further failure, up to `MAX_RETRY_ENDPOINT_S`."""

MAX_RETRY_ENDPOINT_S = 300.0

MAX_RUNTIMES_BYTES = 1 << 20
OUTPUT_CHUNK = 1 << 16
"""Piston drops the chunk that goes over its output limit, so an output may end this far below it."""

OVERLOAD_PAUSES_S = (1.0, 3.0)
"""Waits before running again what looks as if Piston had no process left for it; then it is taken at its word, since a
program could write the same."""

SQUEUE_S = 20

_CEILING = re.compile(
    r"((?:run|compile)_(?:timeout|cpu_time|memory_limit)) cannot exceed the configured limit of ([\d.e+]+)"
)


@dataclass(eq=False)
class Endpoint:
    """One Piston: what is known of it."""

    url: str
    in_flight: int = 0
    cool_down: CoolDown = field(default_factory=lambda: CoolDown(1, RETRY_ENDPOINT_S, MAX_RETRY_ENDPOINT_S, jitter=0))
    languages: frozenset[str] | None = None
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
        urls = [replies.service_url(address, DEFAULT_PATH) for address in endpoints]
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
        loading = (self._load_languages(endpoint, session) for endpoint in self.endpoints)
        found = await asyncio.gather(*loading, return_exceptions=True)
        if all(isinstance(languages, BaseException) for languages in found):
            raise found[0]  # type: ignore[misc]

    def refuse(self, program: Program) -> Execution | None:
        toolchain = find_toolchain(program.language)
        is_compiled = toolchain is None or bool(toolchain.compile)
        return fault_of_text(program, "Piston") or fault_of_files(program, is_compiled)

    async def attempt(self, program: Program, session: Session, clean_up: AsyncExitStack) -> Execution:
        failure = Failure(
            "unsupported_language", f"no endpoint has a runtime for '{program.language}'", can_retry=False
        )
        now = time.monotonic()  # those that work come first, the least busy of them before all
        for endpoint in sorted(self.endpoints, key=lambda one: (max(one.cool_down.until, now), one.in_flight)):
            try:
                async with self._occupied(endpoint, self.program_s(program)):
                    languages = endpoint.languages or await self._load_languages(endpoint, session)
                    if runtime := next((name for name in _names(program.language) if name in languages), ""):
                        return await self._run_at(endpoint, session, _request(program, runtime), program)
            except Failure as error:
                if error.reason != "connection_failed":
                    raise
                failure = error
        raise failure

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

    async def _load_languages(self, endpoint: Endpoint, session: Session) -> frozenset[str]:
        """What the endpoint's runtimes are called."""
        url = f"{endpoint.url}/runtimes"
        runtimes = replies.parse_json(*await replies.fetch(session.http, url, self._headers, MAX_RUNTIMES_BYTES))
        if not isinstance(runtimes, list):
            raise GarbledReply(f"{url} is not a list")
        names: set[str] = set()
        for runtime in runtimes:
            aliases = replies.as_object(runtime, "a runtime").get("aliases")
            names |= {replies.text_of(runtime, "language"), *(str(alias) for alias in aliases or ())}
        endpoint.languages = frozenset(names - {""})
        return endpoint.languages

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
        most = replies.max_reply_bytes(program.limits)
        for _ in range(6):  # each limit may be refused once
            lowered = {key: limit for key, limit in endpoint.ceilings.items() if request.get(key, 0) > limit}
            started = time.monotonic()
            try:
                body, is_cut = await replies.fetch(
                    session.http, f"{endpoint.url}/execute", self._headers, most, request | lowered
                )
            except Failure as failure:
                match = _CEILING.search(failure.detail) if failure.reason == "refused" else None
                if not match or endpoint.ceilings.get(match[1]) == int(float(match[2])):
                    raise
                endpoint.ceilings[match[1]] = int(float(match[2]))
                continue
            if is_cut and (b'"run"' in body[:4096] or b'"compile"' in body[:4096]):
                return Execution(Status.OUTPUT_LIMIT, detail="Piston's reply is longer than any allowed output")
            answer = replies.as_object(replies.parse_json(body, is_cut), "Piston's answer")
            return _read(answer, program, request | lowered, lowered, time.monotonic() - started)
        raise Failure("refused", f"{endpoint.url} refuses every limit", can_retry=False)


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
    others = (*program.sources.items(), *program.files.items())
    if toolchain is None:
        main = [{"name": "main", "content": program.source}] if program.source else []
        files = main + [_file(*file, is_text=True) for file in others]
    else:  # the main file comes first, as text; the others in Base64: Piston hands all text files to the compiler
        main = {"name": toolchain.main_file(program.source), "content": program.source}
        files = [main, *(_file(*file) for file in others)]
    request: dict[str, Any] = {
        "language": runtime,
        "version": "*",
        "files": files,
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


def _file(name: str, content: bytes, is_text: bool = False) -> dict[str, str]:
    """A file in Base64, or as the text that it is."""
    with suppress(UnicodeDecodeError):
        if is_text:
            return {"name": name, "content": content.decode()}
    return {"name": name, "content": encode_bytes(content), "encoding": "base64"}


def _read(
    answer: Mapping[str, Any], program: Program, request: Mapping[str, Any], lowered: Mapping[str, int], took_s: float
) -> Execution:
    """What happened, out of an answer. Failure where Piston is to blame, or a limit of its own that is below ours."""
    if answer.get("compile") is not None:
        compiled, signal_name, status = _stage(answer, "compile")
        was_killed = signal_name == "SIGKILL"
        if was_killed and any(key.startswith("compile_") for key in lowered):
            raise _too_low("PISTON_COMPILE_TIMEOUT", "the compiler", lowered)
        if compiled.exit_code != 0 or signal_name:
            return replace(
                compiled,
                status=Status.COMPILE_ERROR,
                stdout=b"",
                stderr=compiled.stderr or compiled.stdout,
                detail="the compiler was killed" if was_killed else "",
            )
    execution, signal_name, status = _stage(answer, "run")
    ended = _ended(execution, signal_name, status, program, took_s * 1000 >= request["run_timeout"])
    _check_limits(ended, execution, program, lowered)
    exit_code = execution.exit_code
    if signal_name and exit_code is None:
        exit_code = -getattr(signal.Signals, signal_name, signal.SIGKILL)
    return replace(execution, status=ended, exit_code=exit_code if ended is Status.FINISHED else None)


def _stage(answer: Mapping[str, Any], key: str) -> tuple[Execution, str, str]:
    """The compiler's or the program's run as Piston reports it, with its signal and status."""
    record = replies.as_object(answer.get(key), f"'{key}'")
    if "code" not in record and "signal" not in record:
        raise GarbledReply(f"'{key}' has neither 'code' nor 'signal'")
    if replies.text_of(record, "status") == "XX":
        raise Failure("sandbox_failed", f"Piston's sandbox failed: {replies.text_of(record, 'message')[:200]}")
    wall_ms, cpu_ms, memory = (replies.number_of(record, name) for name in ("wall_time", "cpu_time", "memory"))
    execution = Execution(
        Status.FINISHED,
        replies.output_of(record, "stdout"),
        replies.output_of(record, "stderr"),
        replies.exit_code_of(record, "code"),
        wall_s=None if wall_ms is None else wall_ms / 1000,
        cpu_s=None if cpu_ms is None else cpu_ms / 1000,
        memory_mb=None if memory is None else memory / (1 << 20),
    )
    return execution, replies.text_of(record, "signal"), replies.text_of(record, "status")


def _ended(run: Execution, signal_name: str, status: str, program: Program, is_late: bool) -> Status:
    """How a run ended. Older Pistons kill for time and for output alike, and say neither."""
    is_out_of_memory = says_out_of_memory(run.stderr) or (run.memory_mb or 0) >= 0.98 * program.limits.memory_mb
    was_killed = signal_name == "SIGKILL" and run.exit_code is None
    if status == "TO":
        return Status.TIME_LIMIT
    if status in ("OL", "EL"):
        return Status.OUTPUT_LIMIT
    if run.exit_code != 0 and is_out_of_memory:
        return Status.MEMORY_LIMIT
    if was_killed and is_late:
        return Status.TIME_LIMIT
    return Status.OUTPUT_LIMIT if was_killed and _longest(run) >= 1024 else Status.FINISHED


def _longest(run: Execution) -> int:
    return max(len(run.stdout), len(run.stderr))


def _check_limits(ended: Status, run: Execution, program: Program, lowered: Mapping[str, int]) -> None:
    """Failure that says what to raise on a Piston whose own limit, lower than the program's, ended it."""
    if ended is Status.TIME_LIMIT and lowered.keys() & {"run_timeout", "run_cpu_time"}:
        raise _too_low("PISTON_RUN_TIMEOUT and PISTON_RUN_CPU_TIME", "the program", lowered)
    if ended is Status.MEMORY_LIMIT and "run_memory_limit" in lowered:
        raise _too_low("PISTON_RUN_MEMORY_LIMIT", "the program", lowered)
    if ended is Status.OUTPUT_LIMIT and _longest(run) + OUTPUT_CHUNK < program.limits.output_kb * 1024:
        raise Failure(
            "limit_too_low",
            f"Piston cuts outputs after about {_longest(run)} bytes; start it with a higher PISTON_OUTPUT_MAX_SIZE",
            can_retry=False,
        )


def _too_low(variable: str, what: str, lowered: Mapping[str, int]) -> Failure:
    allowed = ", ".join(f"{key} {limit}" for key, limit in sorted(lowered.items()))
    detail = f"{what} needs more than this Piston allows ({allowed}); start it with a higher {variable}"
    return Failure("limit_too_low", detail, can_retry=False)


def _looks_overloaded(execution: Execution) -> bool:
    is_failure = execution.status is Status.FINISHED and execution.exit_code != 0 and not execution.stdout
    return is_failure and b"Resource temporarily unavailable" in execution.stderr[:1000]


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
    at_once = environment.get("PISTON_MAX_REQUESTS_PER_ENDPOINT", "").strip()
    return PistonProvider(
        endpoints,
        environment.get("PISTON_TOKEN", ""),
        int(at_once) if at_once.isdigit() else 1,
        ranks.rank(environment),
        ranks.world_size(environment),
        problem=problem,
    )


PROVIDER = ProviderSpec(
    name="piston",
    build=build,
    summary="Piston servers, one or many.",
    variables=("PISTON_ENDPOINTS", "PISTON_TOKEN", "PISTON_MAX_REQUESTS_PER_ENDPOINT", "RANK", "WORLD_SIZE"),
)
