"""Tokens, keys and passwords kept out of what gets passed on: settings on disk, dry runs, pages and logs."""

from __future__ import annotations

import re

HIDDEN = "<hidden>"

SETTING = re.compile(
    r"(?im)^(\s*[\"']?\w*(?:hub_token|hf_token|auth_token|access_token|api_key|password|secret)[\"']?\s*:\s*)"
    r"(?!null\s*(?:#|$))\S.*$"
)
TOKEN = re.compile(r"\b(?:hf_|sk-)[A-Za-z0-9_-]{16,}")
URL_PASSWORD = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://[^\s/:@\"']*:)[^\s/@\"']+(?=@)")


def hide_secrets(text: str) -> str:
    """The text with `<hidden>` in place of tokens, of passwords in URLs, and of settings that are named as secrets."""
    text = SETTING.sub(rf"\1{HIDDEN}", text)
    return URL_PASSWORD.sub(rf"\1{HIDDEN}", TOKEN.sub(HIDDEN, text))
