"""Addresses as people write them."""

from __future__ import annotations

import pytest

from open_r1.errors import ConfigError
from open_r1.net.addresses import Address, is_loopback, join_host_port, masked, parse_api_address, without_secrets


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("localhost:8000", "http://localhost:8000/v1"),
        ("http://10.0.0.1:39876/v1/", "http://10.0.0.1:39876/v1"),
        ("https://api.example.com/v1/chat/completions", "https://api.example.com:443/v1"),
        ("http://[::1]:80/x/v1", "http://[::1]:80/x/v1"),
        ("http://host", "http://host:80/v1"),
    ],
)
def test_the_address_of_an_api_has_its_port_and_path(given: str, url: str) -> None:
    assert parse_api_address(given).url == url


@pytest.mark.parametrize(
    "given",
    ["", "http://", "ftp://x/v1", "http://x:99999/v1", "http://x:0", "http://me:secret@x/v1", "http://x/v1\r\nEvil: 1",
     "http://ü/v1", "http://a b/", "ftp://me:secret@x", "http://me:secret@x:port"],
)  # fmt: skip
def test_what_is_not_an_address_is_refused(given: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_api_address(given)
    assert "secret" not in str(refused.value)


def test_an_address_keeps_its_user_and_says_its_port() -> None:
    address = Address.parse(" user:pass@host ", default_path="/api")
    assert (address.url, address.host, address.port) == ("http://user:pass@host/api", "host", 80)
    assert Address.parse("https://host/base/", "/api").url == "https://host/base"
    assert Address.parse("https://host").port == 443
    assert Address.parse("[::1]:9").host == "::1"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]"])
def test_loopback_is_reached_by_this_machine_alone(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.com", "localhost.example.com", ""])
def test_any_other_host_is_public(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://me:secret@host:1/p?token=x#y", "http://host:1/p"),
        ("https://host/p", "https://host/p"),
        ("http://[::1]:8/", "http://[::1]:8/"),
        ("http://me:secret@host:port/", "http://host:port/"),
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert without_secrets(url) == shown


def test_hosts_and_ports_are_joined() -> None:
    assert join_host_port("::1", 8) == "[::1]:8"
    assert join_host_port("host", 8) == "host:8"
    assert masked("no user") == "no user"


def test_an_address_in_the_new_form_of_the_old_loopback_is_loopback() -> None:
    assert is_loopback("::ffff:127.0.0.1") and not is_loopback("::ffff:10.0.0.1")
