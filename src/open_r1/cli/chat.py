"""Talk with a model in the terminal.

Talk with a model: a folder, a Hub id, or any OpenAI-compatible server.

examples:
  open-r1 chat runs/tiny/grpo
  open-r1 chat http://localhost:8000/v1 --model your-model-path --system "Answer in one line."
  echo "Compute 7+5-3" | open-r1 chat runs/tiny/grpo > answer.txt

A model folder or Hub id gets a server of its own for as long as the chat lasts. Without a terminal each line of the input
is a question, and the answers go to stdout. A server's key is read from OPENAI_API_KEY.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from open_r1.cli.console import show, table, tell
from open_r1.cli.options import add, add_server, read_settings
from open_r1.errors import OpenR1Error, RunError, nearest
from open_r1.rundir import write_jsonl

if TYPE_CHECKING:
    from open_r1.serving.client import Answer, Conversation, Screen


def add_options(parser: Any) -> None:
    """The options of `chat`."""
    parser.add_argument("model", help="a model folder or Hub id, or a server's address")
    add(parser, "model", dest="name", metavar="NAME", help="which model of the server (default: its only one)")
    add(parser, "system_prompt", default="", help="system prompt")
    add(parser, "temperature", default=0.6)
    add(parser, "top_p", default=0.95)
    add(parser, "max_new_tokens", help="most tokens of an answer (default: the model's context)")
    add(parser, "show_thinking", action="store_true", help="leave the thinking visible")
    add_server(parser)


def run(arguments: argparse.Namespace) -> int:
    """Talk in the terminal, or answer the lines of stdin as one conversation."""
    from open_r1.generation.replies import clean
    from open_r1.serving.client import ChatOptions, Conversation, PlainScreen, TerminalScreen, counts, find_model

    options = ChatOptions(arguments.temperature, arguments.top_p, arguments.max_new_tokens)
    if isinstance(sys.stdin, io.TextIOWrapper):  # Python fails at bytes that are no text
        sys.stdin.reconfigure(errors="replace")
    is_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    with _server_of(arguments) as (url, key):
        name = find_model(url, key, arguments.name)
        conversation = Conversation(url, name, options, key, clean(arguments.system_prompt))
        if is_terminal:
            tell(f"{name} at {url}; /help lists the commands")
            talk(conversation, TerminalScreen(arguments.show_thinking))
            return 0
        for question in filter(None, map(str.strip, sys.stdin)):  # of one conversation; counts go to stderr
            tell(counts(put(conversation, PlainScreen(arguments.show_thinking), question)))
    return 0


def is_address(model: str) -> bool:
    """Whether it names a server rather than a model: it has a scheme, or is host:port."""
    host, colon, port = model.partition(":")
    is_host_and_port = bool(colon) and port.partition("/")[0].isdigit() and "/" not in host
    return model.startswith(("http://", "https://")) or (is_host_and_port and not Path(model).exists())


@contextlib.contextmanager
def _server_of(arguments: argparse.Namespace) -> Iterator[tuple[str, str]]:
    from open_r1.net.addresses import parse_api_address

    if is_address(arguments.model):
        tell(f"asking {arguments.model}")
        yield parse_api_address(arguments.model).url, os.environ.get("OPENAI_API_KEY", "").strip()
        return
    from open_r1.serving.backends import ServeOptions, check_model, choose_backend
    from open_r1.serving.server import served_in_background

    options = read_settings(ServeOptions, arguments, host="127.0.0.1", port=0, extra=())
    backend = choose_backend(options)
    check_model(options.model)
    tell(f"starting {backend} with {options.model}")
    report = tell if arguments.verbose else None
    with served_in_background(options, backend, arguments.startup_timeout, report) as address:
        yield address


def put(conversation: Conversation, screen: Screen, question: str) -> Answer:
    """Ask a question and show the answer as it comes; returns the whole answer."""
    from open_r1.serving.client import Answer

    answer = Answer()
    screen.show(conversation.ask(question, answer), answer)
    return answer


def talk(conversation: Conversation, screen: Screen, read: Callable[[str], str] = input) -> None:
    """Read questions and commands until the user leaves, by /exit, Ctrl-D or Ctrl-C."""
    import readline  # noqa: F401 - gives `input` its history and its keys

    session = Session(conversation, screen)
    while session.goes_on:
        try:
            line = read("\n> ").strip()
        except (EOFError, KeyboardInterrupt):
            show()
            return
        if line.startswith("/"):
            session.command(line)
        elif line:
            session.question(line)


class Session:
    """What the commands of a chat act upon; `/help` shows their docstrings."""

    def __init__(self, conversation: Conversation, screen: Screen) -> None:
        self.conversation, self.screen = conversation, screen
        self.last_question = self.last_thinking = ""
        self.goes_on = True

    def question(self, question: str) -> None:
        """An error or Ctrl-C ends the answer, not the chat."""
        self.last_question = question
        try:
            self.last_thinking = put(self.conversation, self.screen, question).thinking
        except RunError as error:
            tell(f"\n{error}")
        except KeyboardInterrupt:
            tell("\nstopped; the question is forgotten")

    def command(self, line: str) -> None:
        """Do what a line such as `/save FILE` asks; an unknown command gets the nearest known one as a hint."""
        name, _, rest = line[1:].partition(" ")
        act = getattr(self, f"do_{name}", None) if name.isidentifier() else None
        if act is None:
            known = [entry.removeprefix("do_") for entry in dir(self) if entry.startswith("do_")]
            show(f"unknown command /{name}{nearest(name, known)} /help lists them.")
            return
        act(rest.strip())

    def do_help(self, _: str) -> None:
        """/help: list the commands"""
        acts = [act for name, act in vars(Session).items() if name.startswith("do_") and name != "do_quit"]
        show(table((act.__doc__ or "").split(": ", 1) for act in acts))
        show("Ctrl-D and Ctrl-C at the prompt leave the chat; Ctrl-C stops an answer.")

    def do_exit(self, _: str) -> None:
        """/exit: leave"""
        self.goes_on = False

    do_quit = do_exit

    def do_reset(self, _: str) -> None:
        """/reset: forget the conversation, not the system prompt"""
        self.conversation.turns.clear()
        show("the conversation is forgotten")

    def do_system(self, text: str) -> None:
        """/system TEXT: set the system prompt (without TEXT: show it); the conversation goes on"""
        if text:
            self.conversation.system = text
        show(f"system prompt: {self.conversation.system or '(none)'}")

    def do_thinking(self, _: str) -> None:
        """/thinking: show what the model thought last"""
        show(self.last_thinking or "(there was none)")

    def do_retry(self, _: str) -> None:
        """/retry: ask the last question again"""
        if not self.last_question:
            show("nothing was asked yet")
            return
        turns = self.conversation.turns
        if len(turns) >= 2 and turns[-2]["content"] == self.last_question:
            del turns[-2:]
        self.question(self.last_question)

    def do_temperature(self, text: str) -> None:
        """/temperature NUMBER: set the temperature of sampling; 0 is greedy"""
        try:
            self.conversation.options = replace(self.conversation.options, temperature=float(text))
            show(f"temperature {float(text):g}")
        except ValueError:  # ConfigError is one
            show(f"'{text}' is not a temperature; write a number from 0 to 2")

    def do_save(self, text: str) -> None:
        """/save FILE: write the conversation to a new file, as a JSON line in the form of training data"""
        path = Path(text).expanduser()
        if not text or path.exists():
            show(f"'{path}' exists; name another file" if text else "name a file: /save FILE")
            return
        try:
            write_jsonl(path, [{"messages": self.conversation.messages}])
            show(f"saved to {path}")
        except OpenR1Error as error:
            show(str(error))
