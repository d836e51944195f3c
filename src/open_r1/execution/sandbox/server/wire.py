"""Messages between a worker and its server: one a packet, with file descriptors beside it.

A job goes to the server as `marshal` has it, which costs the server little and comes from its owner. Its answer is of
numbers in fixed places: whoever reads it need not trust the server.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence

MAX_BYTES = 128 * 1024
MAX_DESCRIPTORS = 64

END = b"end"
"""From the worker: the job at hand is to end."""

_ROOM_FOR_DESCRIPTORS = socket.CMSG_SPACE(MAX_DESCRIPTORS * 4)
_CLOSE_ON_EXEC = int(socket.MSG_CMSG_CLOEXEC)
_CUT_OFF = int(socket.MSG_TRUNC | socket.MSG_CTRUNC)


class Line:
    """One end of a line that keeps the boundaries of messages. What was received last is kept until the next."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._buffer = memoryview(bytearray(MAX_BYTES))

    def send(self, message: bytes, descriptors: Sequence[int] = ()) -> None:
        if descriptors:
            socket.send_fds(self._end, [message], list(descriptors))
        else:
            self._end.send(message)

    def receive(self, timeout_s: float | None = None) -> tuple[memoryview, list[int]] | None:
        """The next message, or None at the end. The descriptors beside it aren't inherited by programs started."""
        self._end.settimeout(timeout_s)
        size, ancillary, flags, _ = self._end.recvmsg_into([self._buffer], _ROOM_FOR_DESCRIPTORS, _CLOSE_ON_EXEC)
        descriptors: list[int] = []
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                descriptors += memoryview(content)[: len(content) // 4 * 4].cast("i").tolist()
        if flags & _CUT_OFF:
            for descriptor in descriptors:
                os.close(descriptor)
            raise OSError("a message was cut off")
        return (self._buffer[:size], descriptors) if size else None

    def fileno(self) -> int:
        return self._end.fileno()

    def close(self) -> None:
        self._end.close()


def pair() -> tuple[Line, Line]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Line(ours), Line(theirs)
