"""Messages between a worker and its server: JSON, one message a packet, with file descriptors beside it."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from json import dumps, loads
from typing import Any

MAX_BYTES = 128 * 1024
MAX_DESCRIPTORS = 64

END = "end"
"""From the worker: the job at hand is to end."""


class Line:
    """One end of a line that keeps the boundaries of messages."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    def send(self, message: Any, descriptors: Sequence[int] = ()) -> None:
        """Send a JSON message, and open descriptors with it."""
        socket.send_fds(self._end, [dumps(message).encode()], list(descriptors))

    def receive(self, timeout_s: float | None = None) -> tuple[Any, list[int]] | None:
        """The next message, or None at the end. The descriptors beside it aren't inherited by programs started.

        OSError for one that is cut off, ValueError for one that is not JSON.
        """
        self._end.settimeout(timeout_s)
        room = socket.CMSG_SPACE(MAX_DESCRIPTORS * 4)
        message, ancillary, flags, _ = self._end.recvmsg(MAX_BYTES, room, socket.MSG_CMSG_CLOEXEC)
        descriptors: list[int] = []
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                descriptors += memoryview(content)[: len(content) // 4 * 4].cast("i").tolist()
        if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            for descriptor in descriptors:
                os.close(descriptor)
            raise OSError("a message was cut off")
        return (loads(message), descriptors) if message else None

    def fileno(self) -> int:
        """The socket's descriptor, so that `select` can wait for it."""
        return self._end.fileno()

    def close(self) -> None:
        """Close this end; the other end then reads that the line has ended."""
        self._end.close()


def pair() -> tuple[Line, Line]:
    """The two ends of a new line, connected."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Line(ours), Line(theirs)
