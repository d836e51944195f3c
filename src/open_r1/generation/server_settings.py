"""Servers of OpenAI's chat API and how they are asked: the settings of every verb, stage and reward that asks a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from open_r1.configs.fields import check_limits, setting
from open_r1.configs.ranges import COUNT, POSITIVE, Range

DEFAULT_SERVER = "http://localhost:8000/v1"
WAIT = Range(0, 1e9)


@dataclass(frozen=True)
class ServerSettings:
    """One model on one or several servers. `concurrency` and the limits per minute are for each server."""

    model: str | None = setting(None, "the model's name at the server (default: the one it has)")
    server: tuple[str, ...] | None = setting(None, f"one or several servers (default: {DEFAULT_SERVER})")
    api_key_env: str = setting("OPENAI_API_KEY", "environment variable with the server's key")
    concurrency: int = setting(64, "requests in flight at each server", COUNT)
    requests_per_minute: float | None = setting(None, "limit at each server (default: none)", POSITIVE)
    tokens_per_minute: float | None = setting(
        None, "limit at each server, prompt and completion (default: none)", POSITIVE
    )
    timeout: float = setting(900.0, "seconds to wait for one reply", POSITIVE)
    max_attempts: int = setting(8, "tries for a sample in one run", COUNT)
    pause: float = setting(0.5, "seconds before the second try; it doubles with each further one", WAIT)
    patience: float = setting(300.0, "seconds of failures until a server is given up", WAIT)
    wait_for_server: float = setting(0.0, "seconds to wait for a server to start", WAIT)
    extra_body: Mapping[str, Any] = setting({}, "added to every request; a null removes")

    def __post_init__(self) -> None:
        check_limits(self)
