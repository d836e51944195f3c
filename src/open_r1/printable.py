"""Text of models, servers and data made safe for a terminal.

Control characters become their picture (ESC is ␛), so that an escape sequence can be read but has no effect. Characters
that reverse the direction of writing, or that nobody sees, become their number. Line feeds and tabs stay.
"""

from __future__ import annotations

import unicodedata

KEPT = "\n\t"
PICTURES = {code: chr(0x2400 + code) for code in range(0x20)} | {0x7F: "\u2421"}
JOINERS = "\u200c\u200d"
"""Invisible, but part of writing (emoji, Persian, Hindi) and without effect on a terminal."""


def as_printable(text: str) -> str:
    """The text with a picture or number in place of each character that a terminal would act upon."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(character if is_harmless(character) else picture(character) for character in text)


def as_line(text: str, limit: int = 300) -> str:
    """The beginning of the text in one printable line, for a message."""
    return as_printable(" ".join(text[: 4 * limit].split()))[:limit]


def is_harmless(character: str) -> bool:
    """Whether a terminal shows the character and does nothing else with it."""
    if character in KEPT or character in JOINERS:
        return True
    return unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp")


def picture(character: str) -> str:
    """What is shown for a character: its picture, else its number."""
    code = ord(character)
    return PICTURES.get(code) or f"<U+{code:04X}>"


def duration(seconds: float) -> str:
    """A duration in its two largest units."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 48 * 3600:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // (24 * 3600)} days {whole % (24 * 3600) // 3600} h"
