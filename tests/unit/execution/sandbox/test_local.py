"""The local sandbox as its users see it: what programs may do, and what becomes of those that do too much."""

from __future__ import annotations

import os
import resource
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from open_r1.errors import ConfigError
from open_r1.execution.programs import Execution, Limits, Program, Status
from open_r1.execution.sandbox import tiers
from open_r1.execution.sandbox.local import LocalProvider
from open_r1.execution.sandbox.toolchains import find_toolchain

pytestmark = pytest.mark.skipif(
    tiers.detect().tier != "A", reason=f"the sandbox's tier A isn't available here: {tiers.detect().obstacles}"
)

LIMITS = Limits(wall_s=5.0, cpu_s=3.0, memory_mb=256, output_kb=64)


@pytest.fixture(scope="module")
def sandbox():
    with LocalProvider(workers=2) as provider:
        yield provider


def python(source: str, **fields) -> Program:
    return Program(source, **{"limits": LIMITS, **fields})


def needs(language: str):
    toolchain = find_toolchain(language)
    assert toolchain is not None
    return pytest.mark.skipif(bool(toolchain.missing()), reason=f"{language} needs {toolchain.missing()} here")


ECHO = {
    "python": "print(input()[::-1])",
    "cpp": "#include <bits/stdc++.h>\nusing namespace std;\n"
    "int main(){string s;cin>>s;reverse(s.begin(),s.end());cout<<s<<'\\n';}",
    "c": "#include <stdio.h>\n#include <string.h>\n"
    'int main(){char s[9];scanf("%8s",s);for(int i=strlen(s);i--;)putchar(s[i]);puts("");}',
    "javascript": "const s=require('fs').readFileSync('/dev/stdin','utf8').trim();console.log([...s].reverse().join(''))",
    "bash": "read s; echo $s | rev",
    "java": "public class Any { public static void main(String[] a){ System.out.println("
    "new StringBuilder(new java.util.Scanner(System.in).next()).reverse()); } }",
    "rust": "fn main(){let mut s=String::new();std::io::stdin().read_line(&mut s).unwrap();"
    'println!("{}",s.trim().chars().rev().collect::<String>());}',
}


@pytest.mark.parametrize("language", [pytest.param(name, marks=needs(name)) for name in ECHO])
def test_each_language_reads_and_writes(sandbox, language):
    execution = sandbox.execute(Program(ECHO[language], language, stdin=b"abc\n"))
    assert (execution.status, execution.exit_code, execution.stdout) == (Status.FINISHED, 0, b"cba\n"), execution


@pytest.mark.parametrize(
    ("source", "exit_code"),
    [("import sys; sys.exit(3)", 3), ("exit()", 0), ("raise SystemExit('words')", 1), ("1/0", 1), ("quit(7)", 7)],
)
def test_exit_statuses_are_those_of_python(sandbox, source, exit_code):
    execution = sandbox.execute(python(source))
    assert (execution.status, execution.exit_code) == (Status.FINISHED, exit_code)


def test_a_traceback_starts_at_the_programs_own_frame(sandbox):
    lines = sandbox.execute(python("def f():\n    1/0\nf()")).stderr.decode().splitlines()
    assert lines == [
        "Traceback (most recent call last):",
        '  File "main.py", line 3, in <module>',
        '  File "main.py", line 2, in f',
        "ZeroDivisionError: division by zero",
    ]


def test_arguments_files_and_main_are_as_for_a_script(sandbox):
    source = "import sys, helper\nif __name__ == '__main__': print(sys.argv, helper.x, open('input').read())"
    files = {"helper.py": b"x = 5", "input": b"text"}
    assert (
        sandbox.execute(python(source, args=("a", "b c"), files=files)).stdout == b"['main.py', 'a', 'b c'] 5 text\n"
    )


@needs("cpp")
def test_further_sources_are_compiled_along_and_gone_when_it_runs(sandbox):
    program = Program(
        '#include "grader.h"\n#include <fstream>\n#include <iostream>\n'
        'int answer(){return std::ifstream("grader.cpp").good() ? 1 : 42;}',
        "c++20",
        sources={
            "grader.h": b"int answer();",
            "grader.cpp": b'#include "grader.h"\n#include <cstdio>\nint main(){printf("%d\\n",answer());}',
        },
    )
    assert sandbox.execute(program).stdout == b"42\n"


@needs("cpp")
def test_signals_end_a_compiled_program_as_they_would_outside(sandbox):
    assert sandbox.execute(Program("#include <cstdlib>\nint main(){abort();}", "cpp")).exit_code == -signal.SIGABRT
    assert sandbox.execute(Program("int main(){return *(volatile int*)0;}", "cpp")).exit_code == -signal.SIGSEGV


@needs("cpp")
def test_a_program_is_compiled_once_for_all_its_runs(sandbox, monkeypatch):
    compiled = []
    original = sandbox._compile
    monkeypatch.setattr(sandbox, "_compile", lambda *given: compiled.append(1) or original(*given))
    source = f'#include <cstdio>\nint main(){{int x;scanf("%d",&x);printf("%d",x+1);}} // {time.time()}'
    executions = sandbox.run([Program(source, "cpp", stdin=str(n).encode()) for n in range(12)])
    assert [execution.stdout for execution in executions] == [str(n + 1).encode() for n in range(12)]
    assert len(compiled) == 1


@needs("cpp")
def test_what_does_not_compile_says_why(sandbox):
    execution = sandbox.execute(Program("int main(){ return nothing; }", "cpp"))
    assert execution.status is Status.COMPILE_ERROR
    assert b"nothing" in execution.stderr


IGNORE_SIGNALS = """
import signal
for number in range(1, 65):
    try: signal.signal(number, signal.SIG_IGN)
    except Exception: pass
while True: pass
"""


@pytest.mark.parametrize(
    ("source", "status"),
    [
        ("while True: pass", Status.TIME_LIMIT),
        ("import time; time.sleep(60)", Status.TIME_LIMIT),
        (IGNORE_SIGNALS, Status.TIME_LIMIT),
        ("while True: print('x' * 1000)", Status.OUTPUT_LIMIT),
        ("import sys\nwhile True: sys.stderr.write('x' * 1000)", Status.OUTPUT_LIMIT),
        ("x = bytearray(10**9)", Status.MEMORY_LIMIT),
        ("x = []\nwhile True: x.append(bytearray(1 << 20))", Status.MEMORY_LIMIT),
    ],
)
def test_too_much_is_ended_and_named(sandbox, source, status):
    execution = sandbox.execute(
        python(source, limits=replace(LIMITS, wall_s=5.0 if status is Status.MEMORY_LIMIT else 1.0))
    )
    assert execution.status is status, execution
    assert execution.wall_s < 6


def test_processor_time_counts_by_itself(sandbox):
    execution = sandbox.execute(python("while True: pass", limits=replace(LIMITS, wall_s=20.0, cpu_s=0.5)))
    assert execution.status is Status.TIME_LIMIT
    assert execution.wall_s < 10


def test_output_up_to_the_limit_is_whole(sandbox):
    execution = sandbox.execute(python(f"print('x' * {LIMITS.output_kb * 1024 - 1})"))
    assert (execution.status, len(execution.stdout)) == (Status.FINISHED, LIMITS.output_kb * 1024)


def test_each_job_finds_an_empty_folder(sandbox):
    look = python("import os; print(os.listdir('.'), os.stat('.').st_mode & 0o777)")
    for mischief in (
        "open('left', 'w').write('x')",
        "import os; os.chmod('.', 0o755)",
        "import os; os.mkdir('a'); os.rmdir('a')",
    ):
        for _ in range(3):
            assert sandbox.execute(python(mischief)).succeeded
        assert {sandbox.execute(look).stdout for _ in range(4)} == {b"[] 448\n"}


def test_the_disk_is_limited(sandbox):
    source = "f = open('big', 'wb')\nfor _ in range(100): f.write(bytes(1 << 20)); f.flush()"
    execution = sandbox.execute(python(source, limits=replace(LIMITS, disk_mb=4)))
    assert execution.exit_code == 1
    assert b"Error" in execution.stderr


def test_a_hundred_megabytes_of_input_pass_without_a_copy_in_the_sandbox(sandbox):
    big = b"x" * (100 << 20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    execution = sandbox.execute(
        python("import sys\nn = 0\nwhile b := sys.stdin.buffer.read(1 << 16): n += len(b)\nprint(n)", stdin=big)
    )
    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert execution.stdout == b"104857600\n"
    assert execution.memory_mb < 64
    assert grown_mb < 50


def test_installed_packages_are_hidden_unless_named():
    with LocalProvider(workers=1) as bare, LocalProvider(workers=1, packages=("numpy",)) as with_numpy:
        assert b"ModuleNotFoundError" in bare.execute(python("import numpy")).stderr
        execution = with_numpy.execute(python("import numpy, numpy.random; print(numpy.arange(4).sum())"))
        assert execution.stdout == b"6\n", execution
        assert b"ModuleNotFoundError" in with_numpy.execute(python("import yaml")).stderr


def test_a_package_that_is_not_installed_is_refused_before_anything_runs():
    with pytest.raises(ConfigError, match="'no-such-package' isn't installed"):
        LocalProvider(packages=("no-such-package",)).check()


@pytest.mark.parametrize(
    ("program", "reason", "words"),
    [
        (Program("x", "pyton"), "unsupported_language", "did you mean 'python'"),
        (python("x", files={"../x": b""}), "bad_request", "not a plain one"),
        (python("x", files={"a/b": b""}), "bad_request", "not a plain one"),
        (python("x", args=("a\0b",)), "bad_request", "null"),
        (python("x", files={f"f{n}": b"" for n in range(100)}), "too_large", "32 at most"),
        (python("x" * (17 << 20)), "too_large", "characters"),
        (python("x", limits=Limits(wall_s=float("nan"))), "bad_request", "above 0"),
        (python("x", limits=Limits(memory_mb=0)), "bad_request", "above 0"),
    ],
)
def test_what_can_not_be_run_is_unavailable_and_says_why(sandbox, program, reason, words):
    execution = sandbox.execute(program)
    assert (execution.status, execution.reason) == (Status.UNAVAILABLE, reason)
    assert words in execution.detail


def test_a_lost_worker_loses_the_job_in_flight_and_no_other():
    with LocalProvider(workers=1) as provider, ThreadPoolExecutor(1) as pool:
        assert provider.execute(python("print(1)")).succeeded
        only = provider._idle.queue[0].pid
        waiting = pool.submit(provider.execute, python("import time; time.sleep(4); print(1)"))
        while provider._idle.qsize():
            time.sleep(0.01)
        time.sleep(0.2)
        os.kill(only, signal.SIGKILL)
        lost = waiting.result(timeout=30)
        assert (lost.status, lost.reason) == (Status.UNAVAILABLE, "sandbox_failed")
        assert [e.stdout for e in provider.run([python("print(1)")] * 6)] == [b"1\n"] * 6


def _children() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and _parent(name) == os.getpid()]


def _parent(pid: str) -> int:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return int(file.read().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def test_closing_leaves_no_process_and_no_descriptor():
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    before = set(_children()), descriptors()
    with LocalProvider(workers=2) as provider:
        assert all(e.succeeded for e in provider.run([python("print(1)")] * 8))
        assert len(set(_children()) - before[0]) == 2
    assert (set(_children()), descriptors()) == before


def test_the_sandbox_can_be_used_again_after_closing():
    provider = LocalProvider(workers=1)
    for _ in range(2):
        assert provider.execute(python("print(1)")).stdout == b"1\n"
        provider.close()


def test_a_forked_child_gets_workers_of_its_own(sandbox):
    assert sandbox.execute(python("print(1)")).succeeded
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writing, sandbox.execute(python("print(2)")).stdout)
        sandbox.close()
        os._exit(0)
    os.waitpid(pid, 0)
    os.close(writing)
    assert os.read(reading, 99) == b"2\n"
    os.close(reading)
    assert sandbox.execute(python("print(3)")).stdout == b"3\n"


def test_many_threads_get_their_own_answers(sandbox):
    with ThreadPoolExecutor(16) as pool:
        answers = pool.map(
            lambda n: sandbox.execute(python("print(int(input()) * 2)", stdin=str(n).encode())), range(100)
        )
        assert [int(answer.stdout) for answer in answers] == [2 * n for n in range(100)]


def test_runs_of_a_program_are_alike(sandbox):
    program = python("import random; print(random.random(), {str(n) for n in range(20)}, hash('x'))")
    assert len({execution.stdout for execution in sandbox.run([program] * 8)}) == 1


def test_an_execution_that_is_unavailable_never_succeeded():
    assert not Execution.unavailable("x").succeeded
