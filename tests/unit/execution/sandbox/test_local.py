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
from open_r1.execution.sandbox.local import LocalProvider, user_of
from open_r1.execution.sandbox.toolchains import find_toolchain
from open_r1.execution.sandbox.worker import WorkerLost

pytestmark = pytest.mark.skipif(
    tiers.detect().tier != "A", reason=f"the sandbox's tier A isn't available here: {tiers.detect().obstacles}"
)

INTERPRETER_OF_5000_BYTES = 'asm(".section .interp,\\"a\\",@progbits\\n.zero 5000\\n");\nint main(void) { return 0; }'
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
    original = sandbox._run_compiler
    monkeypatch.setattr(sandbox, "_run_compiler", lambda *given: compiled.append(1) or original(*given))
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


def test_a_program_whose_worker_is_lost_runs_again_on_a_new_one():
    with LocalProvider(workers=1) as provider, ThreadPoolExecutor(1) as pool:
        assert provider.execute(python("print(1)")).succeeded
        only = provider._idle.queue[0].pid
        waiting = pool.submit(provider.execute, python("import time; time.sleep(4); print(1)"))
        while provider._idle.qsize():
            time.sleep(0.01)
        time.sleep(0.2)
        os.kill(only, signal.SIGKILL)
        lost = waiting.result(timeout=30)
        assert lost.stdout == b"1\n"
        assert [e.stdout for e in provider.run([python("print(1)")] * 6)] == [b"1\n"] * 6


def _children() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and _parent(name) == os.getpid()]


def _parent(pid: str) -> int:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return int(file.read().rpartition(")")[2].split()[1])
    except OSError:
        return 0


@pytest.mark.parametrize("workers", [1, 64, 5000])
def test_every_worker_becomes_a_user_that_nobody_else_is(workers):
    users = [user_of(number) for number in range(workers)]
    assert len(set(users)) == min(workers, 606)
    assert min(users) >= 60578 and max(users) < 61184


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


class LosingProvider(LocalProvider):
    """Loses the runs of programs that contain a word, and those of all others too where told so."""

    def __init__(self, loses_all: bool) -> None:
        super().__init__(workers=1)
        self.loses_all = loses_all

    def _run_file(self, program, toolchain, file):
        if self.loses_all or "hang" in program.source:
            raise WorkerLost("the sandbox server did not answer in time")
        return super()._run_file(program, toolchain, file)


@pytest.mark.parametrize("language", ["python", "c"])
def test_a_program_that_takes_its_sandbox_with_it_is_to_blame_for_it(language):
    source = {"python": "# hang", "c": "int main(void) { return 0; } // hang"}[language]
    with LosingProvider(loses_all=False) as provider:
        execution = provider.execute(Program(source, language))
        assert (execution.status, execution.exit_code) == (Status.FINISHED, -signal.SIGKILL)
        assert "lost twice" in execution.detail
    with LosingProvider(loses_all=True) as provider:
        assert provider.execute(Program(source, language)).reason == "sandbox_failed"


OWN_FAULTS = {
    "an interpreter's name of 5,000 bytes": ("c", INTERPRETER_OF_5000_BYTES, Status.FINISHED),
    "an executable of 140 MiB": ("c", "char x[140 << 20] = {1};\nint main(void) { return 0; }", Status.COMPILE_ERROR),
    "a class name of 300 letters": ("java", f"public class {'A' * 300} {{}}", Status.COMPILE_ERROR),
    "a library": ("rust", '#![crate_type="lib"]\npub fn f() {}', Status.FINISHED),
}


@pytest.mark.parametrize("fault", OWN_FAULTS)
def test_what_a_source_makes_of_itself_is_no_failure_of_the_sandbox(sandbox, fault):
    language, source, status = OWN_FAULTS[fault]
    if needs(language).args[0]:
        pytest.skip(f"no {language} here")
    execution = sandbox.execute(Program(source, language))
    assert execution.status is status
    assert not execution.succeeded


def test_standard_input_by_name_may_be_larger_than_the_box(sandbox):
    source = "print(len(open('/dev/stdin').read()), open('left', 'w').write('x' * 1000))"
    execution = sandbox.execute(python(source, stdin=b"x" * (5 << 20), limits=replace(LIMITS, disk_mb=1)))
    assert execution.stdout == f"{5 << 20} 1000\n".encode()


def test_files_given_to_a_program_take_no_room_of_its_own(sandbox):
    source = "print(open('left', 'w').write('x' * 900_000))"
    files = {"given": b"x" * (3 << 20)}
    assert sandbox.execute(python(source, files=files, limits=replace(LIMITS, disk_mb=1))).stdout == b"900000\n"


def test_integers_of_any_length_are_written(sandbox):
    assert sandbox.execute(python("print(10**5000)")).stdout == b"1" + b"0" * 5000 + b"\n"


@needs("cpp")
def test_threads_of_cpp_fit_the_memory_limit(sandbox):
    source = """#include <iostream>
#include <thread>
#include <vector>
int main() {
    std::vector<std::thread> threads;
    std::vector<std::vector<int>> made(8);
    for (int i = 0; i < 8; i++) threads.emplace_back([&, i] { made[i].assign(1000, i); });
    for (auto& thread : threads) thread.join();
    std::cout << made[7][999];
}"""
    assert sandbox.execute(Program(source, "cpp", limits=LIMITS)).stdout == b"7"


@needs("cpp")
@pytest.mark.parametrize(
    ("name", "is_compiled"), [("cpp", False), ("c++20", True), ("gnu++2a", True), ("cpp14", False)]
)
def test_a_standard_of_cpp_is_part_of_the_language_s_name(sandbox, name, is_compiled):
    source = (
        "#include <concepts>\ntemplate <std::integral T> T same(T x) { return x; }\nint main() { return same(0); }"
    )
    assert sandbox.execute(Program(source, name)).succeeded == is_compiled


GRADER = {"grader.cpp": b"#include <cstdio>\nint add(int, int);\nint main() { long sum = 0; int a, b;\n"
          b'while (scanf("%d %d", &a, &b) == 2) sum += add(a, b); printf("%ld", sum); }'}  # fmt: skip
ADD = "int add(int a, int b) { return a + b; }\n"


@needs("cpp")
@pytest.mark.parametrize("pairs", [0, 1, 100_000])
def test_a_grader_reads_all_of_standard_input(sandbox, pairs):
    execution = sandbox.execute(Program(ADD, "cpp", stdin=b"1 2\n" * pairs, sources=GRADER))
    assert execution.stdout == str(3 * pairs).encode()


@needs("cpp")
def test_a_program_can_t_take_its_grader_into_itself(sandbox):
    for peek in ('asm(".incbin \\"grader.cpp\\"");', '#include "grader.cpp"', 'asm(".incbin \\"1.o\\"");'):
        execution = sandbox.execute(Program(f"{peek}\n{ADD}", "cpp", stdin=b"1 2", sources=GRADER))
        assert execution.status is Status.COMPILE_ERROR
        assert b"such file" in execution.stderr or b"not found" in execution.stderr


@needs("cpp")
def test_standard_input_can_t_be_read_before_the_grader_and_put_back(sandbox):
    source = (
        "#include <cstdio>\n#include <unistd.h>\n__attribute__((constructor)) void early() { char c[99];\n"
        'printf("%d", (int)read(0, c, 99)); fflush(stdout); printf("%d", (int)lseek(0, 0, SEEK_SET));\n'
        'printf("%d", fopen("/dev/stdin", "r") != nullptr); }\n'
    )
    assert sandbox.execute(Program(source + ADD, "cpp", stdin=b"1 2", sources=GRADER)).stdout == b"3-100"


@needs("cpp")
def test_a_grader_that_does_not_compile_leaves_programs_unscored(sandbox):
    execution = sandbox.execute(Program(ADD, "cpp", sources={"grader.cpp": b"int main() {"}))
    assert (execution.status, execution.reason) == (Status.UNAVAILABLE, "bad_grader")
    assert sandbox.execute(Program("int no;", "cpp", sources=GRADER)).status is Status.COMPILE_ERROR


@needs("java")
@pytest.mark.parametrize(
    "source",
    [
        "package a.b; public class Foo { public static void main(String[] x) { System.out.print(1); } }",
        "// public class No\nclass Helper {} class Main2 { public static void main(String... x) { System.out.print(1); } }",
        'class A { String s = "public class B {"; public static void main(String[] x) { System.out.print(1); } }',
    ],
)
def test_a_java_program_needs_no_public_class_and_may_have_a_package(sandbox, source):
    assert sandbox.execute(Program(source, "java")).stdout == b"1"
