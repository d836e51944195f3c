"""What the body of an error says. A server's words are untrusted: they come back as one short, printable line."""

from __future__ import annotations

import json
from typing import Any

import orjson

from open_r1.printable import as_line

SHOWN = 300
"""Characters of a reply that a message shows."""


def load_json(body: bytes) -> Any:
    """JSON, fast; what only the lenient reader understands (half a surrogate pair, NaN, long integers) by that one.

    ValueError or RecursionError for what is not JSON. Too deep a nesting is refused by the fast reader, which does not
    recurse in Python: near its recursion limit, finalizers of unrelated objects would fail.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if "depth limit" in error.msg:
            raise
        return json.loads(body)


def describe_body(body: bytes, limit: int = SHOWN) -> str:
    """What the body of a refusal says: its error's message where it has one, else how it begins."""
    try:
        content = load_json(body)
    except (ValueError, RecursionError):
        content = None
    return describe_error(content, limit) if isinstance(content, dict) else shorten(body, limit) or "no explanation"


def describe_error(content: dict[str, Any], limit: int = SHOWN) -> str:
    """Code, type and message of an error in OpenAI's form or a similar one."""
    error = content.get("error")
    found = error if isinstance(error, dict) else content
    words = [str(found[key]) for key in ("code", "type", "message", "detail") if found.get(key)]
    return as_line(": ".join(words) if words else str(error or content), limit)


def find_message(content: Any, limit: int = 1000) -> str:
    """The sentence alone in an error, however deep it is nested."""
    for key in ("error", "message", "detail"):
        if isinstance(content, dict) and content.get(key):
            content = content[key]
    return as_line(content if isinstance(content, str) else orjson.dumps(content, default=str).decode(), limit)


def shorten(body: bytes, limit: int = SHOWN) -> str:
    """How a body begins."""
    return as_line(body[: 4 * limit].decode("utf-8", "replace"), limit)
