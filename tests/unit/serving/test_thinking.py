"""Thinking told from the answer, however the text is cut into pieces."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from open_r1.serving.thinking import Template, ThinkingSplitter, ends_in_thinking


def split(pieces: list[str], is_prefilled: bool) -> tuple[str, str]:
    splitter = ThinkingSplitter(is_prefilled)
    parts = [part for piece in pieces for part in splitter.feed(piece)] + splitter.finish()
    thinking = "".join(text for kind, text in parts if kind == "thinking")
    kinds = [kind for kind, _ in parts]
    assert kinds == sorted(kinds, key=["thinking", "answer"].index)
    return thinking, "".join(text for kind, text in parts if kind == "answer")


CASES = [
    ("<think>\n7+5=12\n</think>\n\n12", False, "7+5=12", "12"),
    ("7+5=12\n</think>\n\n12", True, "7+5=12", "12"),
    ("<think>\n7+5=12\n</think>\n12", True, "7+5=12", "12"),
    ("12", False, "", "12"),
    ("  12", False, "", "  12"),
    ("", False, "", ""),
    ("", True, "", ""),
    ("<think>", False, "", ""),
    ("<thin", False, "", "<thin"),
    ("<think>\ncut off </thi", False, "cut off </thi", ""),
    ("cut off", True, "cut off", ""),
    ("<think>\n\n</think>\n\nno thought", False, "", "no thought"),
    ("\n\n</think>\n\nno thought", True, "", "no thought"),
    ("<think>a < b </ c\n\n d</think>x </think> y <think>z", False, "a < b </ c\n\n d", "x </think> y <think>z"),
    ("x < 3 and <think>", False, "", "x < 3 and <think>"),
    ("<think>思考 🤔</think>答え", False, "思考 🤔", "答え"),
]


@pytest.mark.parametrize(("text", "is_prefilled", "thinking", "answer"), CASES)
def test_every_way_of_cutting_gives_the_same_parts(text: str, is_prefilled: bool, thinking: str, answer: str) -> None:
    for size in range(1, len(text) + 2):
        pieces = [text[start : start + size] for start in range(0, len(text), size)]
        assert split(pieces, is_prefilled) == (thinking, answer)


PIECES = st.lists(st.sampled_from(["<think>", "</think>", "<", "/", "think>", "\n", " ", "a", "</thi"]), max_size=12)


@settings(deadline=None)
@given(pieces=PIECES, is_prefilled=st.booleans())
def test_cutting_never_matters_and_nothing_but_tags_and_white_space_is_lost(
    pieces: list[str], is_prefilled: bool
) -> None:
    text = "".join(pieces)
    whole = split([text], is_prefilled)
    assert split(list(text), is_prefilled) == whole == split(pieces, is_prefilled)
    left = "".join("".join(whole).split())
    assert len(left) >= len("".join(text.replace("<think>", "").replace("</think>", "").split()))


def test_thinking_comes_out_before_it_ends() -> None:
    splitter = ThinkingSplitter(is_prefilled=False)
    assert splitter.feed("<think>\nfirst") == [("thinking", "first")]
    assert splitter.feed(" second") == [("thinking", " second")]


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
    assert Template(source).prefills_thinking(options) is expected


def test_a_models_template_is_found_in_either_file(tmp_path: Path, tiny_model: Path) -> None:
    assert "im_start" in Template.of_model(str(tiny_model)).source
    (tmp_path / "tokenizer_config.json").write_text('{"chat_template": [{"name": "default", "template": "<think>"}]}')
    assert Template.of_model(str(tmp_path)).prefills_thinking()
    (tmp_path / "tokenizer_config.json").write_text("{broken")
    assert Template.of_model(str(tmp_path)) == Template()
    assert Template.of_model("nobody/knows-this") == Template()
    assert ends_in_thinking("<think>", "{}")
