"""What the executor service allows: its address, who may ask, and how much."""

from __future__ import annotations

import logging
import stat
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from open_r1.errors import ConfigError
from open_r1.execution.environment import read_environment
from open_r1.execution.programs import Limits
from open_r1.net.addresses import is_loopback

logger = logging.getLogger(__name__)

TOKEN_VARIABLE = "OPEN_R1_EXECUTOR_TOKEN"
MIN_TOKEN_LENGTH = 16

DEFAULT_PORT = 2000
"""Piston's."""

NEW_TOKEN = 'python -c "import secrets; print(secrets.token_urlsafe(32))"'
"""What makes a token."""


@dataclass(frozen=True)
class ServiceSettings:
    """How the service is to run: its address, its token ("" for none), its limits.

    `max_held_mb` bounds the bodies of all requests that are not answered yet, `max_unread_mb` the output that is kept for
    one client that doesn't read it. One address may take `max_client_share` of the queue, of the held bodies and of the
    connections, so that no client starves the others; 1 where all come from one address, as through a proxy.
    """

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    token: str = field(default="", repr=False)
    max_request_mb: int = 64
    max_programs: int = 4096
    max_queue: int = 20_000
    max_limits: Limits = Limits(
        wall_s=60.0, cpu_s=60.0, memory_mb=2048, output_kb=16_384, disk_mb=256, processes=64, open_files=256
    )
    max_held_mb: int = 1024
    max_unread_mb: int = 128
    body_timeout_s: float = 120.0
    self_test_interval_s: float = 60.0
    max_connections: int = 1024
    max_client_share: float = 0.5

    def __post_init__(self) -> None:
        for name in ("max_request_mb", "max_programs", "max_queue", "max_held_mb", "max_unread_mb", "max_connections"):
            self._check(name, getattr(self, name) >= 1, "at least 1")
        self._check("max_client_share", 0 < self.max_client_share <= 1, "above 0 and at most 1")
        self._check("port", 0 <= self.port <= 65_535, "between 0 and 65535 (0 takes a free one)")
        check_token(self.host, self.token)

    def _check(self, name: str, is_valid: bool, valid: str) -> None:
        if not is_valid:
            raise ConfigError(f"{name} must be {valid}; got {getattr(self, name)}.")

    def client_part(self, amount: int) -> int:
        """Of an amount that all clients share, what one address may take; at least 1."""
        return max(1, int(amount * self.max_client_share))

    def lower(self, limits: Limits) -> Limits:
        """The limits asked for, none above the service's own."""
        lowest = {f.name: min(getattr(limits, f.name), getattr(self.max_limits, f.name)) for f in fields(limits)}
        return replace(limits, **lowest)


def check_token(host: str, token: str) -> None:
    """ConfigError if this address needs a token that isn't there, or the token could be guessed."""
    if not token and not is_loopback(host):
        raise ConfigError(
            f"--host {host} lets other machines run programs here, so a token is needed: set {TOKEN_VARIABLE} or give "
            f"--token-file FILE (make one with: {NEW_TOKEN}), or keep to --host 127.0.0.1."
        )
    if token and (len(token) < MIN_TOKEN_LENGTH or not token.isascii() or not token.isprintable() or " " in token):
        raise ConfigError(
            f"the token has {len(token)} characters; it needs at least {MIN_TOKEN_LENGTH}, all of them ASCII and none "
            f"a space. Make one with: {NEW_TOKEN}."
        )


def read_token(path: Path | None) -> str:
    """The token in the file, or else in the environment or `.env`, or else none. ConfigError if the file can't serve."""
    if path is None:
        return read_environment().get(TOKEN_VARIABLE, "").strip()
    try:
        mode = path.stat().st_mode
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--token-file {path} can't be read: {error}; write one line of text into it.") from error
    if not token:
        raise ConfigError(f"--token-file {path} is empty; fill it with: {NEW_TOKEN} > {path}.")
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        logger.warning("--token-file %s can be read by other users of this machine; run: chmod 600 %s", path, path)
    return token
