"""The split of a completion into thinking and answer: of a whole text, and of one that comes word by word.

Some models write `<think>` themselves; for others the chat template has written it at the end of the prompt. Thinking that
never closes is thinking. A whole text is split at its last `</think>`; a stream, which can't know which is the last, at
its first, and a later `<think>` in it is part of the answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from open_r1.text.tags import THINK_CLOSE, THINK_OPEN

Part = tuple[Literal["thinking", "answer"], str]

OPENING_TOKENS = 16
"""Tokens at a prompt's end among which an opening `<think>` is looked for, however a tokenizer splits it."""


@dataclass(frozen=True, slots=True)
class SplitText:
    """A completion in two parts that together with the closing tag are the whole text.

    `is_closed`: it contains a `</think>`. `is_open`: a `<think>` follows the last `</think>`, or there is only a `<think>`;
    the answer is then empty.
    """

    thinking: str
    answer: str
    is_closed: bool
    is_open: bool


def split_thinking(text: str) -> SplitText:
    """A whole completion split at its last `</think>`; all of it is the answer when it has no think tags."""
    thinking, closed, after = text.rpartition(THINK_CLOSE)
    if THINK_OPEN in after:
        return SplitText(text, "", bool(closed), True)
    return SplitText(thinking, after, bool(closed), False)


def visible_part(text: str) -> str:
    """What the reader of a completion sees: its answer, see `split_thinking`."""
    return split_thinking(text).answer


def join_thinking(thinking: str, answer: str | None) -> str:
    """The completion that was split into two fields; None for an answer that the thinking was cut off before."""
    if answer is None:
        return f"{THINK_OPEN}\n{thinking}"
    return f"{THINK_OPEN}\n{thinking.strip()}\n{THINK_CLOSE}\n\n{answer.lstrip()}"


def open_thinking(prompt: str) -> str:
    """The `<think>` that a prompt ends with, the white space after it included; empty where it ends otherwise."""
    _, opened, after = prompt.rpartition(THINK_OPEN)
    return opened + after if opened and not after.strip() else ""


def with_opening(text: str, opened: str) -> str:
    """A completion after the opening tag that its prompt ended with, unless it repeats that tag."""
    return text if text.lstrip().startswith(THINK_OPEN) else opened + text


def restore_opening(text: str) -> str:
    """A completion whose opening tag stayed in the prompt, with that tag; any other as it is."""
    before, closed, _ = text.partition(THINK_CLOSE)
    return f"{THINK_OPEN}\n{text.lstrip()}" if closed and THINK_OPEN not in before else text


class ThinkingSplitter:
    """Takes a completion in pieces and returns it in parts; white space next to the tags belongs to neither part.

    `is_prefilled`: the prompt ended with an open `<think>`, so that the completion starts inside the thinking.
    """

    def __init__(self, is_prefilled: bool) -> None:
        self.held = ""
        self.state: Literal["start", "thinking", "after", "answer"] = "thinking" if is_prefilled else "start"
        self.may_repeat_tag = is_prefilled
        """Whether a `<think>` here would repeat the one that the prompt ended with."""
        self.has_begun = False
        """Whether any thinking was returned: white space before that is left out."""

    def feed(self, text: str) -> list[Part]:
        """The parts that are certain after the next piece; what may be the start of a tag is kept back."""
        self.held += text
        parts: list[Part] = []
        if self.state == "start":  # only white space yet: thinking starts here, or there is none
            begun = self.held.lstrip()
            if begun.startswith(THINK_OPEN):
                self.state, self.held = "thinking", begun.removeprefix(THINK_OPEN)
            elif begun and not THINK_OPEN.startswith(begun):
                self.state = "answer"
        if self.state == "thinking":
            parts += self._think()
        if self.state == "after":
            self.held = self.held.lstrip()
            if self.held:
                self.state = "answer"
        if self.state == "answer" and self.held:
            parts.append(("answer", self.held))
            self.held = ""
        return parts

    def _think(self) -> list[Part]:
        if not self.has_begun:
            self.held = self.held.lstrip()
        if self.may_repeat_tag and self.held:
            if THINK_OPEN.startswith(self.held) and self.held != THINK_OPEN:
                return []
            self.may_repeat_tag = False
            self.held = self.held.removeprefix(THINK_OPEN).lstrip()
        thinking, closed, after = self.held.partition(THINK_CLOSE)
        if closed:
            self.state, self.held = "after", after
            return _thinking(thinking.rstrip())
        sizes = range(len(THINK_CLOSE) - 1, 0, -1)
        tag = next((size for size in sizes if thinking.endswith(THINK_CLOSE[:size])), 0)  # perhaps its start
        ready = len(thinking[: len(thinking) - tag].rstrip())
        self.held = thinking[ready:]
        self.has_begun = self.has_begun or ready > 0
        return _thinking(thinking[:ready])

    def finish(self) -> list[Part]:
        """What was kept back, now that the completion is over."""
        text, self.held = self.held, ""
        if self.state == "thinking":
            return _thinking(text.rstrip())
        return [("answer", text)] if text and self.state in ("start", "answer") else []


def _thinking(text: str) -> list[Part]:
    return [("thinking", text)] if text else []
