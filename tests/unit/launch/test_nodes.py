"""What runs inside a job: the tasks of its nodes, vLLM on the last one, and how they end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest
from fake_slurm import FakeSlurm

from open_r1.errors import RunError
from open_r1.launch.job import Allocation, free_port, read_allocation, run_training_job
from open_r1.launch.node import status_of
from open_r1.launch.recipe import LaunchRecipe
from open_r1.launch.training import ServerShape, plan_launch
from open_r1.launch.vllm_node import serve_words, vllm_node


class Failed(Exception):
    """torch's error of a launch, as far as it is read."""

    def __init__(self, *statuses: int) -> None:
        self.failures = {rank: SimpleNamespace(exitcode=status) for rank, status in enumerate(statuses)}

    def get_first_failure(self) -> tuple[int, Any]:
        return 0, self.failures[0]


@pytest.mark.parametrize(
    ("statuses", "was_asked", "status"),
    [
        ((75,), False, 75),
        ((75, -signal.SIGTERM), True, 75),
        ((-signal.SIGTERM,), True, 75),
        ((-signal.SIGTERM,), False, 143),
        ((1, 75), True, 1),
        ((2,), False, 2),
        ((-signal.SIGKILL,), True, 137),
    ],
)
def test_a_launch_ends_with_the_status_of_its_training(
    statuses: tuple[int, ...], was_asked: bool, status: int
) -> None:
    assert status_of(Failed(*statuses), was_asked) == status


def test_the_status_of_a_single_process_is_passed_on_and_other_errors_are_not_hidden() -> None:
    assert status_of(subprocess.CalledProcessError(2, "train"), False) == 2
    assert status_of(KeyError("x"), False) is None


SIGNALLED = """
import signal, subprocess
from open_r1.launch.node import StopRequest

def status_after(number):
    try:
        stop(number, None)
    except SystemExit as ended:
        return ended.code

stop = StopRequest()
assert status_after(signal.SIGTERM) == 75 and stop.has_come
assert status_after(signal.SIGINT) == 130
words = ["bash", "-c", "trap 'exit 75' TERM; echo; while true; do sleep 0.05; done"]
with subprocess.Popen(words, stdout=subprocess.PIPE) as one:
    one.stdout.readline()
    assert status_after(signal.SIGTERM) is None
    assert one.wait(timeout=30) == 75
"""


def test_a_signal_reaches_the_processes_that_were_started_and_without_any_ends_this_one() -> None:
    # In a process of its own: this one has children of other tests.
    ran = subprocess.run([sys.executable, "-c", SIGNALLED], capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr


def test_an_allocation_is_read_from_slurms_variables(slurm: FakeSlurm) -> None:
    slurm.answer("scontrol", "n1\nn2\n")
    variables = {
        "SLURM_JOB_NODELIST": "n[1-2]",
        "SLURM_JOB_ID": "12",
        "SLURM_JOB_NAME": "x",
        "SLURM_GPUS_ON_NODE": "8",
    }
    assert read_allocation(variables) == Allocation("12", "x", ("n1", "n2"), 8)
    assert read_allocation(variables | {"SLURM_GPUS_ON_NODE": "gpu:4"}).gpus_per_node == 4
    with pytest.raises(RunError, match="not inside a Slurm job"):
        read_allocation({})


@pytest.fixture
def recipe(tmp_path: Path) -> LaunchRecipe:
    path = tmp_path / "recipe.yaml"
    path.write_text("model_name_or_path: teacher\nuse_cpu: true\n")
    return LaunchRecipe("grpo", path)


def run_job(
    recipe: LaunchRecipe, slurm: FakeSlurm, monkeypatch: Any, folder: Path, status: int, is_stopped: bool
) -> int:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    slurm.answer("scontrol", "   NodeAddr=10.0.0.1 NodeHostName=n1\n")
    slurm.answer("srun", status=status)
    if is_stopped:
        script = (slurm.folder / "srun").read_text().replace("exit ", 'touch "$OPEN_R1_STOPPED"\nexit ')
        (slurm.folder / "srun").write_text(script)
    launch = plan_launch(recipe, "ddp", nodes=2)
    return run_training_job(launch, Allocation("12", "train", ("n1", "n2"), 0), lambda line: None)


def test_a_job_starts_one_task_a_node_that_knows_its_rank_and_the_first_nodes_address(
    recipe: LaunchRecipe, slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert run_job(recipe, slurm, monkeypatch, tmp_path, 0, False) == 0
    (asked,) = [word for word in slurm.words() if word.startswith("srun")]
    assert "--nodes=2 --ntasks=2 --ntasks-per-node=1 --nodelist=n1,n2" in asked
    assert "--machine_rank $SLURM_PROCID --main_process_ip 10.0.0.1" in asked
    assert f"--log_dir {tmp_path}/logs/train-12/node-$SLURM_PROCID" in asked


def test_a_job_whose_training_can_go_on_is_requeued_and_one_that_failed_is_not(
    recipe: LaunchRecipe, slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert run_job(recipe, slurm, monkeypatch, tmp_path, 137, is_stopped=True) == 75
    assert "scontrol requeue 12" in slurm.words()
    slurm.asked.unlink()
    assert run_job(recipe, slurm, monkeypatch, tmp_path, 1, is_stopped=False) == 1
    assert not any("requeue" in word for word in slurm.words())


@contextmanager
def server_of(model: str) -> Iterator[str]:
    """The address of something that says it has a model."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"data": [{"id": model}]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def test_vllm_is_stopped_when_the_training_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Any] = []
    popen = subprocess.Popen
    monkeypatch.setattr(
        subprocess, "Popen", lambda *words, **more: started.append(popen(*words, **more)) or started[-1]
    )
    with server_of("teacher") as url, vllm_node(SLEEP, url, "teacher", tmp_path / "log"):
        assert started[0].poll() is None
    assert started[0].poll() is not None


def serve(words: list[str], url: str, model: str, folder: Path) -> None:
    with vllm_node(words, url, model, folder / "log"):
        pass


def test_a_server_of_another_model_is_refused(tmp_path: Path) -> None:
    with server_of("other") as url, pytest.raises(RunError, match="has the model other, but 'teacher' is trained"):
        serve(SLEEP, url, "teacher", tmp_path)


def test_a_server_that_ends_or_takes_too_long_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"http://127.0.0.1:{free_port('1')}"
    with pytest.raises(RunError, match="ended with status 3 before it answered; its messages are in"):
        serve([sys.executable, "-c", "raise SystemExit(3)"], url, "m", tmp_path)
    monkeypatch.setenv("OPEN_R1_START_LIMIT_S", "0.1")
    with pytest.raises(RunError, match=r"did not answer within 0.1 s; .*OPEN_R1_START_LIMIT_S sets another limit"):
        serve(SLEEP, url, "m", tmp_path)


def test_the_server_gets_what_the_recipe_says_of_it(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("model_name_or_path: m\nmodel_revision: main\nvllm_max_model_len: 4096\n")
    words = serve_words(LaunchRecipe("grpo", path), ServerShape(8, 1), 8000, {})
    text = " ".join(words[1:])
    assert text == (
        "-P -m trl.scripts.vllm_serve --model m --host 0.0.0.0 --port 8000 --tensor_parallel_size 1 "
        "--data_parallel_size 8 --revision main --max_model_len 4096"
    )
    assert serve_words(LaunchRecipe("grpo", path), ServerShape(), 8000, {"OPEN_R1_SERVE": "my serve"})[:3] == [
        "my",
        "serve",
        "m",
    ]
