"""A conversation with any server that speaks OpenAI's chat API, streamed, thinking separated from the answer.

Works with servers that send `reasoning_content` (or `reasoning`), and with those that leave the tags in the text.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import chain
from typing import Any

import orjson

from open_r1.configs.fields import check_limits, setting
from open_r1.configs.ranges import COUNT, Range
from open_r1.errors import ConfigError, RunError
from open_r1.generation.openai_server import choose_model, read_models
from open_r1.generation.replies import as_count, clean
from open_r1.net.client import SyncStream, TransportError, bearer, request_once, stream_once
from open_r1.net.replies import describe_body, describe_error
from open_r1.printable import as_line, as_printable
from open_r1.text.thinking import Part, ThinkingSplitter

CHECK_LIMIT_S = 10.0
SILENCE_LIMIT_S = 600.0
MOST_CHARACTERS = 4_000_000  # of one answer, so that a server that never ends is left


@dataclass(frozen=True)
class ChatOptions:
    """How answers are sampled; None leaves it to the server."""

    temperature: float | None = setting(0.6, "temperature; 0 is greedy", Range(0, 2))
    top_p: float | None = setting(0.95, "share of the probability", Range(0, 1, open_low=True))
    max_tokens: int | None = setting(None, "most tokens of an answer", COUNT, flag="max_new_tokens")

    def __post_init__(self) -> None:
        check_limits(self)


@dataclass
class Answer:
    """What came back. `tokens` is the server's count, None where it didn't say."""

    thinking: str = ""
    text: str = ""
    finish_reason: str | None = None
    tokens: int | None = None
    prompt_tokens: int | None = None
    seconds: float = 0.0
    thinking_s: float = 0.0


@dataclass
class Conversation:
    """Messages so far, and the server that answers them. The system prompt stays through a reset."""

    url: str
    model: str
    options: ChatOptions = ChatOptions()
    api_key: str = field(default="", repr=False)
    system: str = ""
    turns: list[dict[str, str]] = field(default_factory=list)

    @property
    def messages(self) -> list[dict[str, str]]:
        """The system prompt, where there is one, and the turns so far."""
        return ([{"role": "system", "content": self.system}] if self.system else []) + self.turns

    def ask(self, question: str, answer: Answer) -> Iterator[Part]:
        """The parts of the answer as they come; RunError, and the history as before, when the answer did not end."""
        started = time.monotonic()
        for kind, text in self.stream([*self.messages, {"role": "user", "content": question}], answer):
            answer.seconds = time.monotonic() - started
            if kind == "thinking":
                answer.thinking += text
                answer.thinking_s = answer.seconds
            else:
                answer.text += text
            if len(answer.thinking) + len(answer.text) > MOST_CHARACTERS:
                raise RunError(f"the answer has passed {MOST_CHARACTERS:,} characters and was cut off.")
            yield kind, text
        answer.seconds = time.monotonic() - started
        if answer.finish_reason is None:
            raise RunError("the server ended its answer before its end; ask again.")
        self.turns += [{"role": "user", "content": question}, {"role": "assistant", "content": answer.text}]

    def stream(self, messages: list[dict[str, str]], answer: Answer) -> Iterator[Part]:
        """The parts of the answer to some messages. RunError when it fails."""
        body = {"model": self.model, "messages": messages, "stream": True, "stream_options": {"include_usage": True}}
        splitter = ThinkingSplitter(is_prefilled=False)
        asked = {name: value for name, value in asdict(self.options).items() if value is not None}
        content = orjson.dumps(body | asked)
        headers = {"Content-Type": "application/json", **bearer(self.api_key)}
        try:
            url = f"{self.url}/chat/completions"
            with stream_once("POST", url, content, headers, silence_s=SILENCE_LIMIT_S) as reply:
                if reply.status != 200:
                    raise RunError(f"the server answers {reply.status}: {describe_body(reply.read())}")
                yield from _read_parts(reply, splitter, answer)
        except TransportError as error:
            raise RunError(f"no whole answer from {self.url}: {error.detail}.") from None
        yield from splitter.finish()


def _read_parts(reply: SyncStream, splitter: ThinkingSplitter, answer: Answer) -> Iterator[Part]:
    for line in reply.lines():
        content = line.removeprefix(b"data:").strip()
        if content == b"[DONE]":
            return
        try:
            event = orjson.loads(content) if line.startswith(b"data:") else None
        except ValueError:
            shown = as_line(content.decode("utf-8", "replace"), 200)
            raise RunError(f"the server sent something that is not JSON: {shown}") from None
        if not isinstance(event, dict):
            continue
        if event.get("error"):
            raise RunError(f"the server failed: {describe_error(event)}")
        if isinstance(usage := event.get("usage"), dict):
            answer.tokens = as_count(usage.get("completion_tokens"))
            answer.prompt_tokens = as_count(usage.get("prompt_tokens"))
        try:
            choice: dict[str, Any] = event["choices"][0]
            delta: dict[str, Any] = choice.get("delta") or {}
        except (LookupError, TypeError, AttributeError):
            continue
        if isinstance(thought := delta.get("reasoning_content") or delta.get("reasoning"), str):
            splitter.state = "answer"
            yield "thinking", clean(thought)
        if isinstance(content := delta.get("content"), str):
            yield from splitter.feed(clean(content))
        if isinstance(reason := choice.get("finish_reason"), str):
            answer.finish_reason = reason


def find_model(url: str, api_key: str, model: str | None) -> str:
    """The model's name at a server; ConfigError when it has none of that name, or several and none was chosen."""
    try:
        reply = request_once("GET", f"{url}/models", headers=bearer(api_key), timeout_s=CHECK_LIMIT_S)
    except TransportError as error:
        raise ConfigError(f"no server answers ({error.detail}); start one with: open-r1 serve MODEL.") from None
    if reply.status in (401, 403):
        raise ConfigError(f"{url} wants a key: set OPENAI_API_KEY ({describe_body(reply.body)}).")
    models = read_models(reply)
    if models is not None:
        return choose_model(url, list(models), model)
    if model is None:
        raise ConfigError(f"{url} doesn't say which models it has; choose one with --model.")
    return model


LIVE_LINES = 8  # lines of thinking that are seen while it goes on


class PlainScreen:
    """For pipes and files: the answer on stdout; with `thinking`, that before it."""

    def __init__(self, thinking: bool) -> None:
        self.thinking = thinking

    def show(self, parts: Iterable[Part], answer: Answer) -> None:
        """Write the answer, and the thinking before it where that is wanted."""
        before = ""
        for kind, text in parts:
            if kind == "thinking" and not self.thinking:
                continue
            if before == "thinking" and kind == "answer":
                sys.stdout.write("\n\n")
            sys.stdout.write(as_printable(text))
            sys.stdout.flush()
            before = kind
        sys.stdout.write("\n")
        sys.stdout.flush()


class TerminalScreen:
    """A terminal, where thinking is dimmed and folded once the answer begins."""

    def __init__(self, thinking: bool) -> None:
        from rich.console import Console
        from rich.text import Text

        self.console, self.dimmed = Console(highlight=False), partial(Text, style="dim italic")
        self.keeps_thinking = thinking

    def show(self, parts: Iterable[Part], answer: Answer) -> None:
        """Thinking is shown in place, a few lines of it, and folded when the answer begins."""
        from rich.live import Live

        rest, first = iter(parts), ""
        with Live(console=self.console, transient=True, refresh_per_second=10) as live:
            for kind, text in rest:
                if kind == "answer":
                    first = text
                    break
                live.update(self.dimmed(last_lines(answer.thinking, LIVE_LINES, self.console.width)))
        if answer.thinking and self.keeps_thinking:
            self.console.print(self.dimmed(as_printable(answer.thinking)))
        if answer.thinking:
            words = f"{answer.thinking_s:.1f} s, {len(answer.thinking.split()):,} words (/thinking shows it)"
            self.console.print(self.dimmed(f"▸ thought for {words}"))
        for text in chain([first], (text for kind, text in rest if kind == "answer")):
            self.console.out(as_printable(text), end="", highlight=False)
        self.console.print()
        self.console.print(self.dimmed(counts(answer)))


def last_lines(text: str, count: int, width: int) -> str:
    """The end of a text as that many lines of a terminal show it."""
    tail = as_printable(text[-count * width :])
    lines = [line[start : start + width] for line in tail.split("\n") for start in range(0, max(1, len(line)), width)]
    return "\n".join(lines[-count:])


def counts(answer: Answer) -> str:
    """Tokens and seconds in a line."""
    parts = [f"{answer.seconds:.1f} s"]
    if answer.tokens is not None:
        rate = f", {answer.tokens / answer.seconds:.0f} a second" if answer.seconds > 0 else ""
        parts = [f"{answer.tokens} tokens in {parts[0]}{rate}"]
    if answer.prompt_tokens is not None:
        parts.append(f"{answer.prompt_tokens} in the prompt")
    if answer.finish_reason == "length":
        parts.append("cut off by the limit of tokens")
    return "; ".join(parts)


Screen = PlainScreen | TerminalScreen
