"""Fenced code blocks in what a model wrote.

Reads CommonMark's fences (backticks or tildes, three or more, also inside list items and with attributes after the
language) and what models write besides: a fence at the end of a line of text or code, and an outer fence that a
docstring's own fence does not end.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from open_r1.text.languages import ALIASES, canonical_language

_FENCE = re.compile(
    r"^(?P<indent>[ \t]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)?)(?P<marks>`{3,}(?=[^`\n]*$)|~{3,})(?P<info>.*)$"
    r"|(?<!`)(?P<late_marks>`{3,})(?P<late_info>[A-Za-z][\w+#.-]*)?[ \t]*$",
    re.MULTILINE,
)
"""A fence at the start of its line or of a list item; models also put one at the end of a line of text or code."""

_NAME = re.compile(r"[A-Za-z][\w+#.-]*")
_TRIPLE_QUOTES = re.compile(r"'''|\"\"\"")

MAX_EXTRA_INDENT = 3
"""A fence that is indented further than the opening one is part of the code, as in CommonMark."""


def extract_code(completion: str, language: str = "python") -> str:
    """The last fenced block of `language` in `completion`, without its fences; "" if there is none.

    The language is compared as a name, never as a pattern. CRLF line ends are read as LF. A block that is never closed
    doesn't count.
    """
    wanted = canonical_language(language)
    blocks = [code for fence_language, code in fenced_blocks(completion) if fence_language == wanted]
    return blocks[-1] if blocks else ""


def fenced_blocks(text: str) -> list[tuple[str, str]]:
    """Every closed fenced block of `text` as (canonical language, code), in order; in time linear in its length.

    The code loses the indentation that its fence has, as in a list item.
    """
    text = text.replace("\r\n", "\n")
    fences = [_Fence.read(match) for match in _FENCE.finditer(text)]
    quotes = [(match.start(), match.group()) for match in _TRIPLE_QUOTES.finditer(text)]
    blocks: list[tuple[str, str]] = []
    reads_strings = True
    place = 0
    while place < len(fences):
        opened = fences[place]
        end = _find_end(fences, place, quotes if reads_strings else None)
        if end is None and reads_strings:  # perhaps only for a quotation mark that opens no string
            reads_strings = False
            end = _find_end(fences, place, None)
        if end is None:
            place += 1
            continue
        closing, is_closed = end
        if is_closed:
            blocks.append((opened.language, _code_between(text, opened, fences[closing])))
        place = closing + 1 if is_closed else closing
    return blocks


@dataclass(frozen=True)
class _Fence:
    """One fence; `indent` is None where it is at the end of a line."""

    start: int
    end: int
    marks: str
    indent: int | None
    language: str

    @classmethod
    def read(cls, match: re.Match[str]) -> _Fence:
        if match["marks"] is None:
            language = canonical_language(match["late_info"] or "")
            return cls(match.start("late_marks"), match.end(), match["late_marks"], None, language)
        return cls(match.start(), match.end(), match["marks"], len(match["indent"]), _language_of(match["info"]))

    def matches(self, opened: _Fence) -> bool:
        """It could end the block that `opened` began."""
        return self.marks[0] == opened.marks[0] and len(self.marks) >= len(opened.marks)

    def is_code_of(self, opened: _Fence) -> bool:
        """It is indented too far to be more than code in the block of `opened`."""
        return self.indent is not None and self.indent > (opened.indent or 0) + MAX_EXTRA_INDENT


def _find_end(
    fences: Sequence[_Fence], place: int, quotes: Sequence[tuple[int, str]] | None
) -> tuple[int, bool] | None:
    """Where the block that fence `place` opens ends, and whether a fence closes it there.

    A fence with a language opens another block, so that the one before was never closed. None where neither comes. With
    `quotes`, the places of triple quotation marks, a fence inside a Python string is code.
    """
    opened = fences[place]
    strings = _Strings(quotes, opened) if quotes is not None and opened.language in ("python", "") else None
    skipped = None
    for number in range(place + 1, len(fences)):
        fence = fences[number]
        if not fence.matches(opened):
            continue
        if fence.is_code_of(opened) or (strings is not None and strings.include(fence.start)):
            if fence.language and not fence.is_code_of(opened):  # a further block: the string was none
                return (number, False) if skipped is None else (skipped, True)
            if not fence.language and skipped is None:
                skipped = number
            continue
        return number, not fence.language
    return None if skipped is None or quotes is not None else (skipped, True)


class _Strings:
    """Whether places of a Python program, asked for in order, lie inside a triple-quoted string."""

    def __init__(self, quotes: Sequence[tuple[int, str]], opened: _Fence) -> None:
        self._quotes = quotes
        self._next = bisect_left(quotes, (opened.end, ""))
        self._inside = ""

    def include(self, place: int) -> bool:
        while self._next < len(self._quotes) and self._quotes[self._next][0] < place:
            _, mark = self._quotes[self._next]
            self._inside = mark if not self._inside else "" if self._inside == mark else self._inside
            self._next += 1
        return bool(self._inside)


def _code_between(text: str, opened: _Fence, closing: _Fence) -> str:
    code = text[opened.end + 1 : closing.start]
    if not opened.indent:
        return code
    lines = code.split("\n")
    indents = [len(line) - len(line.lstrip(" \t")) for line in lines if line.strip()]
    width = min([opened.indent, *indents])
    return "\n".join(line[width:] if line.strip() else line.strip(" \t") for line in lines)


def _language_of(info: str) -> str:
    """The language that a fence names: `python`, `python title="x"`, `{.python}`, `python:main.py`; "" for none."""
    words = info.strip().strip("{}").lstrip(".=").replace(",", " ").split()
    name = words[0].partition(":")[0].partition("{")[0] if words else ""
    if not _NAME.fullmatch(name):
        return ""
    language = canonical_language(name)
    is_plain = info.strip() == name
    return language if is_plain or language in ALIASES else ""
