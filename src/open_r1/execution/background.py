"""One event loop in a thread of its own, where all remote providers of a process wait for their answers.

Does: start the loop at first use, and another one in a forked child. Does not: end it; it is a daemon thread.
"""

from __future__ import annotations

import asyncio
import os
import threading

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_of_parents: list[asyncio.AbstractEventLoop] = []
"""Loops inherited by a fork: kept, since collecting one would change the poll set that the parent still uses."""


def background_loop() -> asyncio.AbstractEventLoop:
    """The loop of this process, running."""
    global _loop
    with _lock:
        if _loop is None:
            _loop = asyncio.new_event_loop()
            threading.Thread(target=_loop.run_forever, name="execution-providers", daemon=True).start()
        return _loop


def _forget_in_child() -> None:
    global _lock, _loop
    _lock = threading.Lock()
    if _loop is not None:
        _of_parents.append(_loop)
    _loop = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
