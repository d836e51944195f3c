"""Whether a model's template opens the thinking."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from open_r1.generation.templates import find_template, prefills_thinking

PREFILLS = [
    ("{{ messages[0].content }}{% if add_generation_prompt %}<|a|><think>\n{% endif %}", {}, True),
    ("{{ messages[0].content }}{% if add_generation_prompt %}<|a|>{% endif %}", {}, False),
    (
        "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n{% else %}<think>{% endif %}",
        {},
        True,
    ),
    (
        "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n{% else %}<think>{% endif %}",
        {"enable_thinking": False},
        False,
    ),
    ("{%- generation %}x{%- endgeneration %}<think>", {}, True),
    ("{{ raise_exception('no') }}<think>", {}, False),
    ("{% broken", {}, False),
    ("{{ ''.__class__.__mro__ }}<think>", {}, False),
    ("", {}, False),
]


@pytest.mark.parametrize(("source", "options", "expected"), PREFILLS)
def test_a_template_that_opens_thinking_is_known(source: str, options: dict[str, bool], expected: bool) -> None:
    assert prefills_thinking(source, options) is expected


@pytest.mark.parametrize(
    "hostile",
    [
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}<think>",
        "{% set n = 10 ** (10 ** 9) %}<think>",
        "{{ 'x' * 10 ** 10 }}<think>",
        "{{ '%99999999999d' | format(1) }}<think>",
        "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}<think>",
    ],
)
def test_a_template_without_an_end_costs_a_bounded_time_and_the_next_is_rendered(hostile: str) -> None:
    started = time.monotonic()
    assert not prefills_thinking(hostile)
    assert time.monotonic() - started < 60  # of processor time 2 s, on a machine that others load
    assert prefills_thinking(f"{{# {len(hostile)} #}}<think>")


def test_a_models_template_is_found_in_either_file(tmp_path: Path, tiny_model: Path) -> None:
    assert "im_start" in find_template(str(tiny_model))
    (tmp_path / "tokenizer_config.json").write_text('{"chat_template": [{"name": "default", "template": "<think>"}]}')
    assert prefills_thinking(find_template(str(tmp_path)))
    (tmp_path / "tokenizer_config.json").write_text("{broken")
    assert find_template(str(tmp_path)) == ""
    assert find_template("nobody/knows-this") == ""
