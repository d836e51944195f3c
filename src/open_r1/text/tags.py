"""The tags of R1's format, declared once: prompt, template check, traces, rewards and extractor all read them here."""

from __future__ import annotations

THINK_OPEN, THINK_CLOSE = "<think>", "</think>"
ANSWER_OPEN, ANSWER_CLOSE = "<answer>", "</answer>"
TAGS = (THINK_OPEN, THINK_CLOSE, ANSWER_OPEN, ANSWER_CLOSE)


def render_completion(thinking: str, answer: str) -> str:
    """A completion in R1's format, its answer in a box."""
    return f"{THINK_OPEN}\n{thinking}\n{THINK_CLOSE}\n{ANSWER_OPEN}\n\\boxed{{{answer}}}\n{ANSWER_CLOSE}"


def last_answer_block(text: str) -> str | None:
    """The content of the last `<answer>...</answer>`, or what follows an `<answer>` that is never closed; else None."""
    _, opened, content = text.rpartition(ANSWER_OPEN)
    return content.partition(ANSWER_CLOSE)[0].strip() if opened else None
