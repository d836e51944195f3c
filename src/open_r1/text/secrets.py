"""Tokens, keys and passwords kept out of what gets passed on: settings on disk, dry runs, pages and logs."""

from __future__ import annotations

import re

HIDDEN = "<hidden>"

NAMES = r"(?:hub_token|hf_token|auth_token|access_token|api_key|password|secret)"
SETTING = re.compile(rf"(?im)^(\s*[\"']?\w*{NAMES}[\"']?\s*:\s*)(?!null\s*(?:#|$))\S.*$")
WORD = re.compile(rf"(?i)(\b[\w.]*{NAMES}=)[^\s:;,]+")
"""As a command line has it."""

TOKEN = re.compile(r"\b(?:hf_|sk-)[A-Za-z0-9_-]{16,}")
URL_PASSWORD = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://[^\s/:@\"']*:)[^\s/@\"']+(?=@)")


def hide_secrets(text: str) -> str:
    """The text with `<hidden>` in place of tokens, of passwords in URLs, and of settings that are named as secrets."""
    text = WORD.sub(rf"\1{HIDDEN}", SETTING.sub(rf"\1{HIDDEN}", text))
    return URL_PASSWORD.sub(rf"\1{HIDDEN}", TOKEN.sub(HIDDEN, text))
