"""How an attempt fails that told nothing about the program."""

from __future__ import annotations


class Failure(Exception):
    """An attempt that told nothing about the program.

    Args:
        reason: A code in snake_case, which metrics count.
        can_retry: Whether trying the same again may help.
        wait_s: How long the service asks to be left alone.
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
