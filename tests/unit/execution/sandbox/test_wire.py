"""The line between a worker and its server, and what travels on it."""

from __future__ import annotations

import marshal
import os
import socket

import pytest

from open_r1.execution.sandbox.server import wire
from open_r1.execution.sandbox.server.job import Job, Outcome

OUTCOME = Outcome(exit_code=-9, timed_out=True, wall_s=1.25, cpu_s=0.5, memory_kb=1 << 40)


def open_descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


@pytest.fixture
def line():
    ours, theirs = wire.pair()
    yield ours, theirs
    ours.close()
    theirs.close()


def test_messages_keep_their_boundaries_and_descriptors_their_order(line):
    ours, theirs = line
    readers, writers = zip(*(os.pipe() for _ in range(3)), strict=True)
    ours.send(b"first", readers)
    ours.send(b"second")
    message, descriptors = theirs.receive()
    for writer, word in zip(writers, (b"a", b"b", b"c"), strict=True):
        os.write(writer, word)
    assert bytes(message) == b"first"
    assert [os.read(descriptor, 9) for descriptor in descriptors] == [b"a", b"b", b"c"]
    assert not any(os.get_inheritable(descriptor) for descriptor in descriptors)
    message, none = theirs.receive()
    assert (bytes(message), none) == (b"second", [])
    for descriptor in (*readers, *writers, *descriptors):
        os.close(descriptor)


def test_the_end_is_told_from_silence(line):
    ours, theirs = line
    with pytest.raises(TimeoutError):
        theirs.receive(0.01)
    ours.close()
    assert theirs.receive() is None


def test_a_message_that_is_cut_off_is_an_error_and_leaves_no_descriptor(line, monkeypatch):
    ours, theirs = line
    before = open_descriptors()
    ours.send(bytes(wire.MAX_BYTES + 1), [0, 1])
    with pytest.raises(OSError, match="cut off"):
        theirs.receive()
    assert open_descriptors() == before
    monkeypatch.setattr(wire, "_ROOM_FOR_DESCRIPTORS", socket.CMSG_SPACE(4))
    ours.send(b"x", [0] * 5)
    with pytest.raises(OSError, match="cut off"):
        theirs.receive()
    assert open_descriptors() == before


def test_a_job_travels_whole():
    job = Job(["a"], ["b", "ü\0"], {"K": "v"}, False, ["f"], True, "", True, False, 1.5, 2.0, 64, 8, 3, 20)
    assert Job(*marshal.loads(marshal.dumps(tuple(job), 2))) == job


def test_an_outcome_travels_whole_and_rubbish_is_refused():
    for outcome in (OUTCOME, Outcome(), Outcome(failure="mount /box: not permitted, ü")):
        assert Outcome.decode(memoryview(outcome.encode())) == outcome
    assert Outcome.decode(memoryview(OUTCOME.encode() + b"\xff")).failure == "\ufffd"
    for rubbish in (b"", b"{}", OUTCOME.encode()[:-1]):
        with pytest.raises(ValueError, match="an answer of"):
            Outcome.decode(memoryview(rubbish))
