"""The tags of R1's format, declared once: prompt, template check, traces, rewards and extractor all read them here."""

from __future__ import annotations

THINK_OPEN, THINK_CLOSE = "<think>", "</think>"
ANSWER_OPEN, ANSWER_CLOSE = "<answer>", "</answer>"
TAGS = (THINK_OPEN, THINK_CLOSE, ANSWER_OPEN, ANSWER_CLOSE)

OPENING_TOKENS = 16
"""Tokens at a prompt's end among which an opening `<think>` is looked for, however a tokenizer splits it."""


def render_completion(thinking: str, answer: str) -> str:
    """A completion in R1's format, its answer in a box."""
    return f"{THINK_OPEN}\n{thinking}\n{THINK_CLOSE}\n{ANSWER_OPEN}\n\\boxed{{{answer}}}\n{ANSWER_CLOSE}"


def visible_part(text: str) -> str:
    """What the reader of a completion sees: the text after the last `</think>`.

    All of it when there are no think tags, and nothing when the thinking was opened and never closed.
    """
    _, closed, after = text.rpartition(THINK_CLOSE)
    if THINK_OPEN in after:
        return ""
    return after if closed else text


def open_thinking(prompt: str) -> str:
    """The `<think>` that a prompt ends with, the white space after it included; empty where it ends otherwise."""
    _, opened, after = prompt.rpartition(THINK_OPEN)
    return opened + after if opened and not after.strip() else ""


def with_opening(text: str, opened: str) -> str:
    """A completion after the opening tag that its prompt ended with, unless it says that tag again."""
    return text if text.lstrip().startswith(THINK_OPEN) else opened + text


def last_answer_block(text: str) -> str | None:
    """The content of the last `<answer>...</answer>`, or what follows an `<answer>` that is never closed; else None."""
    _, opened, content = text.rpartition(ANSWER_OPEN)
    return content.partition(ANSWER_CLOSE)[0].strip() if opened else None
