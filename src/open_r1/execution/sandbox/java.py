"""What a Java source calls its parts: the file that it must be in, and the class that has `main`.

Reads just enough of Java for that. A source that it misreads gets the compiler's own message.
"""

from __future__ import annotations

import re
from typing import NamedTuple

MAX_NAME_BYTES = 200
"""A file's name has at most 255 bytes; a class with a longer one can't be compiled anywhere."""

_NOT_CODE = re.compile(
    r"//[^\n]*|/\*.*?(?:\*/|\Z)|\"\"\".*?(?:(?<!\\)\"\"\"|\Z)|\"(?:[^\"\\\n]|\\.)*\"?|'(?:[^'\\\n]|\\.)*'?", re.DOTALL
)
_PACKAGE = re.compile(r"\bpackage\s+([\w.]+)\s*;")
_PART = re.compile(
    r"(?P<open>\{)|(?P<close>\})|(?P<public>\bpublic\s+)?(?:\b(?:abstract|final|sealed|strictfp)\s+)*"
    r"\b(?:class|record|enum|interface)\s+(?P<name>[A-Za-z_$][\w$]*)|(?P<main>\bstatic\s+(?:final\s+)?void\s+main\s*\()"
)


class JavaNames(NamedTuple):
    """The name of the source's file, without `.java`, and the main class with its package."""

    file: str
    main_class: str


def read_names(source: str) -> JavaNames:
    """The names in a source; `Main` where it has none, or none that a file can have."""
    code = _NOT_CODE.sub(" ", source)
    package = _PACKAGE.search(code)
    public, with_main, first = _find_classes(code)
    file = public or with_main or first or "Main"
    if len(file.encode("utf-8", "replace")) > MAX_NAME_BYTES:
        file = "Main"
    prefix = f"{package[1]}." if package else ""
    return JavaNames(file, prefix + (with_main or file))


def _find_classes(code: str) -> tuple[str, str, str]:
    """The top-level class that is public, the one around the first `main`, and the first of all; "" where there is none."""
    public, with_main, first, current = "", "", "", ""
    depth = 0
    for part in _PART.finditer(code):
        if part["name"] and depth == 0:
            current = part["name"]
            first = first or current
            public = current if part["public"] and not public else public
        elif part["open"]:
            depth += 1
        elif part["close"]:
            depth = max(0, depth - 1)
        elif part["main"] and not with_main:
            with_main = current
    return public, with_main, first
