r"""What a completion answers, and what the answer in a gold text is.

Where the answer of a completion is looked for, first found first taken:
1. only what follows the last `</think>`; in thinking that never ended there is no answer;
2. in the last `<answer>` block: its last box, else an anchored answer in it, else the block itself if it is short;
3. the last box, or the boxes side by side at the end;
4. what follows an anchor: "the answer is", "Answer:", "####", "答案是";
5. the whole text when it is a single short line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from open_r1.answers.choices import find_choice, names_letters, read_choice
from open_r1.answers.latex import MAX_CHARS, canonical
from open_r1.text.tags import last_answer_block
from open_r1.text.thinking import visible_part

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
        if content is None or len(content) > MAX_UNWRAPPED_CHARS:
            break
        if not (_WHOLE_BOX.match(content) and content.endswith("}")):
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


Source = Literal["boxed", "answer_block", "anchored", "bare"]

BARE_CHARS = 120
"""A longer text without box or anchor is prose, not an answer."""

BARE_WORDS = 3
"""A whole text of more words is a sentence, or the beginning of one, and not an answer."""

PROSE_WORDS = 5
"""A text with so many words is prose, and not itself an answer."""

MAX_ALTERNATIVES = 20
"""So many formulas after one anchor are read as a list."""

MAX_ANCHORS = 50
"""So many anchors from the end are looked at, whatever a completion repeats."""


@dataclass(frozen=True)
class Extraction:
    """An answer as it was written, and where it stood."""

    text: str
    source: Source


_MATH = r"\$\$(?P<dd>[^$]+)\$\$|\$(?P<d>(?:\\.|[^$\n\\])*(?:\\.|[^$\s\\]))\$|\\\((?P<p>.+?)\\\)|\\\[(?P<b>.+?)\\\]"
_ANCHOR = re.compile(
    r"\b(?:answers?|correct\s+(?:option|choice))\b[^.\n]{0,60}?(?:\b(?:is|are)\b|[:：=])"
    r"(?!\s*(?:(?:in)?correct|verified|confirmed|consistent|reasonable|valid)\b)[\s*_:]*"
    r"|\bfinal\s+answer[\s*_]*\n\s*"
    r"|####(?!\s*[A-Z][a-z]+[^\n]*\n\s*\S)\s*"  # not a heading with text below it
    r"|答案[^。\n]{0,20}?(?:是|为|：|:)\s*",
    re.IGNORECASE,
)
_AFTER_ANCHOR = re.compile(rf"\s*(?:{_MATH}|(?P<line>[^\n]+))", re.DOTALL)
_ALTERNATIVE = re.compile(
    rf"\s*,?\s*(?P<joint>,|\bor\b|\band\b|或|和)\s*(?:{_MATH}|(?P<n>[-+]?\d[\d./]*(?<!\.)))", re.DOTALL | re.IGNORECASE
)
_STATEMENT_END = re.compile(r"[\s*_]*(?:$|[.。;；!！\n<])")
_SENTENCE_END = re.compile(
    r"[.。!！](?:\s|$)|\*\*|<|,\s+(?!and\b|or\b)[a-z]{2,}\s|(?<=\d),\s+(?!and\b|or\b)[a-z]{2,}"
    r"|,\s+(?:in total|altogether|overall|respectively|in all)\b"
)
_PROSE_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{3,}(?![A-Za-z])")
_ANY_MATH = re.compile(_MATH, re.DOTALL)
_FORMULA_MARK = re.compile(r"[\\^_={(<>]|\d\D+\d")
_PHRASE = re.compile(r"[A-Za-z]+(?:\s+[A-Za-z]+)+")
_END_OF_TURN = re.compile(
    r"(?:\s*(?:<\|[A-Za-z0-9_]{2,30}\|>|<｜[^｜<>]{2,30}｜>|</?s>|<(?:end_of_turn|eos|pad)>|\[/?INST\]))+\s*$"
)
_END_OF_TURN_MARKS = (">", "]")
_MARKS_OF_TURN = 400


def extract_answer(completion: str) -> Extraction | None:
    """The answer that `completion` gives, or None; see the module for where it is looked for."""
    visible = visible_part(_without_end_of_turn(completion))
    block = last_answer_block(visible)
    if block and (found := _found_in(block)):
        return found
    if block and (formula := _only_formula(block)) is not None:
        return Extraction(formula, "answer_block")
    if block and not _is_prose(block):
        return Extraction(block, "answer_block")
    if found := _found_in(visible):
        return found
    bare = visible.strip()
    return Extraction(bare, "bare") if block is None and _is_bare(bare) else None


def extract_choice(completion: str) -> str | None:
    """The one letter that a completion chooses: that of its answer, else of the last sentence that names one.

    A box without a letter hides no sentence; a box with several letters does.
    """
    found = extract_answer(completion)
    letter = read_choice(found.text) if found else None
    if letter or (found and found.source == "boxed" and names_letters(found.text)):
        return letter
    return find_choice(visible_part(completion))


def _found_in(text: str) -> Extraction | None:
    if (boxed := boxed_answer(text)) is not None:
        return Extraction(boxed, "boxed")
    anchored = _extract_anchored(text)
    return None if anchored is None else Extraction(anchored, "anchored")


def _without_end_of_turn(text: str) -> str:
    if not text.rstrip().endswith(_END_OF_TURN_MARKS):
        return text
    tail = text[-_MARKS_OF_TURN:]
    match = _END_OF_TURN.search(tail)
    return text[: len(text) - len(tail) + match.start()] if match else text


@lru_cache(maxsize=16384)
def extract_gold(gold: str) -> str | None:
    """The answer in a gold text: a published solution, `#### 72`, `$x$`, or the bare answer; None if there is none.

    A box wins, then an anchor; a short text is the answer itself; in longer prose a single formula is. A phrase after an
    anchor ("the answer is forty three") is not a gold that can be checked.
    """
    visible = visible_part(gold)
    if (boxed := boxed_answer(visible)) is not None:
        return boxed
    block = last_answer_block(visible)
    if block:
        return block
    if (anchored := _extract_anchored(visible)) is not None:
        return None if _PHRASE.fullmatch(anchored) else anchored
    text = visible.strip()
    return _only_formula(text) if _is_prose(text) else text or None


def _is_bare(text: str) -> bool:
    """Whether a whole text can be an answer: one short line, in which words and formulas are not mixed."""
    if not 0 < len(text) <= BARE_CHARS or "\n" in text or "\\boxed" in text or _is_prose(text):
        return False
    words = len(_PROSE_WORD.findall(canonical(text)))
    return words == 0 or (words <= BARE_WORDS and not _FORMULA_MARK.search(text))


def _is_prose(text: str) -> bool:
    return len(text) > MAX_CHARS or len(_PROSE_WORD.findall(text)) >= PROSE_WORDS


def _only_formula(text: str) -> str | None:
    formulas = {_math_of(match) for match in _ANY_MATH.finditer(text)}
    return formulas.pop() if len(formulas) == 1 else None


def _extract_anchored(text: str) -> str | None:
    anchors = list(_ANCHOR.finditer(text))[-MAX_ANCHORS:]
    for anchor in reversed(anchors):
        following = _AFTER_ANCHOR.match(text, anchor.end(), anchor.end() + MAX_CHARS)
        if following and (answer := _answer_of(text, following)):
            return answer
    return None


def _answer_of(text: str, match: re.Match[str]) -> str:
    if match["line"] is None:
        return _with_alternatives(text, match)
    line = match["line"]
    end = _SENTENCE_END.search(line.lstrip("*"))
    return (line.lstrip("*")[: end.start()] if end else line).strip()[:BARE_CHARS]


def _with_alternatives(text: str, first: re.Match[str]) -> str:
    """`$2$ or $3$` as `2, 3`: guesses, or the several answers that were asked for."""
    formulas, end, is_list = [_math_of(first)], first.end(), False
    while len(formulas) < MAX_ALTERNATIVES and (more := _ALTERNATIVE.match(text, end, end + MAX_CHARS)):
        formulas.append(more["n"] or _math_of(more))
        is_list |= more["joint"].lower() in {"or", "或"}
        end = more.end()
    return ", ".join(formulas) if is_list or _STATEMENT_END.match(text, end) else formulas[0]


def _math_of(match: re.Match[str]) -> str:
    return next(text for text in (match["dd"], match["d"], match["p"], match["b"]) if text is not None).strip()
