"""The HTTP client against servers that answer byte by byte as they please."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from open_r1.errors import ConfigError
from open_r1.generation import http_client
from open_r1.generation.http_client import Address, HttpClient, Response, TransportError

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def ask(handler: Handler, requests: int = 1, timeout_s: float = 2.0) -> list[Response]:
    """What the client makes of a server that handles each connection so."""

    async def main() -> list[Response]:
        server = await asyncio.start_server(handler, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        client = HttpClient(Address.parse(f"127.0.0.1:{port}"), {"Authorization": "Bearer k"})
        try:
            return [await client.request("POST", "/x", b"{}", timeout_s) for _ in range(requests)]
        finally:
            client.close()
            server.close()

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
        ((b"HTTP/1.1 200 OK\r\nContent-Le",), "cut_body"),
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


def test_a_reply_over_the_limit_is_not_read_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "MOST_BYTES", 1000)
    with pytest.raises(TransportError) as failed:
        ask(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", b"x" * 2000, closes=False))
    assert failed.value.reason == "too_large"


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


def test_an_absent_server_is_unreachable() -> None:
    async def main() -> None:
        await HttpClient(Address.parse("http://127.0.0.1:1"), {}).request("GET", "/models", b"", 1.0)

    with pytest.raises(TransportError) as failed:
        asyncio.run(main())
    assert failed.value.reason == "unreachable"


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("localhost:8000", "http://localhost:8000/v1"),
        ("http://10.0.0.1:39876/v1/", "http://10.0.0.1:39876/v1"),
        ("https://api.example.com/v1/chat/completions", "https://api.example.com:443/v1"),
        ("http://[::1]:80/x/v1", "http://[::1]:80/x/v1"),
    ],
)
def test_addresses_are_understood_as_people_write_them(given: str, url: str) -> None:
    assert Address.parse(given).url == url


@pytest.mark.parametrize(
    "given",
    [
        "",
        "http://",
        "ftp://x/v1",
        "http://x:99999/v1",
        "http://me:secret@x/v1",
        "http://x/v1\r\nEvil: 1",
        "http://ü/v1",
    ],
)
def test_what_is_no_address_is_refused(given: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Address.parse(given)
    assert "secret" not in str(refused.value)
