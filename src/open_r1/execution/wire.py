"""The executor's own route, `POST /v1/executions`: how programs travel there and executions come back.

Request, a JSON object (bytes are base64; all but `source` may be left out, and an unknown key is refused):

    {"programs": [{"source": "print(input())", "language": "python", "stdin": "NDIK", "args": ["-v"],
                   "sources": {"grader.h": "aW50..."}, "files": {"data.txt": "MSAy"},
                   "limits": {"wall_s": 10, "cpu_s": 5, "memory_mb": 512, "output_kb": 1024, ...}}]}

Headers: `Authorization: Bearer TOKEN` where the server has one; `X-Open-R1-Client: NAME` (up to 64 letters, digits and
`._:-`): clients take turns. Without it, the peer's address is the client.

Answer, `application/x-ndjson`: one line a program as soon as it is done; `index` says which one. Between them a blank line
comes every few seconds: a read time-out of 30 s is enough. A connection that ends early leaves missing indices unknown.

    {"index": 3, "status": "finished", "stdout": "NDIK", "stderr": "", "exit_code": 0, "wall_s": 0.004, "cpu_s": 0.003,
     "memory_mb": 9.1, "reason": "", "detail": ""}

Limits above the server's own are lowered to it; `GET /v1/info` lists them, with languages and `max_programs`. Refusals have
`{"error": CODE, "message": SENTENCE}`: 401 `unauthorized`, 413 `request_too_large`, 422 `malformed`; 429 `queue_full` and
503 `shutting_down`, which alone are worth trying again, have `Retry-After`. Nothing of a refused request was run.
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
    record = {"reason": "", "detail": "", **record}
    for key, kinds in _KINDS.items():
        if isinstance(record.get(key), bool) or not isinstance(record.get(key), kinds):
            raise ValueError(f"an answer whose '{key}' is {record.get(key)!r}")
    fields: Any = {key: record.get(key) for key in _KINDS if key != "index"}
    fields |= {"status": Status(record["status"])}
    return record["index"], Execution(**fields | {name: decode_bytes(record[name]) for name in ("stdout", "stderr")})


_NUMBER = (int, float, type(None))
_KINDS = {"index": int, **dict.fromkeys(("status", "stdout", "stderr", "reason", "detail"), str)} | {
    "exit_code": (int, type(None)), "wall_s": _NUMBER, "cpu_s": _NUMBER, "memory_mb": _NUMBER
}  # fmt: skip
"""The types of an answer's values."""


def encode_bytes(content: bytes) -> str:
    """The bytes as base64 text, for JSON."""
    return base64.b64encode(content).decode("ascii")


def decode_bytes(text: str) -> bytes:
    """ValueError for what isn't base64."""
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from error
