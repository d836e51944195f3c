"""Programs on a remote Python kernel that takes a script and returns what it prints: E2B, Morph, and routers to them.

Stdin, arguments, files, other languages, limits and the exit status, none of which such kernels know, are brought about
by the script (`remote_job`). The record comes framed by a nonce of 128 random bits a job, so that nothing a program
prints can pass for it.

Routers share one account's sandboxes among trainers:

    POST /execute_batch {"scripts": [...], "languages": [...], "timeout": s, "request_timeout": s}
    E2B    -> [{"execution": {"logs": {"stdout": [...]}, "error": ..., ...} or null, "exception_str": ...}]
    Morph  -> [{"text": ..., "exception_str": ...}]
    GET /health
"""

from __future__ import annotations

import asyncio
import base64
import json
import math
import re
import secrets
import zlib
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict
from functools import cache, reduce
from pathlib import Path, PurePosixPath
from typing import Any

from open_r1.execution.environment import Environment
from open_r1.execution.programs import Execution, Limits, Program
from open_r1.execution.providers import ProviderSpec, replies, setting
from open_r1.execution.providers.remote import RemoteProvider, RetryPolicy, Session
from open_r1.execution.providers.replies import Failure, GarbledReply
from open_r1.execution.sandbox.toolchains import (
    COMPILE_LIMITS,
    RESULT,
    Toolchain,
    find_toolchain,
    read_java_names,
    unsupported_language,
)
from open_r1.execution.wire import decode_answer, encode_bytes

MAX_SCRIPT_BYTES = 32 << 20
"""Kernels take a script whole, through a notebook's protocol; what is longer is refused before it is sent."""

MAX_PROGRAM_BYTES = 128 << 20
"""What is not even packed to see how long its script would be."""

ROUTER_CONCURRENCY = 32
"""Programs in flight to a router, which does its own rationing."""

ERRORS = (
    (r"\b429\b|RateLimit|rate limit", "rate_limited", True),
    (r"\b40[13]\b|Authentication|api key", "unauthorized", False),
    (r"\b4\d\d\b|InvalidArgument|TemplateException", "refused", False),
    (r"timeout|timed out", "timeout", True),
    (r"\b5\d\d\b|SandboxException", "server_error", True),
    (r"ConnectionError|HTTPError|TransportError|OSError|WebSocket", "connection_failed", True),
    (r"ValueError|KeyError|TypeError|AttributeError", "garbled_reply", True),
)
"""What an error's status, class or words contain -> what it is counted as, and whether trying again may help."""


class ScriptProvider(RemoteProvider):
    """A kernel that takes a script."""

    def refuse(self, program: Program) -> Execution | None:
        """An `unavailable` execution for an unknown language, too many bytes, or unusable file names."""
        toolchain = find_toolchain(program.language)
        if toolchain is None:
            return unsupported_language(program.language)
        size = sum(map(len, (program.source, program.stdin, *program.sources.values(), *program.files.values())))
        if size > MAX_PROGRAM_BYTES:
            return Execution.unavailable("too_large", f"{size >> 20} MiB of program and input.")
        return fault_of_files(program, bool(toolchain.compile))

    async def attempt(self, program: Program, session: Session, clean_up: AsyncExitStack) -> Execution:
        """Run the program once, wrapped in a script. Failure if the kernel fails or its output has no whole frame."""
        script, nonce = await asyncio.to_thread(wrap, program)
        run_s = math.ceil(self.program_s(program)) + 5
        most = 8 * 1024 * program.limits.output_kb + (1 << 18)
        try:
            printed = await self.print_script(script, run_s, most, session, clean_up)
        except Exception as error:
            raise failure_of(error) from error
        return read_frame(printed, nonce, program.limits)

    @abstractmethod
    async def print_script(
        self, script: str, run_s: int, most: int, session: Session, clean_up: AsyncExitStack
    ) -> str:
        """What the script prints, which an honest frame keeps within `most` characters. It may run for `run_s`."""


class RouterProvider(ScriptProvider):
    """E2B or Morph (`name`) through a router at `address`, which is `host:port` or a URL.

    One program travels in a request, so that a slow or failing one delays or spoils no other.
    """

    def __init__(
        self, name: str, address: str, concurrency: int = ROUTER_CONCURRENCY, policy: RetryPolicy | None = None
    ) -> None:
        self.name, self.url = name, replies.service_url(address)
        problem = "" if self.url else f"{name}_router_url is '{address}', not an address; write http://host:port."
        super().__init__(concurrency, policy, problem)

    async def greet(self, session: Session) -> None:
        """The router answers `/health` with JSON; Failure if it does not."""
        replies.parse_json(*await replies.fetch(session.http, f"{self.url}/health", {}, 4096))

    async def print_script(
        self, script: str, run_s: int, most: int, session: Session, clean_up: AsyncExitStack
    ) -> str:
        """The script runs by the router's `/execute_batch`; GarbledReply for an answer of another form."""
        request = {"scripts": [script], "languages": ["python"], "timeout": run_s, "request_timeout": run_s}
        results = replies.parse_json(
            *await replies.fetch(session.http, f"{self.url}/execute_batch", {}, 2 * most, request)
        )
        if not isinstance(results, list) or len(results) != 1:
            count = f"{len(results)} results" if isinstance(results, list) else f"a {type(results).__name__}"
            raise GarbledReply(f"the router answers one script with {count}")
        result = replies.as_object(results[0], "the router's result")
        if text := replies.text_of(result, "text"):
            return text
        if result.get("execution") is None:
            raise failure_of(replies.text_of(result, "exception_str"))
        lines = replies.as_object(replies.as_object(result["execution"], "'execution'").get("logs"), "'logs'").get(
            "stdout"
        )
        if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
            raise GarbledReply("'logs.stdout' is not a list of strings")
        return "".join(lines)


def failure_of(error: Exception | str) -> Failure:
    """What an exception of a client, or a router's `exception_str`, says about trying again.

    Exceptions are found by the names of their classes, which releases have moved.
    """
    if isinstance(error, Failure):
        return error
    response = getattr(error, "response", None)
    status = getattr(error, "status_code", None) or getattr(response, "status_code", None)
    if status is None and (leading := re.search(r"\A[45]\d\d\b|\b[45]\d\d(?=:)", str(error))):
        status = leading[0]
    if isinstance(error, str):
        detail, words = f"the router's sandbox failed: {error[:300] or 'without a word'}", error
    else:
        detail = f"{type(error).__name__}: {error}"[:300]
        words = " ".join(kind.__name__ for kind in type(error).__mro__)
    for pattern, reason, can_retry in ERRORS:
        if re.search(pattern, f"{status or ''} {words}", re.IGNORECASE):
            return Failure(reason, detail, can_retry=can_retry)
    return Failure("sandbox_failed" if isinstance(error, str) else "provider_error", detail)


def other_cpp_standard(language: str) -> str:
    """The two digits of a C++ standard that is asked for by name and isn't the usual 17; else ""."""
    toolchain = find_toolchain(language)
    digits = re.search(r"\d\d$", language.strip())
    return digits[0] if toolchain and toolchain.language == "cpp" and digits and digits[0] != "17" else ""


def fault_of_text(program: Program, service: str) -> Execution | None:
    """An `unavailable` execution if the input isn't text, for a service whose standard input is."""
    try:
        program.stdin.decode()
    except UnicodeDecodeError:
        return Execution.unavailable("unsupported", f"{service}'s standard input is text, and this is not UTF-8.")
    return None


def fault_of_files(program: Program, is_compiled: bool) -> Execution | None:
    """An `unavailable` execution if the further files of a program can't be what they should be."""
    if program.sources and not is_compiled:
        return Execution.unavailable(
            "unsupported", f"further sources for {program.language}, which isn't compiled; give them as files."
        )
    for name in (*program.files, *program.sources):
        path = PurePosixPath(name)
        if not path.name or path.is_absolute() or ".." in path.parts or "\0" in name:
            return Execution.unavailable("bad_request", f"file name {name!r} is not relative, or leaves its folder.")
    return None


def wrap(program: Program) -> tuple[str, str]:
    """The script that runs a program in a language of ours, and the nonce of its frame. Failure if it gets too long."""
    toolchain = find_toolchain(program.language)
    assert toolchain is not None
    nonce = secrets.token_hex(16)
    packed = encode_bytes(zlib.compress(json.dumps(_job(program, toolchain)).encode()))
    script = f"{_script()}\n\nanswer({packed!r}, {nonce!r})\n"
    if len(script) > MAX_SCRIPT_BYTES:
        raise Failure("too_large", f"{len(script) >> 20} MiB of program and input", can_retry=False)
    return script, nonce


def read_frame(printed: str, nonce: str, limits: Limits) -> Execution:
    """What happened, from what the kernel printed. Failure if there is no whole frame."""
    frames = re.findall(rf"{nonce}:([A-Za-z0-9+/=\s]*):{nonce}", printed)
    if not frames:
        raise GarbledReply(f"no result among {len(printed)} characters of output")
    most = 3 * 1024 * limits.output_kb + (1 << 16)
    inflate = zlib.decompressobj()
    try:
        record = inflate.decompress(base64.b64decode("".join(frames[-1].split()), validate=True), most)
        if inflate.unconsumed_tail or not inflate.eof:
            raise GarbledReply("a result longer than the program's output may be")
        return decode_answer(record)[1]
    except (ValueError, RecursionError, zlib.error) as error:
        raise GarbledReply(f"a result that can't be read ({str(error)[:100]})") from error


def _job(program: Program, toolchain: Toolchain) -> dict[str, object]:
    main = toolchain.main_file(program.source)
    main_class = read_java_names(program.source).main_class
    words = {"main": main, "main_class": main_class, "memory_mb": str(program.limits.memory_mb)}
    executable = f"../build/{RESULT}"  # what was compiled lies beside the folder where the program runs
    run = [executable] if toolchain.compile else ["python3", main]
    if toolchain.run:
        run = [executable if word == RESULT else word for word in _filled(toolchain.run, words)]
    further = toolchain.compiled_with(program.sources)
    limits = asdict(program.limits)
    limits |= {"processes": limits["processes"] + toolchain.threads}
    return {
        "main": main,
        "source": encode_bytes(program.source.encode("utf-8", errors="replace")),
        "sources": {name: encode_bytes(content) for name, content in program.sources.items()},
        "files": {name: encode_bytes(content) for name, content in program.files.items()},
        "compile": [*_filled(toolchain.compile, words), *further] if toolchain.compile else [],
        "run": run,
        "args": list(program.args),
        "stdin": encode_bytes(program.stdin),
        "limits": limits | {"counts_address_space": toolchain.limits_address_space},
        "compile_limits": asdict(COMPILE_LIMITS) | {"counts_address_space": False},
    }


def _filled(command: Sequence[str], words: Mapping[str, str]) -> list[str]:
    """The words of a command, filled in; not the paths of this machine, which `Toolchain` would put there."""
    return [reduce(lambda word, name: word.replace(f"{{{name}}}", words[name]), words, word) for word in command]


@cache
def _script() -> str:
    return Path(__file__).with_name("remote_job.py").read_text(encoding="utf-8")


def cloud_spec(
    name: str, account: Callable[[str, int, str], RemoteProvider], title: str, variables: tuple[str, str]
) -> ProviderSpec:
    """The spec of a cloud of sandboxes: a router where the settings name one, else `account` (key, concurrency, address).

    `variables` are those of the account's key and address.
    """

    def build(settings: Any, environment: Environment) -> RemoteProvider:
        if router := setting(settings, f"{name}_router_url", None):
            return RouterProvider(name, router)
        key, address = (environment.get(variable, "") for variable in variables)
        return account(key, setting(settings, "parallel_code_exec_per_proc", 2), address)

    summary = f"{title}'s cloud sandboxes: an account, or a router to one."
    return ProviderSpec(name, build, summary, (f"{name}_router_url", "parallel_code_exec_per_proc"), variables)
