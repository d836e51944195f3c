from __future__ import annotations

import builtins

import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_r1.errors import ConfigError
from open_r1.rewards.functions.repetition_penalty import ngrams, word_splitter


def test_words_are_lower_case_and_split_at_white_space():
    assert word_splitter("en")(" The  Cat\nsat ") == ["the", "cat", "sat"]


@given(st.lists(st.text()), st.integers(1, 6))
def test_there_are_as_many_ngrams_as_places_for_them(words, n):
    found = list(ngrams(words, n))
    assert len(found) == max(0, len(words) - n + 1)
    assert all(found[place] == tuple(words[place : place + n]) for place in range(len(found)))


def test_chinese_without_its_library_is_an_error_with_the_command(monkeypatch):
    real_import = builtins.__import__

    def refuse_jieba(name, *arguments, **keywords):
        if name == "jieba":
            raise ImportError(name)
        return real_import(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", refuse_jieba)
    with pytest.raises(ConfigError, match="pip install jieba"):
        word_splitter("zh")
