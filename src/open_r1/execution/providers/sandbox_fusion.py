"""SandboxFusion (https://github.com/bytedance/SandboxFusion).

    POST /run_code {"code", "language", "stdin", "files": {name: base64}, "compile_timeout" s, "run_timeout" s,
                    "memory_limit_MB"}
      -> {"status": "Success" | "Failed" | "SandboxError", "message", "compile_result"?, "run_result"?}
         results: {"status": "Finished" | "Error" | "TimeLimitExceeded", "execution_time", "return_code", "stdout",
                   "stderr"}

Programs of one source file; the service has no place for arguments, further sources, or stdin that isn't UTF-8. Its own
limits stand for processor time, disk and processes, which can't be asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

from open_r1.execution.programs import Execution, Program, Status
from open_r1.execution.providers import ProviderSpec, replies
from open_r1.execution.providers.remote import COMPILE_S, RemoteProvider, RetryPolicy, Session
from open_r1.execution.providers.replies import Failure, GarbledReply
from open_r1.execution.providers.wrapping import (
    fault_of_files,
    fault_of_text,
    other_cpp_standard,
)
from open_r1.execution.sandbox.toolchains import find_toolchain, says_out_of_memory, unsupported_language
from open_r1.execution.wire import encode_bytes

NAMES = {name: name for name in ("python", "cpp", "bash", "java", "rust")} | {"javascript": "nodejs"}
"""Our languages, as the service calls them."""


class SandboxFusionProvider(RemoteProvider):
    """A SandboxFusion service at `address`, with or without `/run_code` at its end."""

    name = "sandbox_fusion"

    def __init__(self, address: str, concurrency: int = 16, policy: RetryPolicy | None = None) -> None:
        url, problem = replies.read_url("SANDBOX_FUSION_ENDPOINT", address, "http://host:8080", self.name)
        self.url = url.removesuffix("/run_code")
        super().__init__(concurrency, policy, problem)

    async def greet(self, session: Session) -> None:
        """The service answers a ping with JSON; Failure if it does not."""
        replies.parse_json(*await replies.fetch(session.http, f"{self.url}/v1/ping", {}, 4096))

    def refuse(self, program: Program) -> Execution | None:
        """An `unavailable` execution for a language, arguments or files that SandboxFusion can't take."""
        toolchain = find_toolchain(program.language)
        if toolchain is None or toolchain.language not in NAMES or other_cpp_standard(program.language):
            return unsupported_language(program.language, NAMES)
        if program.args or program.sources:
            what = "arguments" if program.args else "further sources"
            return Execution.unavailable("unsupported", f"SandboxFusion has no place for a program's {what}.")
        return fault_of_text(program, "SandboxFusion") or fault_of_files(program, bool(toolchain.compile))

    async def attempt(self, program: Program, session: Session, clean_up: AsyncExitStack) -> Execution:
        """Run the program once by `/run_code`. Raises Failure; a reply beyond the limit is an output limit."""
        toolchain = find_toolchain(program.language)
        assert toolchain is not None
        request = {
            "code": program.source,
            "language": NAMES[toolchain.language],
            "stdin": program.stdin.decode(),
            "files": {name: encode_bytes(content) for name, content in program.files.items()},
            "compile_timeout": COMPILE_S,
            "run_timeout": program.limits.wall_s,
            "memory_limit_MB": program.limits.memory_mb if toolchain.limits_address_space else -1,
        }
        most = replies.max_reply_bytes(program.limits)
        body, is_cut = await replies.fetch(session.http, f"{self.url}/run_code", {}, most, request)
        if is_cut and b'"run_result"' in body[:4096]:
            return Execution(Status.OUTPUT_LIMIT, detail="the reply is longer than any allowed output")
        return _read(replies.as_object(replies.parse_json(body, is_cut), "SandboxFusion's answer"))


def _read(answer: Mapping[str, Any]) -> Execution:
    """What happened, out of an answer. Failure where the service is to blame."""
    status = replies.text_of(answer, "status")
    if status == "SandboxError":
        raise Failure("sandbox_failed", f"SandboxFusion says: {replies.text_of(answer, 'message')[:200]}")
    if status not in ("Success", "Failed"):
        raise GarbledReply(f"'status' is {status[:40]!r}")
    if answer.get("compile_result") is not None:
        ended, stdout, stderr, exit_code, _ = _stage(answer, "compile_result")
        if ended != "Finished" or exit_code != 0:
            detail = "" if ended == "Finished" else "the compiler took too long"
            return Execution(Status.COMPILE_ERROR, stderr=stderr or stdout, exit_code=exit_code, detail=detail)
    ended, stdout, stderr, exit_code, wall_s = _stage(answer, "run_result")
    if ended == "TimeLimitExceeded":
        return Execution(Status.TIME_LIMIT, stdout, stderr, wall_s=wall_s)
    if exit_code is None:
        raise GarbledReply("a run that is finished and has no exit status")
    is_out_of_memory = exit_code != 0 and says_out_of_memory(stderr)
    return Execution(Status.MEMORY_LIMIT if is_out_of_memory else Status.FINISHED, stdout, stderr, exit_code, wall_s)


def _stage(answer: Mapping[str, Any], key: str) -> tuple[str, bytes, bytes, int | None, float | None]:
    """How the compiler or the program ended, what it wrote, its exit status and its seconds."""
    stage = replies.as_object(answer.get(key), f"'{key}'")
    status = replies.text_of(stage, "status")
    if status not in ("Finished", "TimeLimitExceeded"):
        raise GarbledReply(f"{key}'s 'status' is {status[:40]!r}")
    stdout, stderr = replies.output_of(stage, "stdout"), replies.output_of(stage, "stderr")
    return (
        status,
        stdout,
        stderr,
        replies.exit_code_of(stage, "return_code"),
        replies.number_of(stage, "execution_time"),
    )


PROVIDER = ProviderSpec(
    name="sandbox_fusion",
    build=lambda settings, environment: SandboxFusionProvider(environment.get("SANDBOX_FUSION_ENDPOINT", "")),
    summary="A SandboxFusion service.",
    variables=("SANDBOX_FUSION_ENDPOINT",),
)
