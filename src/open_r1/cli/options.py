"""The words of the command line: every option that more than one verb has, declared once.

One word has one meaning and one type in all verbs; a verb may say more exactly what it means there, and has its own
default. A dash and an underscore are the same in a word (`--output-dir`, `--output_dir`), and the `spellings` of the
original and its guide are accepted beside ours.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from importlib import import_module
from inspect import cleandoc
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from open_r1.cli.console import fail, tell
from open_r1.errors import nearest

Settings = TypeVar("Settings")

CHANGE = re.compile(r"[\w.]+=")
WORDS = "--args"
BACKENDS = ("server", "transformers", "vllm")


class Parser(argparse.ArgumentParser):
    """argparse with our words: dashes and underscores alike, no abbreviations, other spellings, errors in one line."""

    def __init__(self, *arguments: Any, fill: Callable[[Any], None] | None = None, **settings: Any) -> None:
        """`fill` adds the options when they are first needed, so that no verb waits for what another one imports."""
        super().__init__(*arguments, **{"allow_abbrev": False, **settings})
        self.fill = fill

    def complete(self) -> Parser:
        """The parser with all its options."""
        fill, self.fill = self.fill, None
        if fill is not None:
            fill(self)
        return self

    def format_help(self) -> str:
        """The help with all options, which are added first where no one has needed them."""
        self.complete()
        return super().format_help()

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """argparse's, for any spelling; a verb that does not take settings refuses what it does not know."""
        self.complete()
        words = in_our_words(sys.argv[1:] if args is None else args, self.declared())
        parsed, rest = super().parse_known_args(words, namespace)
        if rest and self._subparsers is None and not self.get_default("takes_settings"):
            hint = nearest(undashed(rest[0].partition("=")[0]), self.declared())
            self.error(f"unknown argument '{rest[0]}'{hint}")
        return parsed, rest

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            known = [str(choice) for choice in action.choices]
            name = (
                str(action.metavar or action.dest).lower() if not action.option_strings else action.option_strings[0]
            )
            self.error(f"unknown {name} '{value}'{nearest(str(value), known)} Known: {', '.join(known)}")

    def commands(self) -> dict[str, Parser]:
        """Every command at or below this parser, by its words, with all its options."""
        below = [action for action in self.complete()._actions if isinstance(action, argparse._SubParsersAction)]
        if not below:
            return {self.prog: self}
        parsers: list[Parser] = [parser for action in below for parser in action.choices.values()]
        return {name: command for parser in parsers for name, command in parser.commands().items()}

    def declared(self) -> dict[str, str]:
        """Each spelling of an option, with underscores -> the option as it is declared."""
        options = [action for action in self._actions if action.option_strings]
        others = {undashed(name): o.option_strings[0] for o in options for name in getattr(o, "spellings", ())}
        return others | {undashed(name): name for option in options for name in option.option_strings}

    def error(self, message: str) -> Any:
        """Leave with status 2 and one line that ends in the next thing to do."""
        end = "" if message.endswith(("?", ".")) else "."
        self.exit(fail(f"{message}{end} See {self.prog} --help.", 2))


def in_our_words(words: Sequence[str], declared: Mapping[str, str]) -> list[str]:
    """The words with each option as it is declared, whatever its spelling; what follows `--` stays as it is.

    `--set A=1 B=2 FILE` becomes `--set A=1 --set B=2 FILE`: changes may follow one flag, and nothing else does.
    """
    found: list[str] = []
    end = list(words).index("--") if "--" in words else len(words)
    for word in words[:end]:
        if found[-1:] == [WORDS]:  # whose value may begin with dashes: --args "--learning_rate=1e-5"
            found[-1] += f"={word}"
            continue
        if found[-2:-1] == ["--set"] and CHANGE.match(word):
            found.append("--set")
        name, equals, value = word.partition("=")
        found.append(declared.get(undashed(name), name) + equals + value if word.startswith("--") else word)
    return [*found, *words[end:]]


def undashed(option: str) -> str:
    """`--output-dir` -> `--output_dir`."""
    return f"--{option[2:].replace('-', '_')}" if option.startswith("--") else option


def add_verb(
    subparsers: Any, name: str, about: str | None, fill: Callable[[Any], None], run: Callable[..., int] | None = None
) -> None:
    """Add the parser of a verb, or of a verb's action.

    Args:
        about: The docstring of its module or function: what it does in a sentence, which the list of verbs shows too;
            what it does in full; "examples:" with command lines, and more text below them if need be.
        fill: Adds its options, when they are first needed.
        run: Carries it out; None for a verb with actions.
    """
    head, examples = [*re.split(r"^(?=examples?:)", cleandoc(about or name), maxsplit=1, flags=re.M | re.I), ""][:2]
    summary = head.partition("\n")[0]
    parser = subparsers.add_parser(
        name,
        help=escaped(summary[0].lower() + summary[1:].rstrip(".")),
        description=head.strip(),
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        fill=fill,
    )
    if run is not None:
        parser.set_defaults(run=run)


def add_modules(parser: Any, modules: Mapping[str, str], dest: str) -> None:
    """Add verbs, or a verb's actions, by the modules that have their docstring, `add_options` and `run`."""
    subparsers = parser.add_subparsers(dest=dest, metavar=dest.upper(), required=True)
    for name, module in modules.items():
        found = import_module(f"open_r1.cli.{module}")
        add_verb(subparsers, name, found.__doc__, found.add_options, getattr(found, "run", None))


def escaped(text: str) -> str:
    """Text for argparse, which formats help with `%`."""
    return text.replace("%", "%%")


@dataclass(frozen=True)
class Option:
    """One word of the vocabulary.

    Args:
        help: What it means in every verb that has it.
        spellings: Other words for it, of the original or the guide; accepted and not shown.
        settings: argparse's type, metavar, choices, action, nargs.
    """

    help: str
    spellings: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)


def option(help: str, *spellings: str, **settings: Any) -> Option:
    """A word of the vocabulary; its value is text where no type or action is given."""
    return Option(help, spellings, settings)


COUNT = {"type": int, "metavar": "N"}
SWITCH = {"action": "store_true"}

VOCABULARY: dict[str, Option] = {
    # what is asked for
    "config": option("a recipe (YAML) with the settings", metavar="FILE", type=Path),
    "set": option("change a setting; may be repeated", action="append", default=[], metavar="KEY=VALUE"),
    "dry-run": option("check everything, spend and write nothing", **SWITCH),
    "json": option("print the result as JSON", **SWITCH),
    # rows
    "dataset_config": option("configuration of a Hub data set", "--hf_dataset_config", metavar="NAME"),
    "split": option("split of a folder or Hub data set", "--dataset_split", "--hf_dataset_split", default="train"),
    "dataset_revision": option("branch, tag or commit of a Hub data set", metavar="NAME"),
    "streaming": option("read the rows as they are needed, keep no copy of them", **SWITCH),
    "columns": option("columns with the text", nargs="+", metavar="NAME"),
    "prompt_column": option("column with the problem", "--dataset_prompt_column", metavar="NAME"),
    "solution_column": option("column with the gold answer", "--dataset_solution_column", metavar="NAME"),
    "completion_column": option("column with the completion", metavar="NAME"),
    "id_column": option("column with the problem's id", "--uuid_column", metavar="NAME"),
    "max_problems": option("only the first N problems", **COUNT),
    "skip_unusable": option("leave out problems that can't be used instead of refusing them", **SWITCH),
    # results
    "output_dir": option("folder for the results", metavar="DIR", type=Path),
    "output": option("file for the results", "--output_file", metavar="FILE", type=Path),
    "overwrite": option("replace earlier results", **SWITCH),
    "repo_id": option("repository on the Hub", metavar="USER/NAME"),
    "revision": option("branch to push to", default="main", metavar="NAME"),
    "private": option("make the repository private when it is new", **SWITCH),
    # sampling
    "num_samples": option("samples a problem", "--num_generations", "--n", **COUNT),
    "temperature": option("temperature of the samples; 0 is greedy", type=float),
    "top_p": option("share of the probability that is sampled from", type=float),
    "max_new_tokens": option("most tokens of a completion", "--max_completion_length", "--max_tokens", **COUNT),
    "seed": option("seed of everything that is random", **COUNT),
    "system_prompt": option("system prompt before every problem", "--system", metavar="TEXT"),
    # the model and who runs it
    "model": option(
        "a model folder, a Hub id, or the model's name at the server", "--model_name_or_path", "--model_id"
    ),
    "backend": option("who answers", choices=BACKENDS),
    "server": option("addresses of servers that have the model", nargs="+", metavar="URL"),
    "api_key_env": option("environment variable with the server's key", default="OPENAI_API_KEY", metavar="NAME"),
    "concurrency": option("requests in flight at each server", "--max_concurrent", **COUNT),
    "timeout": option("seconds to wait for one reply", metavar="SECONDS", type=float),
    "patience": option("seconds without any answer until a server is given up", metavar="SECONDS", type=float),
    "wait_for_server": option("seconds to wait for a server to start", default=0.0, metavar="SECONDS", type=float),
    "batch_size": option("sequences at once in this process", **COUNT),
    "trust_remote_code": option("run the code that comes with a model on the Hub", **SWITCH),
    "max_model_len": option("most tokens of prompt and completion together (default: the model's own)", **COUNT),
    # rewards and the machine
    "rewards": option(
        "rewards by name, or module:function", "--reward_funcs", nargs="+", action="extend", metavar="NAME"
    ),
    "processes": option("worker processes (default: one a core; the results are the same)", **COUNT),
    "host": option("address to listen on", default="127.0.0.1"),
    "port": option("port to listen on; 0 takes a free one", **COUNT),
}
"""Every word that more than one verb has."""


def add(parser: Any, name: str, *spellings: str, **settings: Any) -> argparse.Action:
    """Add an option to a parser or to a group of one: a word of the vocabulary, or one that only this verb has.

    Args:
        spellings: Other spellings that this verb accepts beside the vocabulary's.
        settings: argparse's, in place of the vocabulary's: default, required, choices, and `help` where the verb can
            say more exactly what the word means there. A default is appended to the help text.
    """
    option = VOCABULARY.get(name) or Option(settings["help"])
    merged = {**option.settings, **settings}
    merged["help"] = help_text(settings.get("help", option.help), merged.get("default"))
    action = parser.add_argument(f"--{name}", **merged)
    action.spellings = (*option.spellings, *spellings)
    return action


def help_text(words: str, default: Any) -> str:
    """The help text, with the default where there is one to tell and the text does not yet."""
    is_empty = default is None or default is False or default in ("", argparse.SUPPRESS, [], (), {})
    return escaped(words if is_empty or "default" in words else f"{words} (default: {default})")


class Once(argparse.Action):
    """Stores a value that may be given in two places, and refuses two values."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        earlier = getattr(namespace, self.dest, None)
        if earlier not in (None, values):
            parser.error(f"{self.dest} is given twice, as '{earlier}' and '{values}'; keep one of them")
        setattr(namespace, self.dest, values)


def add_model(parser: Any, **settings: Any) -> None:
    """The model, as the first word or by --model."""
    parser.add_argument(
        "model", nargs="?", action=Once, default=argparse.SUPPRESS, metavar="MODEL", help="the same as --model"
    )
    add(parser, "model", action=Once, **settings)


def add_shard(parser: Any) -> None:
    """--shard, for the verbs that treat each row alone."""
    help = (
        "only this of several parts, counted from 0, into files of its own, which `open-r1 data merge` puts together"
    )
    add(parser, "shard", type=parse_shard, metavar="I/N", help=help)


def parse_shard(text: str) -> Any:
    """`3/16` as argparse reads it."""
    from open_r1.data.sharding import read_shard

    try:
        return read_shard(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


ROWS = "a file, a pattern in quotes, a folder, or a Hub id"


def add_rows(parser: Any, source: str = "source", help: str = ROWS) -> None:
    """A source of rows: SOURCE --dataset_config --split."""
    parser.add_argument(source, help=escaped(help))
    add(parser, "dataset_config")
    add(parser, "split")


def read_rows(arguments: argparse.Namespace, source: str | None = None) -> Any:
    """The rows that the options of `add_rows` name, or the shard of them that is asked for."""
    source = str(source or arguments.source)
    tell(f"reading {source}")
    from open_r1.data.sources import open_rows

    rows = open_rows(source, arguments.dataset_config, arguments.split)
    if shard := getattr(arguments, "shard", None):
        from open_r1.data.sharding import shard_rows

        return shard_rows(rows, shard)
    return rows


def add_reward_choice(parser: Any, rewards: str) -> None:
    """Which rewards, with which settings, for every action that scores rows."""
    from open_r1.data.trace_rewards import RewardChoice

    group = parser.add_argument_group("rewards")
    add_settings(group, RewardChoice, "rewards", "solution_column", rewards={"help": rewards})
    add(group, "set", help="a setting of the rewards; may be repeated")


def add_results(parser: Any, *names: str, **settings: Any) -> None:
    """What every verb that writes has: `names` of output or output_dir, then --overwrite --dry-run --json."""
    for name in names:
        add(parser, name, **settings)
    for name in ("overwrite", "dry-run", "json"):
        add(parser, name)


def add_server(parser: Any) -> None:
    """How a model's server is started, for the verbs that start one."""
    from open_r1.serving.backends import ServeOptions

    add_settings(parser, ServeOptions)
    help = "how long the model may take to load"
    add(parser, "startup_timeout", type=float, default=1200, metavar="SECONDS", help=help)
    add(parser, "verbose", action="store_true", help="show what the model's server says")


def add_settings(parser: Any, settings: type, *names: str, **changes: Any) -> None:
    """An option for each field of a dataclass of settings, with the field's type, default and help.

    Args:
        names: The fields; by default all that have a help text.
        changes: By field, argparse's settings in place of the field's, as `tokens={"spellings": ("--max_tokens",)}`.
    """
    hints = get_type_hints(settings)
    for one in fields(settings):
        if "help" not in one.metadata or (names and one.name not in names):
            continue
        default = one.default if one.default_factory is MISSING else one.default_factory()
        words = {**type_settings(hints[one.name]), "default": default, "help": one.metadata["help"]}
        words |= changes.get(one.name, {})
        spellings = words.pop("spellings", ())
        add(parser, one.metadata.get("flag") or one.name, *spellings, **({"dest": one.name} | words))


def read_settings(settings: type[Settings], arguments: argparse.Namespace, **more: Any) -> Settings:
    """The dataclass of settings that `add_settings` added the options of; `more` are fields without an option."""
    names = {one.name for one in fields(settings)}  # type: ignore[arg-type]
    given = {name: value for name, value in vars(arguments).items() if name in names}
    return settings(**{n: tuple(v) if isinstance(v, list) else v for n, v in given.items()} | more)


def type_settings(hint: Any) -> dict[str, Any]:
    """argparse's settings for a value of a type."""
    if get_origin(hint) in (UnionType, Union):
        (hint,) = (one for one in get_args(hint) if one is not type(None))
    if hint is bool:
        return {"action": "store_true"}
    if get_origin(hint) is Literal:
        return {"choices": get_args(hint)}
    if get_origin(hint) is tuple:
        return {"nargs": "+", "metavar": "NAME"}
    if get_origin(hint) is Mapping:
        return {"type": read_object, "metavar": "JSON"}
    return {"type": hint, "metavar": "N"} if hint is int else {} if hint is str else {"type": hint}


def read_object(text: str) -> dict[str, Any]:
    """A JSON object of the command line."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise argparse.ArgumentTypeError("not a JSON object; write it as '{\"top_k\": 20}'")
    return content
