"""Completions from servers that speak OpenAI's chat API: vLLM, SGLang, `transformers serve`, hosted ones.

Requests are spread over the servers and sent again where that may help: `net.retry` says what a failure means,
`net.servers` what follows. Thinking that a server sends apart is put back into the text (`replies`).
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from open_r1.errors import ConfigError, nearest
from open_r1.generation.protocol import Message, Reply, RequestFailed, Sampling, to_messages
from open_r1.generation.replies import BadReply, Parsed, as_count, parse_reply
from open_r1.generation.server_settings import DEFAULT_SERVER, ServerSettings
from open_r1.net.addresses import parse_api_address
from open_r1.net.client import HttpClient, Response, TransportError, bearer
from open_r1.net.replies import describe_body, load_json
from open_r1.net.retry import Cause, backoff, cause_of, read_retry_after
from open_r1.net.servers import Endpoint, EndpointPool

LONGEST_PAUSE_S, CHECK_TIMEOUT_S, WAITING_GAP_S = 60.0, 10.0, 2.0
CHARACTERS_A_TOKEN, OPEN_FILES_SPARE = 4, 64
APPLY_GENERATION_CONFIG = ("vllm", "sglang")  # owners of a model whose generation_config.json is applied unseen


class OpenAIServer:
    """One model on one or more servers: a `Completer`."""

    def __init__(self, settings: ServerSettings, report: Callable[[str], None] = lambda line: None) -> None:
        addresses = list(dict.fromkeys(parse_api_address(url) for url in settings.server or (DEFAULT_SERVER,)))
        self.settings, self.report, self.addresses = settings, report, addresses
        self.model, self.neutral = settings.model or "", {}
        self.concurrency = settings.concurrency * len(addresses)
        self.key = os.environ.get(settings.api_key_env, "").strip()
        if not self.key.isascii() or not self.key.isprintable():
            raise ConfigError(f"the key in {settings.api_key_env} contains characters that no key has; set it anew.")
        _allow_open_files(self.concurrency)

    async def start(self) -> list[str]:
        """Ask every server for its models. ConfigError when none answers, the key is refused or the model unknown."""
        settings, urls = self.settings, [address.url for address in self.addresses]
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        self.client = HttpClient(headers | bearer(self.key))  # which belongs to the running event loop
        limits = settings.concurrency, settings.patience, settings.requests_per_minute, settings.tokens_per_minute
        self.pool = EndpointPool([Endpoint(url, *limits) for url in urls], self.report)
        self.mean_tokens: float | None = None
        deadline = time.monotonic() + settings.wait_for_server
        while True:
            found = await asyncio.gather(*map(self._list_models, urls))
            by_url = dict(zip(urls, found, strict=True))
            absent = {url: error for url, error in by_url.items() if isinstance(error, TransportError)}
            if len(absent) < len(by_url) or time.monotonic() >= deadline:
                break
            await asyncio.sleep(WAITING_GAP_S)
        if len(absent) == len(by_url):
            said = "; ".join(error.detail for error in absent.values())
            raise ConfigError(
                f"no server answers ({said}); start it (vllm serve MODEL), correct the address, or give it time to start "
                "with --wait_for_server SECONDS."
            )
        entries = []
        for url, models in by_url.items():
            if isinstance(models, dict):
                self.model = choose_model(url, list(models), self.model)
                entries.append(models[self.model])
        contexts = [as_count(entry.get("max_model_len")) for entry in entries]
        self.context = min((context for context in contexts if context), default=None)
        if entries and all(entry.get("owned_by") in APPLY_GENERATION_CONFIG for entry in entries):
            self.neutral = {"repetition_penalty": 1.0}
        if not self.model:
            raise ConfigError("the server doesn't say which models it has; name one with --model.")
        return [f"{url} does not answer yet ({error.detail}); it is tried again" for url, error in absent.items()]

    def find_model(self) -> str:
        """The name of the one model that the servers have, whose `context` is known then; ConfigError as `start`."""

        async def start_and_close() -> None:
            await self.start()
            await self.close()

        asyncio.run(start_and_close())
        return self.model

    async def _list_models(self, url: str) -> dict[str, dict[str, Any]] | TransportError | None:
        try:
            response = await self.client.request("GET", f"{url}/models", timeout_s=CHECK_TIMEOUT_S)
        except TransportError as error:
            return error
        if response.status in (401, 403):
            state = "was refused" if self.key else "is not set"
            raise ConfigError(
                f"{url} wants a key: {self.settings.api_key_env} {state} "
                f"({describe_body(response.body)}); set it, or name another variable with --api_key_env."
            )
        return read_models(response)

    async def complete(self, messages: Sequence[Message], sampling: Sampling) -> Reply:
        """Ask until there is an answer or a reason to stop (`net.retry`)."""
        body = self.make_body(messages, sampling)
        each = sampling.max_new_tokens if self.mean_tokens is None else self.mean_tokens
        expected = len(body) / CHARACTERS_A_TOKEN + each * sampling.num_samples
        attempts, pauses = 0, backoff(self.settings.pause, LONGEST_PAUSE_S)
        avoid: Endpoint | None = None
        while True:
            endpoint = await self.pool.acquire(expected, avoid)
            asked_at = time.monotonic()
            try:
                parsed = await self.ask(endpoint, body)
            except Refusal as refusal:
                said = refusal.cause, refusal.reason, refusal.detail
                self.pool.note(endpoint, *said, asked_at, refusal.retry_after_s)
                attempts += refusal.cause != "busy"
                if refusal.cause == "request" or attempts >= self.settings.max_attempts:
                    raise RequestFailed(refusal.reason, refusal.detail, endpoint.url, attempts) from None
                avoid, pause = endpoint, next(pauses)
            else:
                seconds = time.monotonic() - asked_at
                self.settle(endpoint, parsed, expected, sampling.num_samples)
                completions, model = parsed.completions[: sampling.num_samples], parsed.model or self.model
                usage = parsed.prompt_tokens, parsed.completion_tokens
                return Reply(completions, *usage, model, endpoint.url, sampling.seed, seconds, attempts + 1)
            finally:
                self.pool.release(endpoint)
            await asyncio.sleep(pause)

    def make_body(self, messages: Sequence[Message], sampling: Sampling) -> bytes:
        """The JSON body of a request; fields without a value are left out."""
        content: dict[str, Any] = {
            "model": self.model,
            "messages": to_messages(messages),
            "max_tokens": sampling.max_new_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": sampling.seed,
        }
        if sampling.num_samples > 1:
            content["n"] = sampling.num_samples
        content |= {**self.neutral, **self.settings.extra_body}
        return orjson.dumps({key: value for key, value in content.items() if value is not None})

    async def ask(self, endpoint: Endpoint, body: bytes) -> Parsed:
        """One request, one answer. Refusal says what went wrong, and the cause."""
        url, timeout_s = f"{endpoint.url}/chat/completions", self.settings.timeout
        try:
            response = await self.client.request("POST", url, body, timeout_s=timeout_s)
            if response.status == 200:
                return parse_reply(response.body)
        except (TransportError, BadReply) as error:
            raise Refusal("server", error.reason, error.detail) from None
        raise refusal_of(response)

    def settle(self, endpoint: Endpoint, parsed: Parsed, expected: float, num_samples: int) -> None:
        """Put the tokens that were really used in place of those expected."""
        endpoint.answered()
        if parsed.completion_tokens is None:
            return
        endpoint.budgets[1].take((parsed.prompt_tokens or 0) + parsed.completion_tokens - expected)
        latest = parsed.completion_tokens / num_samples
        self.mean_tokens = latest if self.mean_tokens is None else 0.98 * self.mean_tokens + 0.02 * latest

    async def close(self) -> None:
        """Close the pool of endpoints and the connections to them."""
        self.pool.close()
        await self.client.close()


class Refusal(Exception):
    """One attempt that brought nothing: why, and the cause."""

    def __init__(self, cause: Cause, reason: str, detail: str, retry_after_s: float | None = None) -> None:
        super().__init__(f"{reason}: {detail}")
        self.cause: Cause = cause
        self.reason, self.detail, self.retry_after_s = reason, detail, retry_after_s


def refusal_of(response: Response) -> Refusal:
    """What a reply with another status than 200 means."""
    status, headers, detail = response.status, response.headers, describe_body(response.body)
    retry_after_s = read_retry_after(headers.get("retry-after"))
    reason, cause = cause_of(status, retry_after_s)
    if reason == "redirected":
        return Refusal(cause, reason, f"to {headers.get('location', 'nowhere')[:200]}; give that address")
    if status == 429 and "insufficient_quota" in detail:
        reason, cause = "insufficient_quota", "endpoint"
    return Refusal(cause, reason, f"status {status}: {detail}", retry_after_s)


def choose_model(url: str, models: Sequence[str], wanted: str | None) -> str:
    """The model to ask for among those that a server has. ConfigError when it lacks it, or has several."""
    if not wanted and len(models) == 1:
        return models[0]
    if wanted in models:
        return wanted or ""
    shown = ", ".join(models[:10]) + (", …" if len(models) > 10 else "")
    said = f"has no model '{wanted}'{nearest(wanted, models)}" if wanted else "has several models."
    raise ConfigError(f"{url} {said} It has: {shown}; choose one with --model.")


def read_models(response: Response) -> dict[str, dict[str, Any]] | None:
    """The entries that `GET /models` lists, by their ids; None when it lists none."""
    try:
        data = load_json(response.body)["data"] if response.status == 200 else []
        return {str(entry["id"]): entry for entry in data if isinstance(entry, dict) and entry.get("id")} or None
    except (ValueError, RecursionError, LookupError, TypeError):
        return None


def _allow_open_files(connections: int) -> None:
    try:
        import resource
    except ImportError:  # not a Unix
        return
    needed = connections + OPEN_FILES_SPARE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if needed <= soft or soft == resource.RLIM_INFINITY:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    except (ValueError, OverflowError):  # above the hard limit
        raise ConfigError(
            f"{connections} requests in flight need as many open files, but this process may have {hard}; lower "
            "--concurrency or raise the limit (ulimit -n)."
        ) from None
