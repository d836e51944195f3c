from __future__ import annotations

import threading

import pytest

from open_r1.execution.programs import Execution, Status
from open_r1.execution.sandbox import local
from open_r1.execution.sandbox.local import BinaryCache


def test_what_is_kept_is_not_compiled_again():
    cache, compiled = BinaryCache(), []
    for _ in range(3):
        assert cache.get("a", lambda: compiled.append(1) or b"binary") == b"binary"
    assert len(compiled) == 1


def test_those_who_ask_meanwhile_wait_for_the_one_compilation():
    cache, compiled, started, go = BinaryCache(), [], threading.Event(), threading.Event()

    def compile_slowly() -> bytes:
        compiled.append(1)
        started.set()
        assert go.wait(10)
        return b"binary"

    seen: list[bytes] = []
    threads = [threading.Thread(target=lambda: seen.append(cache.get("a", compile_slowly))) for _ in range(5)]
    for thread in threads:
        thread.start()
    assert started.wait(10)
    go.set()
    for thread in threads:
        thread.join(10)
    assert (seen, len(compiled)) == ([b"binary"] * 5, 1)


def test_a_compile_error_is_kept_too():
    cache, compiled = BinaryCache(), []
    error = Execution(Status.COMPILE_ERROR, stderr=b"no")
    for _ in range(2):
        assert cache.get("a", lambda: compiled.append(1) or error) is error
    assert len(compiled) == 1


def test_a_failure_is_raised_and_not_kept():
    cache = BinaryCache()
    with pytest.raises(OSError, match="lost"):
        cache.get("a", lambda: (_ for _ in ()).throw(OSError("lost")))
    assert cache.get("a", lambda: b"now") == b"now"


def test_the_least_recently_used_goes_first(monkeypatch):
    monkeypatch.setattr(local, "MAX_BYTES", 250)
    cache = BinaryCache()
    for key in ("a", "b", "a", "c"):
        cache.get(key, lambda: bytes(100))
    assert list(cache._entries) == ["a", "c"]
