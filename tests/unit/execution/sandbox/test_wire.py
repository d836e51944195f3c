"""The line between a worker and its server, and what travels on it."""

from __future__ import annotations

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
    ours.send("first", readers)
    ours.send(["second"])
    message, descriptors = theirs.receive()
    for writer, word in zip(writers, (b"a", b"b", b"c"), strict=True):
        os.write(writer, word)
    assert message == "first"
    assert [os.read(descriptor, 9) for descriptor in descriptors] == [b"a", b"b", b"c"]
    assert not any(os.get_inheritable(descriptor) for descriptor in descriptors)
    message, none = theirs.receive()
    assert (message, none) == (["second"], [])
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
    ours.send("x" * wire.MAX_BYTES, [0, 1])
    with pytest.raises(OSError, match="cut off"):
        theirs.receive()
    assert open_descriptors() == before
    monkeypatch.setattr(wire, "MAX_DESCRIPTORS", 1)
    ours.send("x", [0] * 5)
    with pytest.raises(OSError, match="cut off"):
        theirs.receive()
    assert open_descriptors() == before


def test_a_job_and_its_outcome_travel_whole(line):
    ours, theirs = line
    job = Job(["a"], ["b", "ü\0\ud800"], {"K": "v"}, False, ["f"], True, "", True, False, 1.5, 2.0, 64, 8, 3, 20)
    for sent in (job, OUTCOME, Outcome(failure="mount /box: not permitted, ü")):
        ours.send(sent)
        message, _ = theirs.receive()
        assert type(sent)(*message) == sent


def test_what_is_no_message_is_an_error():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        ours.send(b"{")
        with pytest.raises(ValueError, match="Expecting"):
            wire.Line(theirs).receive()
