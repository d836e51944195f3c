"""Services that providers talk to, on real sockets of this machine: the protocols, and every way of failing at them.

    with PistonServer(evaluate) as server:
        PistonProvider([server.url]).execute(program)

`evaluate` runs a program: the local sandbox, or `evaluate_harmless` for tests whose programs do no harm. `faults` is
asked before each answer: given the program's source and how many requests came before with it, it names a `Fault`, or
none.
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from open_r1.execution.programs import Execution, Limits, Program, Status
from open_r1.execution.providers.wrapping import read_frame, wrap
from open_r1.execution.sandbox.toolchains import find_toolchain
from open_r1.execution.wire import encode_answer

Evaluate = Callable[[Program], Execution]


class Fault(StrEnum):
    """Ways for a server to fail."""

    DROP = "drop"
    """Closes the connection without a word."""
    ERROR = "error"
    """500."""
    BUSY = "busy"
    """429 with Retry-After 0."""
    HANG = "hang"
    """Says nothing for as long as the test lasts."""
    GARBAGE = "garbage"
    """200 with what is not JSON."""
    OTHER_JSON = "other json"
    """200 with JSON of another protocol."""
    HALF = "half"
    """The beginning of an answer."""
    DRIP = "drip"
    """A byte of the answer now and then."""
    ENDLESS = "endless"
    """An answer that doesn't end."""
    COMPRESSED = "compressed"
    """A body in gzip that nobody asked for."""
    MISCOUNT = "miscount"
    """An answer for another number of programs than were sent."""
    REFUSED = "refused"
    """400: the request is wrong, and would be again."""


Faults = Callable[[str, int], Fault | None]


def no_faults(source: str, earlier: int) -> Fault | None:
    return None


def always(fault: Fault, marker: str = "poison") -> Faults:
    """The fault for every request with a program that has the marker in it."""
    return lambda source, earlier: fault if marker in source else None


def as_named(source: str, earlier: int) -> Fault | None:
    """The fault that a program's own text asks for, as in `# fault: hang`."""
    named = re.search(r"# fault: (.*)", source)
    return Fault(named[1]) if named else None


def at_first(fault: Fault, times: int = 1) -> Faults:
    """The fault for the first requests with each program."""
    return lambda source, earlier: fault if earlier < times else None


def run_in_kernel(script: str, python: str = sys.executable, user: int | None = None) -> str:
    """What a script prints; for scripts of these tests alone, which run without a sandbox."""
    done = subprocess.run(
        [python, "-"], input=script.encode(), capture_output=True, timeout=60, check=False, user=user, cwd="/"
    )
    return done.stdout.decode()


def evaluate_harmless(program: Program) -> Execution:
    """Runs a program of these tests, without a sandbox."""
    script, nonce = wrap(program)
    return read_frame(run_in_kernel(script), nonce, program.limits)


def source_in(script: str) -> str:
    """The program in a script of `wrap`."""
    packed = re.search(r"^answer\('([^']*)'", script, re.MULTILINE)
    assert packed
    job = json.loads(zlib.decompress(base64.b64decode(packed[1])))
    return base64.b64decode(job["source"]).decode()


class ProtocolServer:
    """A server in a thread; subclasses speak a protocol."""

    def __init__(self, faults: Faults = no_faults, delay_s: float = 0.0) -> None:
        self.faults = faults
        self.delay_s = delay_s
        self.requests: list[tuple[str, Any, Mapping[str, str]]] = []
        """Path, body and headers of each."""
        self.most_at_once = 0
        self._at_once = 0
        self._seen: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._http.server_port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def __enter__(self) -> Any:
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Nobody listens at the address from now on."""
        self._stopping.set()
        self._http.shutdown()
        self._http.server_close()

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        """Status and JSON record of an answer."""
        raise NotImplementedError

    def source_of(self, path: str, body: Any) -> str | None:
        """The program in a request; None for requests without one, which never fail."""
        raise NotImplementedError

    def miscounted(self, record: Any) -> Any:
        """An answer with one result too many."""
        return [*record, *record] if isinstance(record, list) else {}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: Any) -> None:
                pass

            def do_GET(self) -> None:
                server.handle(self, "GET")

            def do_POST(self) -> None:
                server.handle(self, "POST")

            def do_DELETE(self) -> None:
                server.handle(self, "DELETE")

        return Handler

    def handle(self, http: BaseHTTPRequestHandler, method: str) -> None:
        content = http.rfile.read(int(http.headers.get("Content-Length") or 0))
        body = json.loads(content) if content else None
        source = self.source_of(http.path, body)
        with self._lock:
            self.requests.append((http.path, body, dict(http.headers)))
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            fault = self.faults(source, self._seen[source]) if source is not None else None
            if source is not None:
                self._seen[source] += 1
        try:
            time.sleep(self.delay_s if source is not None else 0)
            self.respond(http, method, body, fault)
        finally:
            with self._lock:
                self._at_once -= 1

    def respond(self, http: BaseHTTPRequestHandler, method: str, body: Any, fault: Fault | None) -> None:
        if fault in (Fault.HANG, Fault.DROP):
            self._stopping.wait(60 if fault is Fault.HANG else 0)
            http.close_connection = True
            return
        if fault in (Fault.ERROR, Fault.BUSY, Fault.REFUSED):
            status = {Fault.ERROR: 500, Fault.BUSY: 429, Fault.REFUSED: 400}[fault]
            send(http, status, b'{"message": "a fault of the test"}', {"Retry-After": "0"})
            return
        if fault is Fault.GARBAGE:
            send(http, 200, b"<html>it works!</html>")
            return
        if fault is Fault.OTHER_JSON:
            send(http, 200, json.dumps([{"lgtm": [None, 1e308, {"run": 7}]}, "x"]).encode())
            return
        status, record = self.answer(method, http.path, body)
        if fault is Fault.MISCOUNT:
            record = self.miscounted(record)
        send_badly(http, status, self.encode(http.path, record), fault, self._stopping)

    def encode(self, path: str, record: Any) -> bytes:
        return json.dumps(record).encode()


def send(http: BaseHTTPRequestHandler, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
    http.send_response(status)
    for name, value in {
        "Content-Length": str(len(body)),
        "Content-Type": "application/json",
        **(headers or {}),
    }.items():
        http.send_header(name, value)
    http.end_headers()
    http.wfile.write(body)


def send_badly(
    http: BaseHTTPRequestHandler, status: int, body: bytes, fault: Fault | None, stopping: threading.Event
) -> None:
    """An answer, or what a fault leaves of it."""
    if fault is Fault.COMPRESSED:
        send(http, status, body, {"Content-Encoding": "gzip"})
    elif fault in (Fault.HALF, Fault.DRIP, Fault.ENDLESS):
        http.send_response(status)
        if fault is not Fault.ENDLESS:
            http.send_header("Content-Length", str(len(body)))
        http.end_headers()
        http.close_connection = True
        with suppress(OSError):  # the client has had enough
            trickle(http, body, fault, stopping)
    else:
        send(http, status, body)


def trickle(http: BaseHTTPRequestHandler, body: bytes, fault: Fault, stopping: threading.Event) -> None:
    if fault is Fault.HALF:
        http.wfile.write(body[: len(body) // 2])
        return
    for byte in body if fault is Fault.DRIP else ():
        if stopping.wait(0.3):
            return
        http.wfile.write(bytes([byte]))
    while fault is Fault.ENDLESS and not stopping.wait(0.005):
        http.wfile.write(b'{"x": "' + b" " * (1 << 16))


class PistonServer(ProtocolServer):
    """Piston v2, in its manner of today or (`is_old`) of 2022, with the limits that its operator has configured."""

    def __init__(
        self,
        evaluate: Evaluate,
        faults: Faults = no_faults,
        *,
        is_old: bool = False,
        ceilings: Mapping[str, int] | None = None,
        languages: tuple[str, ...] = ("python", "c++", "c", "javascript", "bash"),
        delay_s: float = 0.0,
    ) -> None:
        super().__init__(faults, delay_s)
        self.evaluate = evaluate
        self.is_old = is_old
        self.ceilings = dict(ceilings or {})
        self.languages = languages

    @property
    def url(self) -> str:
        return f"{super().url}/api/v2"

    def source_of(self, path: str, body: Any) -> str | None:
        return body["files"][0]["content"] if path.endswith("/execute") else None

    def miscounted(self, record: Any) -> Any:
        return {**record, "run": [record["run"], record["run"]]}

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        if path == "/api/v2/runtimes":
            return 200, [{"language": name, "version": "1.0.0", "aliases": []} for name in self.languages]
        if body["language"] not in self.languages:
            return 400, {"message": f"{body['language']}-{body['version']} runtime is unknown"}
        for name, ceiling in self.ceilings.items():
            if body.get(name, 0) > ceiling:
                return 400, {"message": f"{name} cannot exceed the configured limit of {ceiling}"}
        return 200, self._result(body)

    def _result(self, body: Mapping[str, Any]) -> dict[str, Any]:
        toolchain = find_toolchain(body["language"])
        assert toolchain is not None
        main, *others = body["files"]
        contents = {
            file["name"]: base64.b64decode(file["content"])
            if file.get("encoding") == "base64"
            else file["content"].encode()
            for file in others
        }
        is_compiled = bool(toolchain.compile)
        program = Program(
            main["content"],
            body["language"],
            body["stdin"].encode(),
            tuple(body["args"]),
            sources=contents if is_compiled else {},
            files=contents,
            limits=Limits(
                wall_s=body["run_timeout"] / 1000,
                cpu_s=60 if self.is_old else body["run_cpu_time"] / 1000,
                memory_mb=body.get("run_memory_limit", 4096 << 20) >> 20,
                output_kb=self.ceilings.get("output_kb", 4096),
            ),
        )
        execution = self.evaluate(program)
        if execution.status is Status.COMPILE_ERROR:
            stage = self._stage(execution, execution.exit_code or 1)
            return {"compile": stage, "run": stage}
        record: dict[str, Any] = {"run": self._stage(execution, execution.exit_code)}
        if is_compiled:
            record["compile"] = self._stage(Execution(Status.FINISHED), 0)
        return record

    def _stage(self, execution: Execution, code: int | None) -> dict[str, Any]:
        words = {Status.TIME_LIMIT: "TO", Status.OUTPUT_LIMIT: "OL", Status.MEMORY_LIMIT: "SG"}
        stdout, stderr = execution.stdout.decode(errors="replace"), execution.stderr.decode(errors="replace")
        was_killed = execution.status in words
        stage = {
            "stdout": stdout,
            "stderr": stderr,
            "output": stdout + stderr,
            "code": None if was_killed or (code or 0) < 0 else code,
            "signal": "SIGKILL" if was_killed else "SIGSEGV" if (code or 0) < 0 else None,
        }
        if self.is_old:
            return stage
        memory = None if execution.memory_mb is None else int(execution.memory_mb * (1 << 20))
        return stage | {"status": words.get(execution.status), "message": None, "memory": memory, "cpu_time": 5}


class FusionServer(ProtocolServer):
    """SandboxFusion's run_code."""

    def __init__(self, evaluate: Evaluate, faults: Faults = no_faults) -> None:
        super().__init__(faults)
        self.evaluate = evaluate

    def source_of(self, path: str, body: Any) -> str | None:
        return body["code"] if path == "/run_code" else None

    def miscounted(self, record: Any) -> Any:
        return {**record, "run_result": [record["run_result"]] * 2}

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        if path == "/v1/ping":
            return 200, "pong"
        if body["language"] not in ("python", "cpp", "nodejs", "bash"):
            return 422, {"detail": "language"}
        execution = self.evaluate(
            Program(
                body["code"],
                body["language"],
                body["stdin"].encode(),
                files={name: base64.b64decode(content) for name, content in body["files"].items()},
                limits=Limits(
                    wall_s=body["run_timeout"], cpu_s=60, memory_mb=max(64, body["memory_limit_MB"]), output_kb=4096
                ),
            )
        )
        if execution.status is Status.COMPILE_ERROR:
            compiled = self._command(replace(execution, status=Status.FINISHED))
            return 200, {"status": "Failed", "message": "", "compile_result": compiled, "run_result": None}
        run = self._command(execution)
        status = "Success" if execution.succeeded else "Failed"
        return 200, {"status": status, "message": "", "compile_result": None, "run_result": run}

    @staticmethod
    def _command(execution: Execution) -> dict[str, Any]:
        was_late = execution.status is Status.TIME_LIMIT
        return {
            "status": "TimeLimitExceeded" if was_late else "Finished",
            "execution_time": execution.wall_s,
            "return_code": None if was_late else execution.exit_code,
            "stdout": execution.stdout.decode(errors="replace"),
            "stderr": execution.stderr.decode(errors="replace"),
        }


class RouterServer(ProtocolServer):
    """The router of E2B or Morph, with kernels that run what they are sent."""

    def __init__(self, kind: str, faults: Faults = no_faults, python: str = sys.executable) -> None:
        super().__init__(faults)
        self.kind = kind
        self.python = python

    def source_of(self, path: str, body: Any) -> str | None:
        return source_in(body["scripts"][0]) if path == "/execute_batch" else None

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        if path == "/health":
            return 200, {"status": "ok"}
        if path != "/execute_batch" or body["languages"] != ["python"] * len(body["scripts"]):
            return 422, {"detail": "languages"}
        assert isinstance(body["timeout"], int) and isinstance(body["request_timeout"], int)
        return 200, [self._result(run_in_kernel(script, self.python)) for script in body["scripts"]]

    def _result(self, printed: str) -> dict[str, Any]:
        if self.kind == "morph":
            return {"text": printed, "exception_str": None}
        logs = {"stdout": printed.splitlines(keepends=True), "stderr": []}
        execution = {"results": [], "logs": logs, "error": None, "execution_count": 1}
        return {"execution": execution, "exception_str": None}


class E2BCloud(ProtocolServer):
    """E2B itself, as far as its own client talks to it: making sandboxes, running code in one, ending it."""

    def __init__(self, faults: Faults = no_faults, python: str = sys.executable, most_sandboxes: int = 20) -> None:
        super().__init__(faults)
        self.python = python
        self.most_sandboxes = most_sandboxes
        self.sandboxes: set[str] = set()
        self.made = 0

    def source_of(self, path: str, body: Any) -> str | None:
        return source_in(body["code"]) if path == "/execute" else None

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        if (method, path) == ("POST", "/v2/sandboxes"):
            with self._lock:
                if len(self.sandboxes) >= self.most_sandboxes:
                    return 429, {"code": 429, "message": "you have reached the maximum number of concurrent sandboxes"}
                self.made += 1
                name = f"i{self.made:08}"
                self.sandboxes.add(name)
            made = {"templateID": body["templateID"], "sandboxID": name, "clientID": "c", "envdVersion": "0.4.0"}
            return 201, made | {"envdAccessToken": "t"}
        if method == "DELETE" and path.startswith("/sandboxes/"):
            self.sandboxes.discard(path.rsplit("/", 1)[1])
            return 204, None
        assert (method, path) == ("POST", "/execute"), (method, path)
        assert body["language"] == "python"
        return 200, run_in_kernel(body["code"], self.python)

    def encode(self, path: str, record: Any) -> bytes:
        if record is None:
            return b""
        if path != "/execute":
            return json.dumps(record).encode()
        messages = [{"type": "number_of_executions", "execution_count": 1}]
        messages += [{"type": "stdout", "text": line, "timestamp": 1} for line in record.splitlines(keepends=True)]
        return b"".join(json.dumps(message).encode() + b"\n" for message in [*messages, {"type": "end_of_execution"}])


FAULTS_OF_A_REQUEST = (Fault.REFUSED, Fault.ERROR, Fault.BUSY, Fault.DROP)


class ExecutorServer(ProtocolServer):
    """The executor's own route, answering a batch as a whole; a fault of one program strikes after the others' answers."""

    def __init__(
        self, evaluate: Evaluate, faults: Faults = no_faults, max_limits: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__()
        self.evaluate = evaluate
        self.program_faults = faults
        self.max_limits = max_limits or {"wall_s": 60, "cpu_s": 60, "memory_mb": 2048, "output_kb": 16384}

    def source_of(self, path: str, body: Any) -> str | None:
        return None

    def respond(self, http: BaseHTTPRequestHandler, method: str, body: Any, fault: Fault | None) -> None:
        if http.path == "/v1/info":
            send(http, 200, json.dumps({"max_limits": self.max_limits}).encode())
            return
        assert http.path == "/v1/executions"
        sources = [record["source"] for record in body["programs"]]
        with self._lock:
            struck = {index: self.program_faults(source, self._seen[source]) for index, source in enumerate(sources)}
            self._seen.update(sources)
        of_request = [fault for fault in struck.values() if fault in FAULTS_OF_A_REQUEST]
        if of_request:
            super().respond(http, method, body, of_request[0])
            return
        http.send_response(200)
        http.send_header("Content-Type", "application/x-ndjson")
        http.end_headers()
        http.close_connection = True
        try:
            for index, record in enumerate(body["programs"]):
                if not struck[index]:
                    http.wfile.write(b"\n" + self._line(index, record))
            for index, fault in struck.items():
                if fault:
                    self._fail(http, fault, self._line(index, body["programs"][index]))
        except OSError:
            pass  # the client has had enough

    def _line(self, index: int, record: Mapping[str, Any]) -> bytes:
        program = Program(record["source"], stdin=base64.b64decode(record.get("stdin", "")))
        return encode_answer(index, self.evaluate(program))

    def _fail(self, http: BaseHTTPRequestHandler, fault: Fault, line: bytes) -> None:
        if fault in (Fault.HANG, Fault.DRIP):
            self._stopping.wait(60)
        elif fault is Fault.MISCOUNT:
            http.wfile.write(line.replace(b'"index": ', b'"index": 77'))
        elif fault is Fault.HALF:
            http.wfile.write(line[: len(line) // 2])
        elif fault is Fault.ENDLESS:
            trickle(http, line, fault, self._stopping)
        else:
            http.wfile.write(b'{"lgtm": true}\n' if fault is Fault.OTHER_JSON else b"\x1f\x8b<html>\n")
