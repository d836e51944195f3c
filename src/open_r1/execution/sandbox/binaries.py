"""Compiled programs, kept in memory by what they were made from."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future

from open_r1.execution.programs import Execution

MAX_BYTES = 512 << 20
MAX_ENTRIES = 4096
COMPILE_WAIT_S = 3600.0
"""A compiler has limits of its own; what takes long is its turn."""

Compiled = int | Execution
"""A descriptor of an executable, or what its program has because it couldn't be compiled."""


class BinaryCache:
    """Executables as descriptors of files in memory, the least recently used given up first. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, Future[Compiled]] = OrderedDict()

    def get(self, key: str, compile_it: Callable[[], Compiled]) -> Compiled:
        """What `key` was compiled to, compiled now if need be; others who ask meanwhile wait. A descriptor is the caller's.

        Raises what `compile_it` raises; then nothing is kept.
        """
        with self._lock:
            entry = self._entries.get(key)
            is_new = entry is None
            if entry is None:
                entry = self._entries[key] = Future()
            self._entries.move_to_end(key)
        if is_new:
            self._fill(key, entry, compile_it)
        compiled = entry.result(timeout=COMPILE_WAIT_S)
        if isinstance(compiled, Execution):
            return compiled
        with self._lock:
            if self._entries.get(key) is entry:
                return os.dup(compiled)
        return self.get(key, compile_it)  # given up between the two

    def close(self) -> None:
        """Give up everything."""
        with self._lock:
            while self._entries:
                self._drop_oldest()

    def _fill(self, key: str, entry: Future[Compiled], compile_it: Callable[[], Compiled]) -> None:
        try:
            entry.set_result(compile_it())
        except BaseException as error:
            with self._lock:
                self._entries.pop(key, None)
            entry.set_exception(error)
            raise
        with self._lock:
            while len(self._entries) > MAX_ENTRIES or (len(self._entries) > 1 and self._bytes() > MAX_BYTES):
                self._drop_oldest()

    def _bytes(self) -> int:
        return sum(map(_size, self._entries.values()))

    def _drop_oldest(self) -> None:
        _, entry = self._entries.popitem(last=False)
        if entry.done() and not entry.exception() and isinstance(compiled := entry.result(), int):
            os.close(compiled)


def _size(entry: Future[Compiled]) -> int:
    if not entry.done() or entry.exception():
        return 0
    compiled = entry.result()
    return os.fstat(compiled).st_size if isinstance(compiled, int) else len(compiled.stderr)
