"""A model's chat template, rendered without the model's libraries: does it open the thinking, which turns it refuses."""

from __future__ import annotations

import contextlib
import functools
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from open_r1.errors import ModelError
from open_r1.processes.pool import Limits, Pool
from open_r1.text.tags import THINK_OPEN

GENERATION_MARKS = re.compile(r"{%-?\s*(end)?generation\s*-?%}")
"""transformers' own tags, which plain Jinja doesn't know; they print nothing."""

RENDER_LIMITS = Limits(wall_s=5.0, processor_s=2.0, memory_bytes=1 << 30)
"""What rendering may cost: a template comes with a model, and Jinja has loops, powers and paddings without an end."""

TEMPLATE_FILES = ("chat_template.jinja", "tokenizer_config.json")

Turns = tuple[str, ...]
"""The roles of a conversation's messages, in order."""


class Refused(ValueError):
    """What a template's own `raise_exception` says."""


def find_template(model: str) -> str:
    """The chat template of a folder, or of a Hub id that was downloaded before; empty where none could be found."""
    from huggingface_hub import try_to_load_from_cache

    folder = Path(model).expanduser()
    for name in TEMPLATE_FILES:
        with contextlib.suppress(OSError, ValueError, AttributeError):  # not there, not a Hub id, or damaged
            path = folder / name if folder.is_dir() else Path(str(try_to_load_from_cache(model, name)))
            text = path.read_text(encoding="utf-8")
            found = text if path.suffix == ".jinja" else json.loads(text).get("chat_template")
            if isinstance(found, list):
                found = {entry.get("name"): entry.get("template") for entry in found}.get("default")
            if isinstance(found, str) and found:
                return found
    return ""


def prefills_thinking(template: str, options: dict[str, Any] | None = None) -> bool:
    """Whether the prompt ends with an open `<think>`, given `chat_template_kwargs`; not where that takes too long."""
    if not template:
        return False
    prompt, _ = _render(template, ("user",), json.dumps(options or {}, sort_keys=True, default=str))
    return prompt.rstrip().endswith(THINK_OPEN)


def check_turns(model: str, wanted: Iterable[Turns]) -> dict[Turns, str]:
    """Of the turns to ask a model, those that its chat template refuses, each with the template's reason.

    Some templates refuse a system turn, or two user turns in a row. ModelError where it refuses all; a template that isn't
    on this machine, or fails in another way than by its own words, is taken to refuse none.
    """
    asked, template = list(dict.fromkeys(wanted)), find_template(model)
    reasons = {turns: _render(template, turns)[1] for turns in asked} if template else {}
    refused = {turns: reason for turns, reason in reasons.items() if reason}
    if asked and len(refused) == len(asked):
        turns, reason = next(iter(refused.items()))
        raise ModelError(
            f"the chat template of '{model}' refuses every prompt ({', then '.join(turns)}): {reason}; leave out "
            "system_prompt or the turns that it refuses, or choose another model."
        )
    return refused


@functools.lru_cache(maxsize=64)
def _render(source: str, turns: Turns, options: str = "{}") -> tuple[str, str]:
    outcome = next(_renderer().map([(source, turns, options)]))
    return outcome.value if outcome.kind == "done" else ("", "")


@functools.lru_cache(maxsize=1)
def _renderer() -> Pool:
    return Pool(_rendered, 1, RENDER_LIMITS)


def _rendered(job: tuple[str, Turns, str]) -> tuple[str, str]:
    """A prompt with "?" in each turn, and why the template refuses it; both are empty where it fails otherwise."""
    from jinja2 import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    source, turns, options = job
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = lambda value, **_: json.dumps(value, ensure_ascii=False)
    environment.globals |= {"raise_exception": refuse, "strftime_now": lambda form: form}
    messages = [{"role": role, "content": "?"} for role in turns]
    known = {"messages": messages, "add_generation_prompt": True}
    try:
        template = environment.from_string(GENERATION_MARKS.sub("", source))
        return template.render(**({"bos_token": "", "eos_token": ""} | json.loads(options) | known)), ""
    except Refused as error:
        return "", " ".join(str(error).split()).rstrip(".") or "it gives no reason"
    except (TemplateError, TypeError, ValueError):
        return "", ""


def refuse(message: str) -> str:
    """Refused with the message: a chat template's `raise_exception`."""
    raise Refused(message)
