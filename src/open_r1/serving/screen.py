"""A chat as it is shown: thinking dimmed and, once it is over, folded to a line; then the answer; then the counts.

What the model wrote passes through `as_printable` and never through rich's markup.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from open_r1.printable import as_printable
from open_r1.serving.client import Answer
from open_r1.text.thinking import Part

if TYPE_CHECKING:
    pass

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
