"""A server of ours against clients that are slow, or send too much, before their request is there."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI

from open_r1.errors import ConfigError
from open_r1.net import http_server
from open_r1.net.http_server import (
    MOST_HEADER_BYTES,
    Quota,
    Server,
    bind,
    client_address,
    free_port,
    running_in_thread,
)


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(http_server, "HEADER_LIMIT_S", 0.3)
    app = FastAPI()
    app.add_api_route("/", lambda: "hello")
    with bind("127.0.0.1", 0) as sock, running_in_thread(Server(app), sock):
        yield sock.getsockname()


def read_all(connection: socket.socket) -> bytes:
    connection.settimeout(5)
    read = b""
    try:
        while piece := connection.recv(65536):
            read += piece
    except ConnectionResetError:
        pass
    return read


def read_until(connection: socket.socket, end: bytes) -> None:
    connection.settimeout(5)
    read = b""
    while end not in read:
        piece = connection.recv(65536)
        assert piece, read
        read += piece


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "])
def test_a_client_that_does_not_finish_its_headers_is_let_go(address: Any, sent: bytes) -> None:
    with socket.create_connection(address) as connection:
        started = time.monotonic()
        connection.sendall(sent)
        assert read_all(connection) == b""
        assert 0.2 < time.monotonic() - started < 4


def test_the_limit_holds_for_the_next_request_of_a_connection_too(address: Any) -> None:
    with socket.create_connection(address) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        read_until(connection, b"hello")
        time.sleep(0.5)  # idle between requests is no fault
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        read_until(connection, b"hello")
        connection.sendall(b"GET /")
        assert read_all(connection) == b""


def test_headers_that_are_too_large_are_refused(address: Any) -> None:
    with socket.create_connection(address) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * (MOST_HEADER_BYTES + 1000))
        assert b"400" in read_all(connection)[:20]


def test_a_taken_address_is_refused() -> None:
    with bind("127.0.0.1", 0) as first, pytest.raises(ConfigError, match="choose another --port"):
        bind("127.0.0.1", first.getsockname()[1])


@pytest.mark.parametrize(
    ("host", "shown"),
    [("0.0.0.0", "localhost"), ("::", "localhost"), ("127.0.0.1", "localhost"), ("::1", "[::1]"), ("host", "host")],
)
def test_clients_are_told_an_address_that_they_can_use(host: str, shown: str) -> None:
    with bind("127.0.0.1", 0) as sock:
        assert client_address(sock, host) == f"{shown}:{sock.getsockname()[1]}"


def test_a_free_port_can_be_listened_on() -> None:
    port = free_port()
    with bind("127.0.0.1", port) as sock:
        assert sock.getsockname() == ("127.0.0.1", port)


def test_an_address_with_too_many_connections_is_told_so_and_may_open_another_when_one_is_closed() -> None:
    app = FastAPI()
    app.add_api_route("/", lambda: "hello")
    request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    server = Server(app, connections_a_client=2)
    with bind("127.0.0.1", 0) as sock, running_in_thread(server, sock):
        address = sock.getsockname()
        held = [socket.create_connection(address) for _ in range(2)]
        while len(server.server_state.connections) < 2:
            time.sleep(0.01)
        with socket.create_connection(address) as third:
            head, _, body = read_all(third).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 429 ") and f"Content-Length: {len(body)}".encode() in head
        with socket.create_connection(address, source_address=("127.0.0.2", 0)) as other:
            other.sendall(request)
            assert b"hello" in read_all(other)
        held.pop().close()
        while len(server.server_state.connections) > 1:
            time.sleep(0.01)
        with socket.create_connection(address) as third:
            third.sendall(request)
            assert b"hello" in read_all(third)
        held.pop().close()


def test_a_client_holds_no_more_than_the_quota_whatever_others_hold() -> None:
    quota = Quota(3)
    assert quota.take("a", 2)
    assert not quota.take("a", 2)
    assert quota.held["a"] == 2
    assert quota.take("a")
    assert not quota.take("a")
    assert quota.take("b", 3)


def test_what_is_given_back_may_be_taken_again_and_leaves_nothing_behind() -> None:
    quota = Quota(3)
    quota.take("a", 3)
    quota.give_back("a", 2)
    assert quota.held["a"] == 1
    assert quota.take("a", 2)
    quota.give_back("a", 3)
    assert quota.held["a"] == 0
    assert quota.take("a", 3)
    quota.give_back("a", 3)
    assert not quota.held
