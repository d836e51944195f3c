"""`open-r1 executor serve` as a process: what it prints, what it refuses, how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from service_server import PATIENCE_S, read_answers, request_of, wait_until

from open_r1.execution.sandbox import tiers
from open_r1.execution.service.settings import read_token

TOKEN = "correct-horse-battery-staple"
COMMAND = [sys.executable, "-m", "open_r1.cli.main", "executor", "serve"]


@pytest.fixture(autouse=True)
def _needs_sandbox() -> None:
    if not tiers.detect().tier:
        pytest.skip(f"NO SANDBOX HERE: {tiers.detect().obstacles}")


def environment(**variables: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "OPEN_R1_EXECUTOR_TOKEN"} | variables


@contextmanager
def served(*words: str, **variables: str) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """The process, its address, and the line to try it by."""
    process = subprocess.Popen(
        [*COMMAND, "--port", "0", "--workers", "1", *words],
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout and process.stderr
        first = process.stdout.readline()
        assert first.startswith("serving on "), first + process.stderr.read()
        yield process, first.split()[-1], process.stdout.readline()
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE_S)


def test_it_prints_the_port_it_took_and_a_line_that_works() -> None:
    with served() as (_, address, line):
        assert re.fullmatch(r"http://127\.0\.0\.1:\d{4,5}", address)
        answer = subprocess.run(line, shell=True, capture_output=True, timeout=60, check=True).stdout
        (execution,) = read_answers(answer)
        assert execution.stdout == b"42\n"


def test_sigterm_finishes_what_runs_and_ends_with_0() -> None:
    with served() as (process, address, _):
        slow = "import time\nprint('began', flush=True)\ntime.sleep(1.5)\nprint('ended')"
        programs = [{"source": slow} for _ in range(6)]
        replies: list[httpx2.Response] = []
        request = {"json": {"programs": programs}, "timeout": 60}
        thread = threading.Thread(
            target=lambda: replies.append(httpx2.post(f"{address}/v1/executions", **request)), daemon=True
        )
        thread.start()
        wait_until(lambda: httpx2.get(f"{address}/health").json()["running"] > 0, "programs run")
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
        assert time.monotonic() - started < 12
        thread.join(PATIENCE_S)
        executions = read_answers(replies[0].content)
        ended = [execution for execution in executions if execution.stdout == b"began\nended\n"]
        told = [execution for execution in executions if execution.reason == "shutting_down"]
        assert ended and told and len(ended) + len(told) == 6
        with pytest.raises(httpx2.ConnectError):
            httpx2.get(f"{address}/health")


def test_a_second_sigterm_ends_it_at_once() -> None:
    with served() as (process, address, _):
        body = json.dumps({"programs": [{"source": "import time; time.sleep(50)", "limits": {"wall_s": 55}}]}).encode()
        port = int(address.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.sendall(request_of("/v1/executions", body))
            wait_until(lambda: httpx2.get(f"{address}/health").json()["running"] > 0, "it runs")
            process.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            assert process.poll() is None
            started = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_S) != 0
            assert time.monotonic() - started < 20


def test_the_address_and_the_token_come_by_file(tmp_path: Path) -> None:
    token_file, address_file = tmp_path / "token", tmp_path / "address"
    token_file.write_text(f"{TOKEN}\n")
    token_file.chmod(stat.S_IRUSR | stat.S_IWUSR)
    words = ["--host", "0.0.0.0", "--token-file", str(token_file), "--address-file", str(address_file)]
    with served(*words) as (_, address, line):
        assert address_file.read_text() == f"{address.removeprefix('http://')}\n"
        assert TOKEN not in line
        port = address.rpartition(":")[2]
        url = f"http://127.0.0.1:{port}/v1/info"
        assert httpx2.get(url).status_code == 401
        assert httpx2.get(url, headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_the_token_comes_by_the_environment() -> None:
    with served(OPEN_R1_EXECUTOR_TOKEN=TOKEN) as (_, address, line):
        assert httpx2.get(f"{address}/v1/info").status_code == 401
        assert "$OPEN_R1_EXECUTOR_TOKEN" in line
        answer = subprocess.run(
            line,
            shell=True,
            env=environment(OPEN_R1_EXECUTOR_TOKEN=TOKEN),
            capture_output=True,
            timeout=60,
            check=True,
        )
        assert read_answers(answer.stdout)[0].stdout == b"42\n"


def refused(*words: str, **variables: str) -> str:
    ran = subprocess.run(
        [*COMMAND, *words], env=environment(**variables), capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 2, ran.stderr
    assert ran.stdout == ""
    assert len(ran.stderr.strip().splitlines()) == 1
    return ran.stderr


def test_it_does_not_start_for_other_machines_without_a_token() -> None:
    message = refused("--host", "0.0.0.0")
    assert "OPEN_R1_EXECUTOR_TOKEN" in message
    assert "--token-file" in message


def test_it_does_not_start_where_it_can_not_listen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        message = refused("--port", port)
    assert f"port {port}" in message
    assert "--port" in message


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--port", "70000"), "65535"),
        (("--max-queue", "0"), "max_queue"),
        (("--max-request-mb", "-3"), "max_request_mb"),
        (("--workers", "0"), "--concurrency"),
        (("--provider", "locl"), "locl"),
        (("--packages", "no-such-package-anywhere"), "no-such-package-anywhere"),
        (("--token-file", "/nowhere/token"), "/nowhere/token"),
    ],
)
def test_what_can_not_be_served_is_said_in_a_line(words: tuple[str, ...], said: str) -> None:
    assert said in refused(*words)


def test_an_empty_token_file_is_no_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("\n")
    assert "is empty" in refused("--token-file", str(tmp_path / "token"))


def test_a_token_file_that_others_can_read_is_remarked(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    token_file = tmp_path / "token"
    token_file.write_text(TOKEN)
    for mode, remarks in ((0o644, 1), (0o600, 0)):
        caplog.clear()
        token_file.chmod(mode)
        assert read_token(token_file) == TOKEN
        assert len({line for line in caplog.messages if str(token_file) in line}) == remarks
