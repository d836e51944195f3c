"""The chat: any server, history, commands, and words that would drive a terminal."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from open_r1.cli import chat
from open_r1.errors import ConfigError, RunError
from open_r1.printable import as_printable
from open_r1.serving.client import Answer, Conversation, PlainScreen, TerminalScreen, counts, find_model, last_lines

HOSTILE = [
    "\x1b[2J\x1b[H",  # clears the screen
    "\x1b]0;title\x07",
    "\x1b]8;;http://evil\x07click\x1b]8;;\x07",
    "\x1b]52;c;ZXZpbA==\x07",  # writes to the clipboard
    "\x1b[6n",  # has the terminal type an answer
    "\x9b31m",
    "\rfake prompt> ",
    "\x08\x08\x08",
    "\u202egnp.exe",
    "\u2066hidden\u2069",
    "\u2028line",
    "\x00\x7f\x85",
]


class Handler(BaseHTTPRequestHandler):
    """One scripted model: what it says depends on the question."""

    deltas: ClassVar[list[dict[str, Any]]] = []
    status = 200
    asked: ClassVar[list[dict[str, Any]]] = []
    ends = True

    def do_GET(self) -> None:
        self.reply(json.dumps({"data": [{"id": "fake"}]}).encode(), "application/json")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        type(self).asked.append(body | {"key": self.headers.get("Authorization")})
        if self.status != 200:
            self.reply(b'{"error": {"message": "no room"}}', "application/json")
            return
        chunks = [{"choices": [{"delta": delta}]} for delta in self.deltas]
        chunks += [{"choices": [{"delta": {}, "finish_reason": "stop"}]}] if self.ends else []
        chunks += [{"choices": [], "usage": {"completion_tokens": 7, "prompt_tokens": 3}}]
        self.reply(
            b"".join(b"data: " + json.dumps(c).encode() + b"\n\n" for c in chunks) + b"data: [DONE]\n\n",
            "text/event-stream",
        )

    def reply(self, content: bytes, kind: str) -> None:
        self.send_response(self.status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def model() -> Iterator[type[Handler]]:
    """A server whose answer a test can set; `.url` is its address."""

    class Scripted(Handler):
        asked: ClassVar[list[dict[str, Any]]] = []

    server = ThreadingHTTPServer(("127.0.0.1", 0), Scripted)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Scripted.url = f"http://127.0.0.1:{server.server_port}/v1"  # type: ignore[attr-defined]
    yield Scripted
    server.shutdown()
    server.server_close()


def start(model: Any, **options: Any) -> Conversation:
    return Conversation(model.url, "fake", **options)


def run_ask(conversation: Conversation, question: str = "?") -> Answer:
    answer = Answer()
    list(conversation.ask(question, answer))
    return answer


@pytest.mark.parametrize(
    "deltas",
    [
        [{"reasoning_content": "a"}, {"content": "b"}],
        [{"reasoning": "a"}, {"content": "b"}],
        [{"content": "<think>\na\n</th"}, {"content": "ink>\n\nb"}],
    ],
)
def test_thinking_is_known_in_every_form_that_servers_send(model: Any, deltas: list[dict[str, str]]) -> None:
    model.deltas = deltas
    answer = run_ask(start(model))
    assert (answer.thinking, answer.text, answer.tokens, answer.finish_reason) == ("a", "b", 7, "stop")


def test_history_holds_answers_without_their_thinking(model: Any) -> None:
    model.deltas = [{"reasoning_content": "a"}, {"content": "b"}]
    conversation = start(model, system="be brief", api_key="k")
    run_ask(conversation, "one")
    run_ask(conversation, "two")
    assert [(turn["role"], turn["content"]) for turn in model.asked[1]["messages"]] == [
        ("system", "be brief"), ("user", "one"), ("assistant", "b"), ("user", "two"),
    ]  # fmt: skip
    assert model.asked[1]["key"] == "Bearer k"


@pytest.mark.parametrize(("changes", "said"), [({"status": 400}, "no room"), ({"ends": False}, "before its end")])
def test_a_failed_question_leaves_the_history_as_it_was(model: Any, changes: dict[str, Any], said: str) -> None:
    for name, value in changes.items():
        setattr(model, name, value)
    conversation = start(model)
    with pytest.raises(RunError, match=said):
        run_ask(conversation)
    assert conversation.turns == []


def test_no_server_and_wrong_names_are_told(model: Any) -> None:
    with pytest.raises(ConfigError, match="open-r1 serve"):
        find_model("http://127.0.0.1:1/v1", "", None)
    with pytest.raises(ConfigError, match="did you mean 'fake'"):
        find_model(model.url, "", "fakes")
    assert find_model(model.url, "", None) == "fake"


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_that_a_terminal_obeys_passes(text: str) -> None:
    shown = as_printable(f"before{text}after\n\ttab")
    assert shown.startswith("before") and shown.endswith("after\n\ttab")
    assert all(character in "\n\t" or character.isprintable() for character in shown)


def test_ordinary_writing_passes_unchanged() -> None:
    for text in ("plain", "x² ≤ ∑ √2", "思考", "naïve", "👩\u200d🔬", "می\u200cخواهم", "\n\t"):
        assert as_printable(text) == text


@pytest.mark.parametrize("screen_of", [PlainScreen, TerminalScreen])
def test_no_screen_lets_an_escape_through(
    model: Any, capsys: pytest.CaptureFixture[str], screen_of: Callable[[bool], Any]
) -> None:
    model.deltas = [{"reasoning_content": f"[bold]{text}"} for text in HOSTILE]
    model.deltas += [{"content": f"[red]{text}"} for text in HOSTILE]
    chat.put(start(model), screen_of(True), "?")
    shown = capsys.readouterr().out
    assert "[red]" in shown and "[bold]" in shown  # markup is not obeyed either
    assert not {"\x1b", "\x07", "\x9b", "\r", "\x08", "\u202e", "\x00"} & set(shown)


def test_thinking_is_folded_and_the_counts_are_told(model: Any, capsys: pytest.CaptureFixture[str]) -> None:
    model.deltas = [{"reasoning_content": "some long thought"}, {"content": "42"}]
    chat.put(start(model), TerminalScreen(False), "?")
    shown = capsys.readouterr().out
    assert "some long thought" not in shown and "▸ thought for" in shown and "3 words" in shown
    assert "42" in shown and "7 tokens in" in shown and "3 in the prompt" in shown


def test_scripts_get_the_answer_alone(
    model: Any, open_r1: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model.deltas = [{"content": "<think>\nhm\n</think>\n\n42"}]
    monkeypatch.setattr("sys.stdin", io.StringIO("one\n\ntwo\n"))
    ran = open_r1("chat", model.url)
    assert (ran.status, ran.out) == (0, "42\n42\n")
    assert ran.err.count("7 tokens in") == 2


def test_bytes_that_are_no_text_are_asked_as_replacement_characters(
    model: Any, open_r1: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for errors in ("surrogateescape", "strict"):  # as Python opens stdin in the C locale and in others
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\xff\xfe caf\xc3\xa9\n"), "utf-8", errors))
        assert open_r1("chat", model.url, "--system", "\udcff").status == 0
        system, question = model.asked[-1]["messages"]
        assert (system["content"], question["content"]) == ("?", "\ufffd\ufffd café")


def test_an_error_in_a_script_has_its_status(
    model: Any, open_r1: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model.status = 400
    monkeypatch.setattr("sys.stdin", io.StringIO("one\n"))
    assert open_r1("chat", model.url, "--model", "fake").status == 1
    monkeypatch.setattr("sys.stdin", io.StringIO("one\n"))
    assert open_r1("chat", "./no-such-model").status == 2
    assert open_r1("chat", model.url, "--temperature", "7").status == 2


def test_commands_do_what_they_say(model: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model.deltas = [{"reasoning_content": "hm"}, {"content": "42"}]
    conversation = start(model)
    file = tmp_path / "chat.jsonl"
    lines = iter(
        [
            "/help", "/retry", "one", "/system be kind", "/temperature 0", "/temperature hot", "/retry", "/thinking",
            f"/save {file}", f"/save {file}", "/savee", "/reset", "/__init__", "/exit", "never asked",
        ]
    )  # fmt: skip
    chat.talk(conversation, PlainScreen(False), lambda _: next(lines))
    shown = capsys.readouterr().out
    assert "/reset" in shown and "nothing was asked yet" in shown and "exists; name another" in shown
    assert "did you mean 'save'" in shown and "is not a temperature" in shown and "\nhm\n" in shown
    assert len(model.asked) == 2 and model.asked[1]["temperature"] == 0
    assert model.asked[1]["messages"][0] == {"role": "system", "content": "be kind"}
    saved = json.loads(file.read_text())["messages"]
    assert [turn["role"] for turn in saved] == ["system", "user", "assistant"]
    assert conversation.turns == []


def test_an_error_or_an_interrupt_ends_the_answer_and_not_the_chat(
    model: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    model.status = 400
    lines = iter(["one", "two"])

    def read(_: str) -> str:
        try:
            return next(lines)
        except StopIteration:
            raise EOFError from None

    chat.talk(start(model), PlainScreen(False), read)
    assert capsys.readouterr().err.count("no room") == 2


@pytest.mark.parametrize(
    ("name", "expected"),
    [("http://x:1/v1", True), ("localhost:8000", True), ("runs/tiny", False), ("me/model", False), ("C:/x", False)],
)
def test_addresses_are_told_from_models(name: str, expected: bool) -> None:
    assert chat.is_address(name) is expected


def test_the_last_lines_fit_the_window() -> None:
    assert last_lines("a\nb\nc\nd", 2, 10) == "c\nd"
    assert last_lines("x" * 25, 2, 10) == "xxxxxxxxxx\nxxxxxxxxxx" or len(last_lines("x" * 25, 2, 10).split("\n")) == 2
    assert "cut off" in counts(Answer(finish_reason="length"))
