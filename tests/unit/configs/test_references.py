"""The two forms of reference: a source with options, and an object of the user's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_r1.configs.references import load_object, read_source, split_object
from open_r1.errors import ConfigError


@given(
    st.text("abc/.:*", min_size=1),
    st.dictionaries(st.text("abcd_", min_size=1), st.text(st.characters(exclude_categories=["Cs"]), min_size=1)),
)
def test_a_source_gives_back_its_name_and_every_option(name: str, options: dict[str, str]) -> None:
    query = f"?{urlencode(options)}" if options else ""
    found = read_source(name + query)
    assert (found.name, found.options, found.written) == (name, options, name + query)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (
            "f.jsonl?q",
            r"set 'f.jsonl\?q' is not of the form NAME\?key=value&key=value; correct what follows the '\?'\.$",
        ),
        ("f.jsonl?a=1&b", "is not of the form"),
        ("f.jsonl?a=", r"set 'f.jsonl\?a=' gives a no value; write one after 'a='\."),
        ("f.jsonl?colum=a", "has an unknown option 'colum'; did you mean 'column'. Known: column, a, n"),
    ],
)
def test_options_that_cannot_be_read_are_refused(reference: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_source(reference, "set", ("column", "a", "n"))


def test_options_are_left_to_the_source_where_it_alone_knows_them() -> None:
    assert read_source("chain_sum?min_terms=3").options == {"min_terms": "3"}


@pytest.mark.parametrize("text", ["1", "5"])
def test_a_number_from_least_to_most_is_read(text: str) -> None:
    assert read_source(f"f?n={text}").whole_number("n", 3, least=1, most=5) == int(text)
    assert read_source("f").whole_number("n", 3, least=1, most=5) == 3


@pytest.mark.parametrize("text", ["0", "6", "-1", "1.0", "many", "²", "٣"])
def test_another_number_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=rf"set 'f\?n={text}' has n={text}, which is not a whole number from 1 to 5"):
        read_source(f"f?n={text}", "set").whole_number("n", 3, least=1, most=5)


@pytest.mark.parametrize("reference", ["name", "module:", ":name", "module:not a name", "module:a.b", ""])
def test_what_is_no_reference_to_an_object_is_refused(reference: str) -> None:
    with pytest.raises(ConfigError, match="is not of the form module:name; write it as my:Thing"):
        split_object(reference, "callback", "my:Thing")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(__import__("sys").path))
    return tmp_path


def load(reference: str) -> Any:
    return load_object(reference, "callback", "my:Thing")


def test_a_module_of_the_current_folder_is_found(folder: Path) -> None:
    (folder / "mine_here.py").write_text("VALUE = 3\n")
    assert load("mine_here:VALUE") == 3
    assert load("collections.abc:Mapping").__name__ == "Mapping"


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("other = 1", "othr", "callback 'mine_{n}:othr': mine_{n} has no 'othr'; did you mean 'other'"),
        ("import no_such_thing", "x", "mine_{n}.py:1 imports 'no_such_thing', which is not installed; install it"),
        ("def f(:", "x", "importing it fails at mine_{n}.py:1 with SyntaxError"),
        ("1 / 0", "x", "importing it fails at mine_{n}.py:1 with ZeroDivisionError: division by zero."),
    ],
)
def test_an_object_that_cannot_be_loaded_is_refused_with_the_cause(
    folder: Path, text: str, name: str, message: str, request: Any
) -> None:
    number = str(abs(hash(request.node.name)))
    (folder / f"mine_{number}.py").write_text(text)
    with pytest.raises(ConfigError, match=message.format(n=number)):
        load(f"mine_{number}:{name}")
