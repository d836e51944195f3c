"""The executor's own route, `POST /v1/executions`: how programs travel there and executions come back.

Both sides use this module, which needs the standard library alone. It does not check what a client sends: that is
`requests`, on the server.

Request, a JSON object (bytes are base64; everything but `source` may be left out, and an unknown key is refused):

    {"programs": [{"source": "print(input())", "language": "python", "stdin": "NDIK", "args": ["-v"],
                   "sources": {"grader.h": "aW50..."}, "files": {"data.txt": "MSAy"},
                   "limits": {"wall_s": 10, "cpu_s": 5, "memory_mb": 512, "output_kb": 1024, "disk_mb": 32,
                              "processes": 16, "open_files": 64}}]}

Headers: `Authorization: Bearer TOKEN` where the server has one; `X-Open-R1-Client: NAME` (up to 64 letters, digits and
`._:-`) names who asks: clients take turns, whatever each has queued. Without it, the peer's address is the client.

Answer, status 200, `application/x-ndjson`: one line a program as soon as it is done, so not in the order of the
programs; `index` says which one it belongs to. A blank line comes every few seconds while there is nothing to tell: a
read time-out of 30 s is enough, however long the queue. A connection that ends before all indices have come leaves the
missing ones unknown.

    {"index": 3, "status": "finished", "stdout": "NDIK", "stderr": "", "exit_code": 0, "wall_s": 0.004, "cpu_s": 0.003,
     "memory_mb": 9.1, "reason": "", "detail": ""}

Limits above the server's own are lowered to it without a message; `GET /v1/info` lists them:

    {"provider": "local", "concurrency": 2, "languages": {"python": "3.11.7", "cpp": "12.2.0"}, "max_programs": 1024,
     "max_request_bytes": 67108864, "max_limits": {"wall_s": 60, ...}}

Refusals, with `{"error": CODE, "message": SENTENCE}`: 401 `unauthorized`; 413 `request_too_large`; 422 `malformed`;
429 `queue_full` and 503 `shutting_down`, both with `Retry-After` in seconds. Nothing of a refused request was run. Only
429 and 503 are worth trying again.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from open_r1.execution.programs import Execution, Limits, Program, Status

EXECUTIONS_PATH = "/v1/executions"
INFO_PATH = "/v1/info"
CLIENT_HEADER = "X-Open-R1-Client"

HEARTBEAT_S = 5.0
"""How often a blank line says that the server is still at work."""


def encode_request(programs: Sequence[Program]) -> bytes:
    """The body of a request."""
    return json.dumps({"programs": [encode_program(program) for program in programs]}).encode()


def encode_program(program: Program) -> dict[str, Any]:
    """What differs from the default."""
    record: dict[str, Any] = {"source": program.source, "language": program.language}
    if program.stdin:
        record["stdin"] = encode_bytes(program.stdin)
    if program.args:
        record["args"] = list(program.args)
    for name in ("sources", "files"):
        if contents := getattr(program, name):
            record[name] = {file: encode_bytes(content) for file, content in contents.items()}
    if program.limits != Limits():
        record["limits"] = asdict(program.limits)
    return record


def encode_answer(index: int, execution: Execution) -> bytes:
    """One line of the answer, its line end included."""
    record = {"index": index, **vars(execution)}
    record |= {name: encode_bytes(record[name]) for name in ("stdout", "stderr")}
    return json.dumps(record).encode() + b"\n"


def decode_answer(line: bytes) -> tuple[int, Execution]:
    """The program's index and what happened to it. ValueError if the line is not what `encode_answer` writes."""
    record = json.loads(line)
    if not isinstance(record, Mapping):
        raise ValueError(f"an answer is a JSON object, not a {type(record).__name__}")
    index = _typed(record, "index", int)
    execution = Execution(
        status=Status(_typed(record, "status", str)),
        stdout=decode_bytes(_typed(record, "stdout", str)),
        stderr=decode_bytes(_typed(record, "stderr", str)),
        exit_code=_typed(record, "exit_code", int, None),
        wall_s=_typed(record, "wall_s", (int, float), None),
        cpu_s=_typed(record, "cpu_s", (int, float), None),
        memory_mb=_typed(record, "memory_mb", (int, float), None),
        reason=_typed(record, "reason", str, ""),
        detail=_typed(record, "detail", str, ""),
    )
    return index, execution


def encode_bytes(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def decode_bytes(text: str) -> bytes:
    """ValueError for what isn't base64."""
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from error


_REQUIRED: Any = object()


def _typed(record: Mapping[str, Any], key: str, kinds: type | tuple[type, ...], default: Any = _REQUIRED) -> Any:
    value = record.get(key, default)
    if value is _REQUIRED:
        raise ValueError(f"an answer without '{key}'")
    if value is default and default is None:
        return None
    if isinstance(value, bool) or not isinstance(value, kinds):
        raise ValueError(f"an answer whose '{key}' is {value!r}")
    return value
