"""A sandbox of each tier that this machine gives, and the world outside that attacks are after."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from attacks import Box, World

from open_r1.execution.sandbox.local import LocalProvider

NOBODY = 65534


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    """Servers, secrets and processes outside, which stand there before any sandbox does."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="world")))
        folder.chmod(0o755)
        world = World(folder, secret=f"SECRET{uuid.uuid4().hex}", grader_pid=os.getpid())
        _place_secrets(world, stack)
        _start_servers(world, stack)
        yield world


@pytest.fixture(scope="session", params=["A", "B"])
def box(request: pytest.FixtureRequest, world: World) -> Iterator[Box]:
    """The sandbox of each tier, with one worker, so that each program follows another in the same place."""
    with _provider(request.param, workers=1) as provider:
        yield Box(request.param, provider)


@pytest.fixture(scope="session")
def box_a(world: World) -> Iterator[Box]:
    with _provider("A", workers=1) as provider:
        yield Box("A", provider)


@pytest.fixture(params=["A", "B"])
def two_workers(request: pytest.FixtureRequest, world: World) -> Iterator[Box]:
    """A sandbox of each tier in which two programs run side by side."""
    with _provider(request.param, workers=2) as provider:
        yield Box(request.param, provider)


@pytest.fixture(scope="session")
def needs_tier() -> Callable[[str], None]:
    return skip_without


def _provider(tier: str, workers: int) -> LocalProvider:
    skip_without(tier)
    return LocalProvider(workers=workers, tier=tier)


def skip_without(tier: str) -> None:
    """Skip, loudly, where this machine doesn't give the tier; where it has to, by OPEN_R1_TEST_TIERS, fail."""
    from open_r1.execution.sandbox.tiers import why_not

    obstacle = why_not(tier)
    if obstacle and tier in os.environ.get("OPEN_R1_TEST_TIERS", ""):
        pytest.fail(f"OPEN_R1_TEST_TIERS asks for tier {tier}, which this machine doesn't give: {obstacle}")
    if obstacle:
        pytest.skip(f"SANDBOX TIER {tier} UNTESTED: {obstacle}")


def _place_secrets(world: World, stack: ExitStack) -> None:
    """In the environment, in a file that anyone may read, in an inheritable descriptor, in another process."""
    os.environ["OPEN_R1_TEST_TOKEN"] = world.secret
    stack.callback(os.environ.pop, "OPEN_R1_TEST_TOKEN", None)
    secret_file = world.folder / "expected_output.txt"
    secret_file.write_text(world.secret)
    secret_file.chmod(0o644)
    world.secret_file = str(secret_file)
    scratch_file = world.folder / "scratch.txt"
    scratch_file.write_text("anyone may write here")
    scratch_file.chmod(0o666)
    world.scratch_file = str(scratch_file)
    descriptor = os.open(secret_file, os.O_RDONLY)
    os.set_inheritable(descriptor, True)
    stack.callback(os.close, descriptor)
    sleeper = subprocess.Popen(
        ["/bin/sh", "-c", "read line", world.secret], stdin=subprocess.PIPE,  # it ends when this process does
        env={"TOKEN": world.secret, "PATH": os.environ["PATH"]}, user=NOBODY if os.getuid() == 0 else None,
    )  # fmt: skip
    stack.callback(sleeper.wait)
    stack.callback(sleeper.terminate)
    world.sleeper_pid = sleeper.pid


def _start_servers(world: World, stack: ExitStack) -> None:
    """TCP, UDP and unix servers that answer anyone, and note it."""
    world.unix_path, world.abstract_name = str(world.folder / "stream"), f"\0{world.secret}"
    world.datagram_path, world.datagram_name = str(world.folder / "datagram"), f"\0{world.secret}-datagram"
    streams = {"tcp": (socket.AF_INET, ("127.0.0.1", 0)), "unix": (socket.AF_UNIX, world.unix_path),
               "abstract": (socket.AF_UNIX, world.abstract_name)}  # fmt: skip
    datagrams = {"udp": (socket.AF_INET, ("127.0.0.1", 0)), "datagram": (socket.AF_UNIX, world.datagram_path),
                 "abstract datagram": (socket.AF_UNIX, world.datagram_name)}  # fmt: skip
    if socket.has_ipv6 and os.path.exists("/proc/net/if_inet6"):
        streams["tcp6"] = (socket.AF_INET6, ("::1", 0))
    ports = {}
    for kind, servers in ((socket.SOCK_STREAM, streams), (socket.SOCK_DGRAM, datagrams)):
        for name, (family, address) in servers.items():
            server = stack.enter_context(socket.socket(family, kind))
            server.bind(address)
            if isinstance(address, tuple):
                ports[name] = server.getsockname()[1]
            elif not address.startswith("\0"):
                os.chmod(address, stat.S_IRWXU | stat.S_IRWXG | stat.S_IRWXO)
            answer = _answer_streams if kind == socket.SOCK_STREAM else _answer_datagrams
            threading.Thread(target=answer, args=(server, name, world), daemon=True).start()
    world.tcp_port, world.udp_port = ports["tcp"], ports["udp"]
    world.tcp6_port = ports.get("tcp6", world.tcp_port)


def _answer_streams(server: socket.socket, name: str, world: World) -> None:
    server.listen()
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        with connection:
            world.contacts.append(name)
            connection.settimeout(5)
            connection.recv(100)
            connection.sendall(b"reached")


def _answer_datagrams(server: socket.socket, name: str, world: World) -> None:
    while True:
        try:
            _, asker = server.recvfrom(4096)
        except OSError:
            return
        world.contacts.append(name)
        if asker:
            server.sendto(b"reached", asker)
