"""Messages between a worker and its server: one JSON object a packet, with file descriptors beside it."""

from __future__ import annotations

import array
import json
import os
import socket
from collections.abc import Sequence
from typing import Any

MAX_BYTES = 128 * 1024
MAX_DESCRIPTORS = 64


def pair() -> tuple[socket.socket, socket.socket]:
    """Two ends of a line that keeps the boundaries of messages."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send(line: socket.socket, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
    socket.send_fds(line, [json.dumps(message).encode()], list(descriptors))


def receive(line: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """The next message, or None at the end. The descriptors that come with it aren't inherited by programs started."""
    size = socket.CMSG_SPACE(MAX_DESCRIPTORS * array.array("i").itemsize)
    data, ancillary, flags, _ = line.recvmsg(MAX_BYTES, size, socket.MSG_CMSG_CLOEXEC)
    descriptors = array.array("i")
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
    if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        for descriptor in descriptors:
            os.close(descriptor)
        raise OSError("a message was cut off")
    return (json.loads(data), descriptors.tolist()) if data else None
