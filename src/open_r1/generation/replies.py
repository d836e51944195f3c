"""What a chat completion's reply says, and whether it is one: JSON with choices that contain text and say why they ended.

Thinking that a server sends apart (`reasoning_content`, `reasoning`) goes back into the text between the think tags,
unclosed when it was cut off there; and so does the opening tag that a chat template had already put into the prompt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from open_r1.net.replies import describe_error, load_json, shorten
from open_r1.records import Completion, FinishReason
from open_r1.text.thinking import join_thinking, restore_opening

FINISH: dict[str, FinishReason] = {
    **dict.fromkeys(("stop", "eos", "eos_token", "stop_sequence", "end_turn"), "stop"),
    **dict.fromkeys(("length", "max_tokens", "model_length"), "length"),
}
"""A server's word for why a completion ended -> ours. Any other (abort, content_filter, none) is not a whole completion."""

CHARACTERS_A_TOKEN = 4  # a guess, for servers that don't count tokens
SHOWN = 200  # characters of a reply that a message shows


class BadReply(Exception):
    """A reply that contains no completion; `reason` is a short code."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


@dataclass(frozen=True, slots=True)
class Parsed:
    """The usable completions of a reply, at least one; tokens are the whole request's, None where not given."""

    completions: tuple[Completion, ...]
    prompt_tokens: int | None
    completion_tokens: int | None
    model: str | None


def parse_reply(body: bytes) -> Parsed:
    """BadReply when the body contains no whole completion."""
    try:
        content = load_json(body)
    except (ValueError, RecursionError) as error:
        raise BadReply("not_json", f"the reply is not JSON ({error}): {shorten(body)}") from None
    if not isinstance(content, dict):
        raise BadReply("not_json", f"the reply is not a JSON object: {shorten(body)}")
    choices = content.get("choices")
    if content.get("error") or content.get("object") == "error":
        raise BadReply("error_body", describe_error(content))
    if not isinstance(choices, list) or not choices:
        raise BadReply("no_choices", f"the reply has no choices: {shorten(body)}")
    said = content.get("usage")
    usage: dict[str, Any] = said if isinstance(said, dict) else {}
    completion_tokens = as_count(usage.get("completion_tokens"))
    tokens = completion_tokens if len(choices) == 1 else None
    completions, problems = [], []
    for choice in choices:
        try:
            completions.append(read_choice(choice, tokens))
        except BadReply as problem:
            problems.append(problem)
    if not completions:
        raise problems[0]
    model = content.get("model")
    named = clean(model) if isinstance(model, str) else None
    return Parsed(tuple(completions), as_count(usage.get("prompt_tokens")), completion_tokens, named)


def read_choice(choice: Any, tokens: int | None) -> Completion:
    """The completion of a choice; BadReply where it has none."""
    if not isinstance(choice, dict) or not isinstance(message := choice.get("message"), dict):
        raise BadReply("no_content", f"a choice has no message: {str(choice)[:SHOWN]}")
    ended = choice.get("finish_reason")
    finish = FINISH.get(ended) if isinstance(ended, str) else None
    if finish is None:
        raise BadReply("unfinished", f"a choice ended with finish_reason {ended!r}, which is not a whole completion")
    text = clean(_whole_text(message, finish))
    return Completion(text, max(1, len(text) // CHARACTERS_A_TOKEN) if tokens is None else tokens, finish)


def _whole_text(message: dict[str, Any], finish: FinishReason) -> str:
    content = message.get("content")
    thinking = message.get("reasoning_content") or message.get("reasoning")
    if isinstance(thinking, str) and thinking:
        answer = content if isinstance(content, str) else ""
        return join_thinking(thinking, None if finish == "length" and not answer else answer)
    if not isinstance(content, str):
        raise BadReply("no_content", f"a choice has no text: {str(message)[:SHOWN]}")
    return restore_opening(content)


def as_count(value: Any) -> int | None:
    """A number of tokens; None for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else None


def clean(text: str) -> str:
    """Text that can be written as UTF-8: halves of surrogate pairs become a question mark."""
    return text.encode("utf-8", "replace").decode("utf-8")
