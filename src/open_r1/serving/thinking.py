"""Whether a model's chat template ends the prompt with an open `<think>`, seen by rendering it."""

from __future__ import annotations

import contextlib
import functools
import json
import re
from pathlib import Path
from typing import Any

from open_r1.processes.pool import Limits, Pool
from open_r1.text.tags import THINK_OPEN

GENERATION_MARKS = re.compile(r"{%-?\s*(end)?generation\s*-?%}")
"""transformers' own tags, which plain Jinja doesn't know; they print nothing."""

RENDER_LIMITS = Limits(wall_s=5.0, processor_s=2.0, memory_bytes=1 << 30)
"""What rendering may cost: a template comes with a model, and Jinja has loops, powers and paddings without an end."""

TEMPLATE_FILES = ("chat_template.jinja", "tokenizer_config.json")


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
    return bool(template) and _is_prefilled(template, json.dumps(options or {}, sort_keys=True, default=str))


@functools.lru_cache(maxsize=64)
def _is_prefilled(source: str, options: str) -> bool:
    outcome = next(_renderer().map([(source, options)]))
    return outcome.kind == "done" and outcome.value


@functools.lru_cache(maxsize=1)
def _renderer() -> Pool:
    return Pool(_renders_thinking, 1, RENDER_LIMITS)


def _renders_thinking(job: tuple[str, str]) -> bool:
    from jinja2 import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    source, options = job
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
    """ValueError with the message: a chat template's `raise_exception`."""
    raise ValueError(message)
