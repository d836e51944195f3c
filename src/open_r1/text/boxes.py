"""Finding `\\boxed{...}` in what a model wrote.

Does: find the last box whose braces close, in one pass over the text, however long or broken it is. Does not: say
what the content means (`latex`, `numbers`).
"""

from __future__ import annotations

import re

BOX_COMMANDS = (r"\boxed", r"\fbox", r"\framebox")

_TOKEN = re.compile(r"\\(?:boxed|fbox|framebox)\s*\{|\\(?:boxed|fbox)\s+(?P<bare>[^\s${}\\]+)|\\[\\{}]|[{}]")
_WHOLE_BOX = re.compile(r"\\(?:boxed|fbox|framebox)\s*\{")


def last_boxed(text: str) -> str | None:
    """The content of the last complete, non-empty box, stripped; None when there is none.

    An outer box wins over the boxes in it, and `\\boxed{\\boxed{5}}` is `5`. `\\boxed 5` counts as a box. An unclosed
    box is not a box: a completion that was cut off inside it has given no answer. Linear in the length of `text`.
    """
    start = min((found for command in BOX_COMMANDS if (found := text.find(command)) >= 0), default=-1)
    if start < 0:
        return None
    content = _last_closed_box(text, start)
    while content is not None and _is_one_box(content):
        content = _last_closed_box(content, 0)
    return content


def _last_closed_box(text: str, start: int) -> str | None:
    last: str | None = None
    open_braces: list[int] = []  # where the content of a box starts; -1 for any other brace
    for token in _TOKEN.finditer(text, start):
        mark = token.group()
        if token["bare"]:
            last = token["bare"]
        elif len(mark) > 2:
            open_braces.append(token.end())
        elif mark == "{":
            open_braces.append(-1)
        elif mark == "}" and open_braces and (content_start := open_braces.pop()) >= 0:
            last = text[content_start : token.start()].strip() or last
    return last


def _is_one_box(text: str) -> bool:
    return _WHOLE_BOX.match(text) is not None and text.endswith("}")
