"""Finding `\\boxed{...}` in what a model wrote, in one pass over the text, however long or broken it is."""

from __future__ import annotations

import re

BOX_COMMANDS = (r"\boxed", r"\fbox", r"\framebox")

MAX_UNWRAPPED, MAX_UNWRAPPED_CHARS = 4, 10_000
"""Boxes directly in boxes are opened so many deep, when they are this short; others are nobody's answer."""

MAX_SIDE_BY_SIDE, WINDOW_CHARS = 20, 2000
"""So many boxes are read as one list, each sought in so many characters before the next."""

_TOKEN = re.compile(r"\\(?:boxed|fbox|framebox)\s*\{|\\(?:boxed|fbox)\s+(?P<bare>[^\s${}\\]+)|\\[\\{}]|[{}]")
_WHOLE_BOX = re.compile(r"\\(?:boxed|fbox|framebox)\s*\{")
_JOINT = re.compile(
    r"\}[ ]*\$?[ ]*(?:,|;|、|\\text\{[ ]*(?:,|and|or)[ ]*\}|\\(?:quad|,|;)|\b(?:and|or)\b|和|[ ]){0,4}[ ]*\$?[ ]*$"
)
_BLANK = re.compile(r"\s*")


def last_boxed(text: str) -> str | None:
    """The content of the last complete, non-empty box, stripped; None when there is none.

    An outer box wins over the boxes in it, and `\\boxed{\\boxed{5}}` is `5`. `\\boxed 5` counts as a box. An unclosed
    box is not a box: a completion that was cut off inside it has given no answer. Linear in the length of `text`.
    """
    start = min((found for command in BOX_COMMANDS if (found := text.find(command)) >= 0), default=-1)
    if start < 0:
        return None
    content = _last_closed_box(text, start)
    for _ in range(MAX_UNWRAPPED):
        if content is None or len(content) > MAX_UNWRAPPED_CHARS or not _is_one_box(content):
            break
        content = _last_closed_box(content, 0)
    return content


def boxed_answer(text: str) -> str | None:
    r"""What the last box says, or the boxes side by side at the end: `\\boxed{2}, \\boxed{3}` is `2, 3`.

    Boxes stand side by side when only commas, "and", "or", spaces and dollar signs are between them.
    """
    last = last_boxed(text)
    if last is None:
        return None
    contents, end = [last], text.rfind(last)
    while len(contents) < MAX_SIDE_BY_SIDE:
        start = max((text.rfind(command, 0, end) for command in BOX_COMMANDS), default=-1)
        window = text[max(0, start - WINDOW_CHARS) : max(0, start)]
        joint = _JOINT.search(window)
        before = last_boxed(window[: joint.start() + 1]) if joint else None
        if before is None or len(before) > MAX_UNWRAPPED_CHARS:
            break
        contents.insert(0, before)
        end = text.rfind(before, 0, start)
    return ", ".join(contents) if len(set(contents)) > 1 else last


def _last_closed_box(text: str, start: int) -> str | None:
    last = None
    opened: list[int] = []  # where each open box's content starts; -1 for another brace
    for token in _TOKEN.finditer(text, start):
        mark = token.group()
        if token["bare"]:
            last = token.span("bare")
        elif mark == "}":
            content = opened.pop() if opened else -1
            if content >= 0 and not _is_blank(text, content, token.start()):
                last = (content, token.start())
        elif mark[-1] == "{" and mark != r"\{":
            opened.append(token.end() if len(mark) > 1 else -1)
    return text[last[0] : last[1]].strip() if last else None


def _is_blank(text: str, start: int, end: int) -> bool:
    blank = _BLANK.match(text, start, end)
    return blank is None or blank.end() == end


def _is_one_box(text: str) -> bool:
    return _WHOLE_BOX.match(text) is not None and text.endswith("}")
