"""The shared options: any spelling, one meaning, errors in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from open_r1.cli.main import build_parser
from open_r1.cli.options import VOCABULARY, Parser, add, add_model, add_results, add_rows


def make_parser(**defaults: Any) -> Parser:
    parser = Parser(prog="open-r1")
    actions = parser.add_subparsers(dest="verb")
    verb = actions.add_parser("try")
    add_rows(verb)
    for name, default in {"num_samples": 4, "temperature": 0.6, "top_p": None, "max_new_tokens": None}.items():
        add(verb, name, default=default)
    add(verb, "rewards")
    add(verb, "set")
    add_results(verb, "output_dir", required=True)
    verb.set_defaults(**defaults)
    return parser


def parse(*words: str) -> Any:
    return make_parser().parse_args(["try", "rows.jsonl", "--output_dir", "out", *words])


@pytest.mark.parametrize(
    "word", ["--max_new_tokens", "--max-new-tokens", "--max-new_tokens", "--max-completion-length"]
)
def test_dashes_underscores_and_other_spellings_are_the_same_option(word: str) -> None:
    assert parse(word, "8").max_new_tokens == 8
    assert parse(f"{word}=8").max_new_tokens == 8


def test_only_the_option_is_respelled_not_its_value() -> None:
    assert parse("--set", "a-b=c-d", "--set=x-y=1").set == ["a-b=c-d", "x-y=1"]


def test_every_switch_is_found_under_either_spelling() -> None:
    parsed = parse("--dry_run", "--overwrite", "--json")
    assert (parsed.dry_run, parsed.overwrite, parsed.json) == (True, True, True)
    assert parse("--dry-run").dry_run


def test_defaults_are_the_verbs_own_and_shown_in_the_help() -> None:
    parsed = parse()
    assert (parsed.num_samples, parsed.temperature, parsed.top_p, parsed.split) == (4, 0.6, None, "train")
    assert (parsed.rewards, parsed.set, parsed.output_dir) == (None, [], Path("out"))
    help = make_parser()._subparsers._group_actions[0].choices["try"].format_help()  # type: ignore[union-attr]
    assert "(default: 4)" in help
    assert "(default: 0.6)" in help
    assert "--num_generations" not in help


def test_what_follows_two_dashes_stays_as_it_is() -> None:
    _, rest = make_parser(takes_settings=True).parse_known_args(
        ["try", "rows", "--output-dir", "x", "--", "--max-new-tokens", "8"]
    )
    assert rest[-2:] == ["--max-new-tokens", "8"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--max_new_token", "8"], "unknown argument '--max_new_token'; did you mean '--max_new_tokens'?"),
        (["--max-new-token=8"], "unknown argument '--max-new-token=8'; did you mean '--max_new_tokens'?"),
        (["--temp", "1"], "unknown argument '--temp'"),
        (["--num_samples", "many"], "argument --num_samples: invalid int value: 'many'."),
        (["--temperature"], "argument --temperature: expected one argument."),
    ],
)
def test_a_wrong_option_is_refused_in_one_line(words: list[str], message: str, capsys) -> None:
    with pytest.raises(SystemExit) as stop:
        parse(*words)
    said = capsys.readouterr().err
    assert stop.value.code == 2
    assert said.startswith(f"open-r1: {message}")
    assert said.endswith(" See open-r1 try --help.\n")
    assert said.count("\n") == 1


def test_a_verb_that_takes_settings_leaves_unknown_words_to_them() -> None:
    _, rest = make_parser(takes_settings=True).parse_known_args(["try", "rows", "--output_dir", "x", "--lr", "1"])
    assert rest == ["--lr", "1"]


def model_parser() -> Parser:
    parser = Parser(prog="open-r1")
    add_model(parser)
    return parser


@pytest.mark.parametrize("words", [["M"], ["--model", "M"], ["--model-name-or-path=M"], ["M", "--model", "M"]])
def test_the_model_is_the_first_word_or_a_flag(words: list[str]) -> None:
    assert model_parser().parse_args(words).model == "M"
    assert model_parser().parse_args([]).model is None


@pytest.mark.parametrize("words", [["M", "--model", "N"], ["--model", "N", "M"]])
def test_two_models_are_refused(words: list[str], capsys) -> None:
    with pytest.raises(SystemExit):
        model_parser().parse_args(words)
    assert "model is given twice, as" in capsys.readouterr().err


def test_an_option_of_one_verb_needs_no_place_in_the_vocabulary() -> None:
    parser = Parser()
    add(parser, "threshold", "--from", type=float, default=1.0, help="50 % and more")
    assert parser.parse_args(["--from", "0.5"]).threshold == 0.5
    assert "50 % and more (default: 1.0)" in parser.format_help()


def test_no_spelling_stands_for_two_words() -> None:
    spellings = [spelling for option in VOCABULARY.values() for spelling in option.spellings]
    assert len(set(spellings)) == len(spellings)
    assert not {f"--{name}" for name in VOCABULARY} & set(spellings)
    assert all(spelling == spelling.replace("-", "_").replace("__", "--", 1) for spelling in spellings)


def test_an_unknown_action_or_choice_is_told_the_nearest(capsys) -> None:
    for words, message in [
        (["data", "verfy"], "open-r1: unknown action 'verfy'; did you mean 'verify'? Known: generate, verify, "),
        (["eval", "M", "--backend", "vlm"], "open-r1: unknown --backend 'vlm'; did you mean 'vllm'? Known: "),
    ]:
        with pytest.raises(SystemExit) as stop:
            build_parser().parse_known_args(words)
        assert stop.value.code == 2
        assert capsys.readouterr().err.startswith(message)


def test_help_shows_a_percent_sign_as_one() -> None:
    assert [name for name, command in build_parser().commands().items() if "%%" in command.format_help()] == []
