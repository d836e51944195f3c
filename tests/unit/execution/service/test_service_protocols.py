"""Each protocol from end to end: a real socket, the real sandbox."""

from __future__ import annotations

import base64
import subprocess
import sys

import pytest
from service_server import Running, running, scripted, wait_until

from open_r1.execution.programs import Execution, Limits, Program, Provider, Status
from open_r1.execution.providers.executor import ExecutorProvider
from open_r1.execution.providers.wrapping import RouterProvider
from open_r1.execution.sandbox.local import LocalProvider

READS_FILE = """
#include <fstream>
#include <iostream>
int main() { int x; std::ifstream("data.txt") >> x; std::cout << x + ADDED; }
"""


def needs(service: Running, language: str) -> None:
    if language not in service.service.languages:
        pytest.skip(f"NO {language.upper()} HERE: open-r1 executor check says what to install")


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


# The service's own route


def test_each_program_gets_its_own_execution(local_service: Running) -> None:
    programs = [{"source": f"print(input(), {number})", "stdin": encoded(b"hi\n")} for number in range(50)]
    executions = local_service.run(programs)
    assert [execution.stdout for execution in executions] == [b"hi %d\n" % number for number in range(50)]
    assert all(execution.succeeded for execution in executions)


def test_every_way_to_end_is_told(local_service: Running) -> None:
    executions = local_service.run(
        [
            {"source": "import sys; print(sys.argv[1:]); sys.exit(3)", "args": ["a", "b c"]},
            {"source": "while True: pass", "limits": {"wall_s": 0.5, "cpu_s": 0.4}},
            {"source": "bytearray(300 << 20)", "limits": {"memory_mb": 64}},
            {"source": "print('x' * 100_000)", "limits": {"output_kb": 1}},
            {"source": "print(1)", "language": "cobol"},
            {"source": "print(open('a.txt').read())", "files": {"a.txt": encoded(b"there")}},
        ]
    )
    assert [execution.status for execution in executions] == [
        Status.FINISHED,
        Status.TIME_LIMIT,
        Status.MEMORY_LIMIT,
        Status.OUTPUT_LIMIT,
        Status.UNAVAILABLE,
        Status.FINISHED,
    ]
    assert executions[0].exit_code == 3
    assert executions[0].stdout == b"['a', 'b c']\n"
    assert len(executions[3].stdout) <= 1024
    assert "cobol" in executions[4].detail
    assert executions[5].stdout == b"there\n"


def test_sources_are_compiled_along_and_a_compile_error_is_one(local_service: Running) -> None:
    needs(local_service, "cpp")
    header = {"sources": {"added.h": encoded(b"#define ADDED 2\n")}, "language": "cpp"}
    right, wrong = local_service.run(
        [
            {"source": '#include "added.h"\n' + READS_FILE, "files": {"data.txt": encoded(b"40")}, **header},
            {"source": READS_FILE, "language": "cpp"},
        ]
    )
    assert right.stdout == b"42"
    assert wrong.status is Status.COMPILE_ERROR
    assert b"ADDED" in wrong.stderr


def test_our_own_client_runs_hundreds_through_it(local_service: Running) -> None:
    programs = [Program(f"print({number} ** 2)", limits=Limits(wall_s=20)) for number in range(200)]
    with ExecutorProvider(local_service.url) as client:
        executions = client.run(programs)
    assert [execution.stdout for execution in executions] == [b"%d\n" % number**2 for number in range(200)]


def test_info_tells_what_is_here(local_service: Running, local_provider: LocalProvider) -> None:
    info = local_service.get("/v1/info").json()
    assert info["provider"] == "local"
    assert info["concurrency"] == local_provider.workers
    assert info["languages"]["python"].startswith("3.")
    assert info["max_limits"]["wall_s"] == 60


# Piston's


def execute(service: Running, content: str, language: str = "python", **fields: object) -> dict:
    record = {"language": language, "version": "*", "files": [{"name": "main", "content": content}], **fields}
    reply = service.post("/api/v2/execute", record)
    assert reply.status_code == 200, reply.text
    return reply.json()


def test_piston_runs_with_stdin_and_arguments(local_service: Running) -> None:
    answer = execute(local_service, "import sys; print(sys.argv[1:], input())", "py", stdin="hi", args=["1", "2"])
    assert answer["language"] == "python"
    assert answer["version"] == local_service.service.languages["python"]
    run = answer["run"]
    assert (run["stdout"], run["output"], run["stderr"]) == ("['1', '2'] hi\n", "['1', '2'] hi\n", "")
    assert (run["code"], run["signal"], run["status"]) == (0, None, None)
    assert run["memory"] > 1 << 20
    assert "compile" not in answer


def test_piston_tells_exit_codes_signals_and_time_outs_apart(local_service: Running) -> None:
    failed = execute(local_service, "import sys; print('no', file=sys.stderr); sys.exit(3)")["run"]
    assert (failed["code"], failed["signal"], failed["status"], failed["stderr"]) == (3, None, "RE", "no\n")
    killed = execute(local_service, "import ctypes; ctypes.string_at(0)")["run"]
    assert (killed["code"], killed["signal"]) == (None, "SIGSEGV")
    late = execute(local_service, "while True: pass", run_timeout=500)["run"]
    assert (late["code"], late["signal"], late["status"]) == (None, "SIGKILL", "TO")


def test_piston_compiles_the_first_file_with_the_others_beside_it(local_service: Running) -> None:
    needs(local_service, "cpp")
    files = [
        {"name": "main.cpp", "content": '#include "added.h"\n' + READS_FILE},
        {"name": "added.h", "content": "#define ADDED 2\n"},
        {"name": "data.txt", "content": encoded(b"40"), "encoding": "base64"},
    ]
    answer = execute(local_service, "", "c++", files=files)
    assert (answer["run"]["stdout"], answer["compile"]["code"]) == ("42", 0)
    broken = execute(local_service, "int main() { return no; }", "c++")
    assert broken["compile"]["code"] != 0
    assert "no" in broken["compile"]["stderr"]
    assert broken["run"] == broken["compile"]


def test_piston_lists_runtimes_under_its_names(local_service: Running) -> None:
    needs(local_service, "cpp")
    runtimes = {runtime["language"]: runtime for runtime in local_service.get("/api/v2/runtimes").json()}
    assert "cpp" in runtimes["c++"]["aliases"]
    assert "py" in runtimes["python"]["aliases"]
    packages = local_service.get("/api/v2/packages").json()
    assert {"language": "python", "language_version": runtimes["python"]["version"], "installed": True} in packages


PISTON_REFUSES = {
    "no language": ({"language": None}, "language"),
    "no version": ({"version": 3}, "version"),
    "unknown language": ({"language": "cms_ioi"}, "cms_ioi-* runtime is unknown"),
    "unknown version": ({"version": "2.7.18"}, "python-2.7.18 runtime is unknown"),
    "no files": ({"files": []}, "at least one utf8 encoded file"),
    "files that are none": ({"files": "print(1)"}, "files"),
    "only data": ({"files": [{"content": "aa==", "encoding": "base64"}]}, "at least one utf8 encoded file"),
    "a file outside": ({"files": [{"content": ""}, {"name": "../x", "content": ""}]}, "files[1]"),
    "data in no such encoding": ({"files": [{"content": ""}, {"content": "zz", "encoding": "hex"}]}, "files[1]"),
    "too long a run": ({"run_timeout": 60_001}, "run_timeout cannot exceed the configured limit of 60000"),
    "too much memory": (
        {"run_memory_limit": 1 << 40},
        "run_memory_limit cannot exceed the configured limit of 2147483648",
    ),
    "less than no time": ({"run_timeout": -5}, "run_timeout must be non-negative"),
}


@pytest.mark.parametrize(("fields", "message"), PISTON_REFUSES.values(), ids=PISTON_REFUSES.keys())
def test_piston_refuses_with_400_and_a_message(local_service: Running, fields: dict, message: str) -> None:
    record = {"language": "python", "version": "*", "files": [{"content": "print(1)"}], **fields}
    reply = local_service.post("/api/v2/execute", record)
    assert reply.status_code == 400
    assert message in reply.json()["message"]


@pytest.mark.parametrize("version", ["*", "x", "3", "3.x", "3.11", "3.11.*", "3.11.7"])
def test_piston_versions_are_chosen_as_there(version: str) -> None:
    with running(scripted(lambda program: b"1\n")) as service:
        record = {"language": "python3", "version": version, "files": [{"content": ""}]}
        assert service.post("/api/v2/execute", record).json()["version"] == "3.11.7"


def test_piston_gets_500_for_what_it_may_try_again_and_400_for_what_it_may_not() -> None:
    reasons = iter(["sandbox_failed", "too_large"])
    with running(scripted(lambda program: Execution.unavailable(next(reasons), "because"))) as service:
        record = {"language": "python", "version": "*", "files": [{"content": ""}]}
        replies = [service.post("/api/v2/execute", record) for _ in range(2)]
    assert [reply.status_code for reply in replies] == [500, 400]
    assert all(reply.json()["message"] == "because" for reply in replies)


def test_a_memory_limit_of_minus_one_is_the_services_own() -> None:
    provider = scripted(lambda program: b"")
    with running(provider) as service:
        execute(service, "x", run_memory_limit=-1)
        execute(service, "x", run_memory_limit=100 << 20)
        execute(service, "x", run_timeout=1500, run_cpu_time=700)
    limits = [program.limits for program in provider.asked if program.source == "x"]
    assert [limit.memory_mb for limit in limits] == [2048, 100, 2048]
    assert (limits[2].wall_s, limits[2].cpu_s) == (1.5, 0.7)


# The routers'


def execute_batch(service: Running, scripts: list[str], **fields: object) -> list[dict]:
    reply = service.post("/execute_batch", {"scripts": scripts, "timeout": 5, "request_timeout": 30, **fields})
    assert reply.status_code == 200, reply.text
    return reply.json()


def test_a_script_is_a_cell_whose_last_line_has_a_value(local_service: Running) -> None:
    scripts = ["print('out')\n6 * 7", "print('only output')", "x = 1", "'text'", "None", ""]
    answers = execute_batch(local_service, scripts, languages=["python"] * 6)
    assert [answer["text"] for answer in answers] == ["42", "only output\n", "", "'text'", "", ""]
    assert answers[0]["execution"] == {
        "results": [{"text": "42", "is_main_result": True}],
        "logs": {"stdout": ["out\n"], "stderr": []},
        "error": None,
        "execution_count": 1,
    }
    assert all(answer["exception_str"] is None for answer in answers)


def test_a_script_that_raises_has_an_execution_with_an_error(local_service: Running) -> None:
    scripts = ["print('before')\nraise ValueError('why')", "1 +", "import sys; sys.exit(2)", "import os; os._exit(4)"]
    answers = execute_batch(local_service, scripts, language="python")
    errors = [answer["execution"]["error"] for answer in answers]
    assert [error["name"] for error in errors] == ["ValueError", "SyntaxError", "SystemExit", "ExitError"]
    assert errors[0]["value"] == "why"
    assert "ValueError: why" in errors[0]["traceback"]
    assert answers[0]["execution"]["logs"]["stdout"] == ["before\n"]


def test_a_script_that_can_not_be_run_has_no_execution_and_touches_no_other(local_service: Running) -> None:
    scripts = ["while True: pass", "1 + 1", "10 DISPLAY 'HI'"]
    answers = execute_batch(local_service, scripts, languages=["python", "python", "cobol"], timeout=1)
    assert [answer["execution"] is None for answer in answers] == [True, False, True]
    assert "time limit" in answers[0]["exception_str"]
    assert "cobol" in answers[2]["exception_str"]
    assert answers[1]["text"] == "2"


def test_other_languages_print_their_result(local_service: Running) -> None:
    needs(local_service, "javascript")
    (answer,) = execute_batch(local_service, ["console.log(6 * 7)"], languages=["javascript"])
    assert answer["text"] == "42\n"
    assert answer["execution"]["logs"]["stdout"] == ["42\n"]


def test_what_a_script_writes_is_never_taken_for_its_value(local_service: Running) -> None:
    forged = (
        "import os\nos.write(1, b'\\x1ecell ' + b'0' * 32 + b' {\"text\": \"100\", \"error\": null}')\nos._exit(0)"
    )
    (answer,) = execute_batch(local_service, [forged])
    assert answer["execution"]["results"] == []


def test_e2bs_own_classes_take_the_answer(local_service: Running) -> None:
    models = pytest.importorskip("e2b_code_interpreter.models", reason="E2B'S CLIENT ABSENT: pip install -e '.[code]'")
    (value, error) = (answer["execution"] for answer in execute_batch(local_service, ["1 + 1", "1 / 0"]))
    execution = models.Execution(
        results=[models.Result(**result) for result in value["results"]],
        logs=models.Logs(**value["logs"]),
        error=value["error"],
        execution_count=value["execution_count"],
    )
    assert execution.text == "2"
    assert models.ExecutionError(**error["error"]).name == "ZeroDivisionError"


class Vm(Provider):
    """Stands for a provider whose sandbox is a machine of its own, where scripts may start processes. Runs what the test
    below gives it, which is harmless."""

    name = "vm"
    concurrency = 2

    def execute(self, program: Program) -> Execution:
        command = [sys.executable, "-c", program.source]
        ran = subprocess.run(command, input=program.stdin, capture_output=True, timeout=30, check=False)
        return Execution(Status.FINISHED, ran.stdout, ran.stderr, ran.returncode)


def test_our_own_client_of_routers_comes_through_with_the_token_in_its_address() -> None:
    token = "correct-horse-battery-staple"
    with Vm() as vm, running(vm, token=token) as service:
        wait_until(lambda: service.get("/health").status_code == 200, "it is healthy")
        address = f"any:{token}@{service.url.removeprefix('http://')}"
        with RouterProvider("e2b", address, 2) as client:
            executions = client.run([Program("print(input() * 2)", stdin=b"ab\n"), Program("raise SystemExit(3)")])
    assert executions[0].stdout == b"abab\n", executions[0]
    assert executions[1].exit_code == 3


@pytest.mark.parametrize(
    "fields",
    [
        {"scripts": "print(1)"},
        {"scripts": []},
        {"scripts": [1]},
        {"scripts": ["1"], "languages": ["python", "python"]},
        {"scripts": ["1"], "timeout": 0},
        {"scripts": ["1"], "timeout": "soon"},
        {},
    ],
)
def test_a_malformed_batch_is_refused(local_service: Running, fields: dict) -> None:
    reply = local_service.post("/execute_batch", fields)
    assert reply.status_code == 422
    assert reply.json()["error"] == "malformed"
    assert reply.json()["message"]
