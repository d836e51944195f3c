"""Text from models, servers and data made safe to print: nothing in it acts on the terminal.

A control character becomes its picture (ESC is ␛), so that an escape sequence can be read but has no effect. A character
that reverses the direction of writing, or is invisible, becomes its number. Line feeds and tabs stay.
"""

from __future__ import annotations

import unicodedata

KEPT = "\n\t"
PICTURES = {code: chr(0x2400 + code) for code in range(0x20)} | {0x7F: "\u2421"}
JOINERS = "\u200c\u200d"
"""Invisible, but part of writing (emoji, Persian, Hindi) and without effect on a terminal."""


def as_printable(text: str) -> str:
    """The text without anything that a terminal would act upon."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(character if is_harmless(character) else picture(character) for character in text)


def as_line(text: str, limit: int = 300) -> str:
    """The beginning of the text in one printable line, for a message."""
    return as_printable(" ".join(text[: 4 * limit].split()))[:limit]


def is_harmless(character: str) -> bool:
    if character in KEPT or character in JOINERS:
        return True
    return unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp")


def picture(character: str) -> str:
    code = ord(character)
    return PICTURES.get(code) or f"<U+{code:04X}>"
