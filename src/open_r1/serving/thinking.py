"""Whether a model's chat template ends the prompt with an open `<think>`, seen by rendering it."""

from __future__ import annotations

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
    paths = (find_file(model, name) for name in TEMPLATE_FILES)
    return next((source for path in paths if path is not None and (source := read_template(path))), "")


def prefills_thinking(template: str, options: dict[str, Any] | None = None) -> bool:
    """Whether the prompt ends with an open `<think>`, given a request's `chat_template_kwargs`."""
    return bool(template) and ends_in_thinking(template, json.dumps(options or {}, sort_keys=True, default=str))


@functools.lru_cache(maxsize=64)
def ends_in_thinking(source: str, options: str) -> bool:
    """Whether the prompt that a template makes ends with an open `<think>`; not where rendering exceeds its limits.

    `options` are JSON, so that each is rendered once.
    """
    outcome = next(renderer().map([(source, options)]))
    return outcome.kind == "done" and outcome.value


@functools.lru_cache(maxsize=1)
def renderer() -> Pool:
    return Pool(renders_thinking, 1, RENDER_LIMITS)


def renders_thinking(job: tuple[str, str]) -> bool:
    """The same in a worker process, which keeps the limits."""
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
    """What `raise_exception` does in a template."""
    raise ValueError(message)


def find_file(model: str, name: str) -> Path | None:
    """A file of a model's folder, or of the Hub's cache; None where it is not there."""
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
