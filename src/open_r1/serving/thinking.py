"""Telling a model's thinking from its answer, word by word as they come.

Two kinds of models: those that write `<think>` themselves, and those whose chat template has written it for them at the end
of the prompt. Which one it is can be seen by rendering the template (`Template.prefills_thinking`). White space next to
the tags belongs to neither part. Thinking that never closes is thinking; a second `<think>` is part of the answer.
"""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from open_r1.text.tags import THINK_CLOSE, THINK_OPEN

Part = tuple[Literal["thinking", "answer"], str]

GENERATION_MARKS = re.compile(r"{%-?\s*(end)?generation\s*-?%}")
"""transformers' own tags, which plain Jinja doesn't know; they print nothing."""

TEMPLATE_FILES = ("chat_template.jinja", "tokenizer_config.json")


class ThinkingSplitter:
    """Takes a completion in pieces, gives it back in parts."""

    def __init__(self, is_prefilled: bool) -> None:
        self.held = ""
        self.state: Literal["start", "thinking", "after", "answer"] = "thinking" if is_prefilled else "start"
        self.may_repeat_tag = is_prefilled
        """Whether a `<think>` here would be the one that the prompt ended with, said again."""
        self.has_begun = False
        """Whether anything of the thinking was given out: white space before that is left out."""

    def feed(self, text: str) -> list[Part]:
        self.held += text
        parts: list[Part] = []
        before = None
        while before != (self.state, self.held):
            before = (self.state, self.held)
            parts += getattr(self, f"in_{self.state}")()
        return parts

    def in_start(self) -> list[Part]:
        """Nothing but white space yet: thinking begins here, or there is none."""
        text = self.held.lstrip()
        if text.startswith(THINK_OPEN):
            self.state, self.held = "thinking", text.removeprefix(THINK_OPEN)
        elif text and not THINK_OPEN.startswith(text):
            self.state = "answer"
        return []

    def in_thinking(self) -> list[Part]:
        if not self.has_begun:
            self.held = self.held.lstrip()
        if self.may_repeat_tag and self.held:
            if THINK_OPEN.startswith(self.held) and self.held != THINK_OPEN:
                return []
            self.may_repeat_tag = False
            self.held = self.held.removeprefix(THINK_OPEN).lstrip()
        thinking, closed, after = self.held.partition(THINK_CLOSE)
        if closed:
            self.state, self.held = "after", after
            return self.think(thinking.rstrip())
        ready = len(thinking.rstrip()) if not possible_tag(thinking) else len(without_tag(thinking).rstrip())
        self.held = thinking[ready:]
        return self.think(thinking[:ready])

    def think(self, text: str) -> list[Part]:
        self.has_begun = self.has_begun or bool(text)
        return [("thinking", text)] if text else []

    def in_after(self) -> list[Part]:
        self.held = self.held.lstrip()
        if self.held:
            self.state = "answer"
        return []

    def in_answer(self) -> list[Part]:
        text, self.held = self.held, ""
        return [("answer", text)] if text else []

    def finish(self) -> list[Part]:
        """What was held back, the completion being over."""
        text, self.held = self.held, ""
        if self.state == "thinking":
            return self.think(text.rstrip())
        return [("answer", text)] if text and self.state in ("start", "answer") else []


def possible_tag(text: str) -> int:
    """How many characters at the end may be the beginning of `</think>`."""
    return next((size for size in range(len(THINK_CLOSE) - 1, 0, -1) if text.endswith(THINK_CLOSE[:size])), 0)


def without_tag(text: str) -> str:
    return text[: len(text) - possible_tag(text)]


@dataclass(frozen=True)
class Template:
    """A chat template; empty where the model has none that could be found."""

    source: str = ""

    @classmethod
    def of_model(cls, model: str) -> Template:
        """That of a folder, or of a Hub id that was downloaded before."""
        for name in TEMPLATE_FILES:
            path = find_file(model, name)
            source = read_template(path) if path is not None else ""
            if source:
                return cls(source)
        return cls()

    def prefills_thinking(self, options: dict[str, Any] | None = None) -> bool:
        """Whether the prompt ends with an open `<think>`, given a request's `chat_template_kwargs`."""
        return ends_in_thinking(self.source, json.dumps(options or {}, sort_keys=True, default=str))


@functools.lru_cache(maxsize=64)
def ends_in_thinking(source: str, options: str) -> bool:
    from jinja2 import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    if not source:
        return False
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = lambda value, **_: json.dumps(value, ensure_ascii=False)
    environment.globals |= {"raise_exception": refuse, "strftime_now": lambda form: form}
    known = {"messages": [{"role": "user", "content": "?"}], "add_generation_prompt": True}
    try:
        template = environment.from_string(GENERATION_MARKS.sub("", source))
        prompt = template.render(**({"bos_token": "", "eos_token": ""} | json.loads(options) | known))
    except (TemplateError, TypeError, ValueError):
        return False
    return prompt.rstrip().endswith(THINK_OPEN)


def refuse(message: str) -> str:
    raise ValueError(message)


def find_file(model: str, name: str) -> Path | None:
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder / name if (folder / name).is_file() else None
    from huggingface_hub import try_to_load_from_cache

    try:
        found = try_to_load_from_cache(model, name)
    except ValueError:  # not the form of a Hub id
        return None
    return Path(found) if isinstance(found, str) else None


def read_template(path: Path) -> str:
    """The template in one of the files that may hold it; the default one where there are several."""
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".jinja":
            return text
        found = json.loads(text).get("chat_template")
    except (OSError, ValueError, AttributeError):
        return ""
    if isinstance(found, list):
        named = {entry.get("name"): entry.get("template") for entry in found if isinstance(entry, dict)}
        found = named.get("default")
    return found if isinstance(found, str) else ""
