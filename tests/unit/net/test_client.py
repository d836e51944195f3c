"""The HTTP client against servers that answer byte by byte as they please."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Awaitable, Callable

import pytest

from open_r1.net.client import HttpClient, Response, TransportError, find_proxy, request_once, stream_once

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def ask(handler: Handler, requests: int = 1, timeout_s: float = 2.0, max_bytes: int = 1 << 20) -> list[Response]:
    """What the client makes of a server that handles each connection so."""

    async def main() -> list[Response]:
        server = await asyncio.start_server(handler, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        url = f"http://127.0.0.1:{port}/x"
        async with server, HttpClient({"Authorization": "Bearer k"}) as client:
            limits = {"timeout_s": timeout_s, "max_bytes": max_bytes}
            return [await client.request("POST", url, b"{}", **limits) for _ in range(requests)]  # type: ignore[arg-type]

    return asyncio.run(main())


def answering(*pieces: bytes, closes: bool = True) -> Handler:
    """A server that sends these bytes in turn after each request's head."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await read_request(reader):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.005)
            if closes:
                break
        writer.close()

    return handle


async def read_request(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n") + await reader.readexactly(2)
    except asyncio.IncompleteReadError:
        return b""


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


@pytest.mark.parametrize(
    "pieces",
    [
        (OK,),
        tuple(OK[index : index + 1] for index in range(len(OK))),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n", b"3\r\nllo\r\n0\r\n\r\n"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", OK),
        (b"HTTP/1.1 200 OK\r\n\r\nhel", b"lo"),
        (b"HTTP/1.0 200 OK\r\n\r\nhello",),
    ],
    ids=["whole", "bytewise", "chunks", "continue", "until the connection ends", "HTTP 1.0"],
)
def test_a_whole_reply_is_read_however_it_comes(pieces: tuple[bytes, ...]) -> None:
    (response,) = ask(answering(*pieces))
    assert (response.status, response.body) == (200, b"hello")


@pytest.mark.parametrize(
    ("pieces", "reason"),
    [
        ((OK[:-2],), "cut_body"),
        ((b"HTTP/1.1 200 OK\r\nContent-Le",), "disconnected"),
        ((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhel",), "cut_body"),
        ((b"SSH-2.0-OpenSSH\r\n",), "not_http"),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 9\r\n\r\nhello",), "not_http"),
        ((b"",), "disconnected"),
    ],
)
def test_what_is_no_whole_reply_is_named(pieces: tuple[bytes, ...], reason: str) -> None:
    with pytest.raises(TransportError) as failed:
        ask(answering(*pieces))
    assert failed.value.reason == reason


def test_a_server_that_says_nothing_is_left_after_the_time_limit() -> None:
    with pytest.raises(TransportError) as failed:
        ask(answering(b"HTTP/1.1 200 OK\r\n", closes=False), timeout_s=0.2)
    assert failed.value.reason == "timeout"


def test_a_reply_over_the_limit_is_not_read_on() -> None:
    endless = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", b"x" * 1001, closes=False)
    with pytest.raises(TransportError) as failed:
        ask(endless, max_bytes=1000)
    assert failed.value.reason == "too_large"
    assert ask(answering(OK), max_bytes=5)[0].body == b"hello"


def test_a_compressed_reply_is_named_as_such() -> None:
    with pytest.raises(TransportError) as failed:
        ask(answering(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello"))
    assert failed.value.reason == "compressed"


def test_a_redirect_is_a_reply_and_not_followed() -> None:
    (response,) = ask(answering(b"HTTP/1.1 302 Found\r\nLocation: http://evil/\r\nContent-Length: 0\r\n\r\n"))
    assert (response.status, response.headers["location"]) == (302, "http://evil/")


def test_a_connection_is_kept_and_a_dead_one_replaced_without_a_word() -> None:
    connections = []

    async def twice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        for _ in range(2):
            if await read_request(reader):
                writer.write(OK)
        writer.close()

    assert [response.body for response in ask(twice, requests=5)] == [b"hello"] * 5
    assert len(connections) == 3


def test_only_a_dead_connection_that_was_kept_is_replaced() -> None:
    asked = []

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await read_request(reader))
        writer.close()

    with pytest.raises(TransportError, match="disconnected"):
        ask(hang_up)
    assert len(asked) == 1


def test_an_absent_server_is_unreachable() -> None:
    with pytest.raises(TransportError) as failed:
        request_once("GET", "http://127.0.0.1:1/models", timeout_s=1.0)
    assert failed.value.reason == "unreachable"
    assert failed.value.detail == "http://127.0.0.1:1/models: Connection refused"


@pytest.mark.parametrize("url", ["ftp://x/", "http://", "http://me:secret@127.0.0.1:1/"])
def test_no_message_contains_a_password_or_an_escape_sequence(url: str) -> None:
    with pytest.raises(TransportError) as failed:
        request_once("GET", url, timeout_s=1.0)
    assert "secret" not in str(failed.value)
    assert "\x1b" not in str(TransportError("not_http", "\x1b[2J\nx"))


def test_the_environments_proxy_is_for_other_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy:3128")
    monkeypatch.setenv("https_proxy", "http://proxy:3129")
    monkeypatch.setenv("no_proxy", "inside.example")
    assert find_proxy("http://outside.example/v1") == "http://proxy:3128"
    assert find_proxy("https://outside.example/v1") == "http://proxy:3129"
    for host in ("127.0.0.1:8000", "localhost", "[::1]:8000", "127.9.9.9", "inside.example"):
        assert find_proxy(f"http://{host}/v1") is None
    monkeypatch.delenv("http_proxy")
    monkeypatch.setenv("ALL_PROXY", "me:secret@everywhere:3128")
    assert find_proxy("http://outside.example/v1") == "http://me:secret@everywhere:3128"
    assert find_proxy("https://outside.example/v1") == "http://proxy:3129"
    for host in ("0.0.0.0:8000", "[::]:8000", "[::ffff:127.0.0.1]:8000"):
        assert find_proxy(f"http://{host}/v1") is None


def test_a_socks_proxy_is_one_sentence_and_no_matter_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://me:secret@proxy:1080")
    with pytest.raises(TransportError, match=r"proxy socks5://proxy:1080 is not an HTTP proxy; set http_proxy to one"):
        request_once("GET", "http://outside.example/v1", timeout_s=5)
    assert ask(answering(OK))[0].body == b"hello"


def serve_lines(*pieces: bytes) -> tuple[threading.Thread, int]:
    """A server for one request, in a thread."""
    sock = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        with sock, sock.accept()[0] as connection:
            connection.recv(65536)
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(0.02)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, sock.getsockname()[1]


def test_a_stream_comes_line_by_line_without_an_event_loop() -> None:
    thread, port = serve_lines(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n", b"ab\r\nc", b"d\n\nlast")
    with stream_once("GET", f"http://127.0.0.1:{port}/", silence_s=5) as stream:
        assert (stream.status, list(stream.lines())) == (200, [b"ab", b"cd", b"", b"last"])
    thread.join()


def test_a_stream_can_be_read_as_a_whole_without_an_event_loop() -> None:
    thread, port = serve_lines(b"HTTP/1.1 500 Oh\r\nX-A: b\r\nContent-Length: 4\r\n\r\n", b"ab", b"cd")
    with stream_once("POST", f"http://127.0.0.1:{port}/", b"{}", silence_s=5) as stream:
        assert (stream.status, stream.read()) == (500, b"abcd")
    thread.join()


def test_a_stream_that_falls_silent_is_left() -> None:
    thread, port = serve_lines(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nab\n", *[b""] * 30)
    with (
        pytest.raises(TransportError) as failed,
        stream_once("GET", f"http://127.0.0.1:{port}/", silence_s=0.1) as stream,
    ):
        list(stream.lines())
    assert failed.value.reason == "timeout"
    thread.join()


def test_a_line_without_an_end_is_not_read_for_ever() -> None:
    thread, port = serve_lines(b"HTTP/1.1 200 OK\r\n\r\n", *[b"x" * 60] * 3)

    async def main() -> list[bytes]:
        async with HttpClient() as http, http.stream("GET", f"http://127.0.0.1:{port}/", total_s=5) as stream:
            return [line async for line in stream.lines(longest=100)]

    with pytest.raises(TransportError) as failed:
        asyncio.run(main())
    assert failed.value.reason == "too_large"
    thread.join()
