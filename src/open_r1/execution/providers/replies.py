"""Reading what a service answers, and how it fails: nothing in an answer is taken on trust, neither types nor sizes.

Does: check and cut. Does not: fetch (`http`) or know any protocol.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from open_r1.execution.programs import Execution, Limits, Status

MAX_DETAIL = 500
"""Characters kept of an explanation."""

_REASON = re.compile(r"[a-z][a-z0-9_]{0,39}")


class Failure(Exception):
    """An attempt that shows nothing about the program.

    Args:
        reason: A code in snake_case, which metrics count.
        can_retry: Whether trying the same again may help.
        wait_s: How long the service asks to wait before the next try.
    """

    def __init__(self, reason: str, detail: str, *, can_retry: bool = True, wait_s: float = 0.0) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.can_retry = can_retry
        self.wait_s = wait_s


class GarbledReply(Failure):
    """A reply that is not what the protocol says."""

    def __init__(self, detail: str) -> None:
        super().__init__("garbled_reply", detail)


def bounded(execution: Execution, limits: Limits) -> Execution:
    """The execution with outputs no longer than the limit allows; longer ones are an output limit exceeded."""
    most = limits.output_kb * 1024
    is_over = len(execution.stdout) > most or len(execution.stderr) > most
    is_its_own_doing = execution.status is Status.FINISHED
    return replace(
        execution,
        status=Status.OUTPUT_LIMIT if is_over and is_its_own_doing else execution.status,
        stdout=execution.stdout[:most],
        stderr=execution.stderr[:most],
        reason=_checked_reason(execution),
        detail=execution.detail[:MAX_DETAIL],
    )


def _checked_reason(execution: Execution) -> str:
    """Metrics count reasons, so a service must not be able to invent thousands."""
    if execution.status is not Status.UNAVAILABLE:
        return ""
    return execution.reason if _REASON.fullmatch(execution.reason) else "unknown"


def max_reply_bytes(limits: Limits) -> int:
    """What an honest reply about one program can come to: both outputs twice, escaped at six bytes a byte, and change."""
    return 24 * limits.output_kb * 1024 + (1 << 20)


def as_object(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise GarbledReply(f"{what} is a {type(value).__name__}, not an object")
    return value


def text_of(record: Mapping[str, Any], key: str) -> str:
    """A text that may be missing or null: then ""."""
    value = record.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise GarbledReply(f"'{key}' is a {type(value).__name__}, not a string")
    return value


def output_of(record: Mapping[str, Any], key: str) -> bytes:
    """A program's output that travelled as text."""
    return text_of(record, key).encode("utf-8", errors="replace")


def number_of(record: Mapping[str, Any], key: str) -> float | None:
    """A measurement that may be missing or null."""
    value = record.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise GarbledReply(f"'{key}' is {str(value)[:40]!r}, not a number")
    return float(value)


def exit_code_of(record: Mapping[str, Any], key: str) -> int | None:
    """An exit status that may be missing or null."""
    value = record.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not -(1 << 31) <= value < 1 << 32:
        raise GarbledReply(f"'{key}' is {str(value)[:40]!r}, not an exit status")
    return value
