"""Addresses of servers: parsed as people write them, printed, and whether only this machine reaches them."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from open_r1.errors import ConfigError

DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Address:
    """A server's address: scheme, `host[:port]` as written (with a user where one was given), path."""

    scheme: str
    netloc: str
    path: str

    @classmethod
    def parse(cls, text: str, default_path: str = "") -> Address:
        """From `http://host:8000/path`, `host:8000` or `host`. ConfigError, without a password, for anything else."""
        text = text.strip()
        try:
            parts = urlsplit(text if "://" in text else f"http://{text}")
            port = parts.port
        except ValueError as error:
            raise ConfigError(f"'{masked(text)}' is not an address: {error}; write http://HOST:PORT.") from None
        if parts.scheme not in DEFAULT_PORTS or not parts.hostname or port == 0:
            raise ConfigError(
                f"'{masked(text)}' is not an address of a server; write http://HOST:PORT or https://HOST."
            )
        if not text.isascii() or not text.isprintable() or " " in text:
            raise ConfigError(f"{masked(text)!r} is not an address: it may contain only visible ASCII characters.")
        return cls(parts.scheme, parts.netloc, parts.path.rstrip("/") or default_path)

    @property
    def host(self) -> str:
        """The host, without brackets around an IPv6 address."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """The port, the scheme's own where none was written."""
        return urlsplit(self.url).port or DEFAULT_PORTS[self.scheme]

    @property
    def url(self) -> str:
        """The address as a URL."""
        return f"{self.scheme}://{self.netloc}{self.path}"


def parse_api_address(text: str) -> Address:
    """The base of an OpenAI-compatible API: the path is `/v1` where none is given, the port is always stated.

    ConfigError for what is not an address, and for one with a password, which belongs in an environment variable.
    """
    address = Address.parse(text)
    if "@" in address.netloc:
        raise ConfigError(
            "the address of a server may not contain a user or password; put the key into an environment variable."
        )
    path = address.path.removesuffix("/chat/completions") or "/v1"
    return Address(address.scheme, join_host_port(address.host, address.port), path)


def join_host_port(host: str, port: int) -> str:
    """`host:port`, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address. A name other than localhost may lead anywhere, so it does not."""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def without_secrets(url: str) -> str:
    """A URL for messages: without user, password, query and fragment."""
    try:
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    except ValueError:
        return masked(url)


def masked(text: str) -> str:
    """What may contain a password, without it."""
    head, at, tail = text.rpartition("@")
    return f"…@{tail}" if at and head else text
