"""Attacks: a result that isn't earned. Each runs in the sandbox and is judged as any submission is."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from attacks import ROOMY, Box, program_of
from processes import family
from searches import SECRET_PATTERN, search_memory, search_objects

from open_r1.execution.judge.judge import UNSCORED, Judge, Reason, Submission, SubmissionResult, Test
from open_r1.execution.judge.test_cases import read_verification
from open_r1.execution.programs import Limits, Program

STDIN_CASES = [{"input": "1 2\n", "output": "3\n4\n", "type": "stdin_stdout"}]
CALL_CASES = [{"fn_name": "add", "input": [20, 22], "output": [42], "type": "function_call"}]
CHECKER = {
    "language": "python",
    "source": """
import sys
given, said, right = (open(name).read().split() for name in sys.argv[1:])
sys.exit(0 if said == right else 1)
""",
}

PATCHES = """
import builtins, json, sys, os, io, atexit
class Always:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return 0
    def __str__(self): return "3"
    def __bytes__(self): return b"3"
    def __iter__(self): return iter([])
    def __len__(self): return 0
    def __contains__(self, item): return True
builtins.all = builtins.any = builtins.bool = lambda *things: True
builtins.print = lambda *things, **options: sys.__stdout__.write("PASS")
builtins.AssertionError = builtins.ValueError
json.loads = lambda *things, **options: Always()
sys.exit = exit = quit = lambda *things: os._exit(0)
sys.modules["json"] = sys.modules["unittest"] = type(sys)("forged")
"""

STDIN_FORGERIES = {
    "says_pass": "print('PASS'); print('ALL TESTS PASSED'); print('1.0'); print('score: 1')",
    "says_json_verdict": """print('{"passed": true, "score": 1.0, "results": [{"reason": "passed"}]}')""",
    "says_frame": "print('\\x1eresult 3'); print('\\x1eresult [3, 4]')",
    "exits_0": "import sys; sys.exit(0)",
    "exits_0_at_once": "import os; os._exit(0)",
    "exits_by_atexit": "import atexit, os; atexit.register(os._exit, 0); raise SystemExit(1)",
    "first_line_only": "print(3)",
    "first_line_and_more": "print(3); print(5)",
    "right_then_more": "print('3\\n4'); print('5')",
    "right_but_fails": "print('3\\n4'); raise SystemExit(3)",
    "right_but_raises": "print('3\\n4', flush=True); raise RuntimeError",
    "right_but_is_killed": "import os; print('3\\n4', flush=True); os.abort()",
    "right_on_stderr": "import sys; print('3\\n4', file=sys.stderr)",
    "right_but_at_exit_fails": "import atexit, os; print('3\\n4', flush=True); atexit.register(os._exit, 5)",
    "right_but_time_runs_out": "import time; print('3\\n4', flush=True); time.sleep(60)",
    "right_but_too_much": "print('3\\n4'); print('\\n' * (2 << 20))",
    "right_after_null": "print('\\x003\\n4')",
    "right_reversed": "print('4\\n3')",
    "numbers_like": "print('3.0000001\\n4')",
    "unicode_digits": "print('\\uff13\\n\\uff14')",
    "terminal_erases": "print('5\\b3\\n5\\b4')",
    "always_equal": f"{PATCHES}\nsys.__stdout__.write(str(Always()))",
    "patched_streams": f"{PATCHES}\nclass Out(io.StringIO):\n    def write(self, text): return Always()\nsys.stdout = Out()",
    "own_exit_status": """
class Status(int):
    def __and__(self, other): return 0
print('3\\n4', flush=True)
raise SystemExit(Status(1))
""",
    "replaces_exit": "import os\nprint('3\\n4')\nold = os._exit\nos._exit = lambda status: old(0)\nraise RuntimeError",
    "replaces_exit_by_crash": "import os\nprint('3\\n4', flush=True)\nos._exit = None\nraise RuntimeError",
    "patches_the_runner": """
import sys, gc
print('3\\n4', flush=True)
for thing in gc.get_objects():
    if callable(thing) and getattr(thing, '__name__', '') in ('_flush', '_run', '_show', '_status_of'):
        thing.__code__ = (lambda *things: 0).__code__
raise SystemExit(1)
""",
    "leaves_answers_for_the_checker": """
import os
for name in ('answer.txt', 'output.txt', 'input.txt', 'main.py', 'sitecustomize.py', 'sys.py', 'checker.py'):
    try: open(name, 'w').write('import os; os._exit(0)')
    except OSError: pass
""",
    "writes_everywhere": """
import os
for descriptor in range(3, 1024):
    for text in (b'{"exit_code": 0, "stdout": "3\\\\n4\\\\n"}', b'S0', b'E'):
        try: os.write(descriptor, text)
        except OSError: pass
print(5)
""",
}  # fmt: skip

LESSER = {
    "right_but_at_exit_fails",
    "own_exit_status",
    "replaces_exit",
    "replaces_exit_by_crash",
    "patches_the_runner",
}
"""The output is right, and the exit status is the program's own to choose: it may pass, and must not go unscored."""

CALL_FORGERIES = {
    "says_pass": "print('PASS')\ndef add(a, b): return 'PASS'",
    "always_equal": f"{PATCHES}\ndef add(a, b): return Always()",
    "always_equal_int": "class Always(int):\n    def __eq__(self, other): return True\ndef add(a, b): return Always(5)",
    "always_equal_str": "class Always(str):\n    def __eq__(self, other): return True\ndef add(a, b): return Always('x')",
    "always_equal_list": "class Always(list):\n    def __eq__(self, other): return True\ndef add(a, b): return Always([5])",
    "nan": "def add(a, b): return float('nan')",
    "infinity": "def add(a, b): return float('inf')",
    "nothing": "def add(a, b): pass",
    "truth": "def add(a, b): return True",
    "text": "def add(a, b): return '42 '",
    "all_answers": "def add(a, b): return list(range(100))",
    "all_answers_as_set": "def add(a, b): return set(range(100))",
    "generator": "def add(a, b):\n    yield 42",
    "is_its_own_result": "def add(a, b): return add",
    "leaves": "import os\nos._exit(0)",
    "leaves_by_exit": "raise SystemExit(0)",
    "leaves_when_called": "import sys\ndef add(a, b): sys.exit(0)",
    "nested": "def add(a, b):\n    x = []\n    for _ in range(100000): x = [x]\n    return x",
    "circular": "def add(a, b):\n    x = []\n    x.append(x)\n    return x",
    "huge_number": "def add(a, b): return 10 ** 100000",
    "surrogates": "def add(a, b): return '\\ud800'",
    "asks_the_frames": """
import sys
def add(a, b):
    frame, found = sys._getframe(), []
    while frame:
        found += [value for value in frame.f_locals.values() if isinstance(value, int) and value not in (a, b)]
        found += [value for value in frame.f_globals.values() if type(value) is int and value not in (a, b)]
        frame = frame.f_back
    return found[0] if found else None
""",
    "patches_the_harness": """
import sys
main = sys.modules['__main__']
for name in list(vars(main)):
    if callable(getattr(main, name)) and not name.startswith('__'): setattr(main, name, lambda *things, **options: True)
def add(a, b): return 0
""",
    "patches_json": "import json\njson.dumps = lambda *things, **options: 'true'\ndef add(a, b): return 0",
}  # fmt: skip

MARK = "\x1eresult "
FRAMES = [
    "", " ", "null", "true", "[", "{", "{}", "[]", "nan", "NaN", "Infinity", "-Infinity", "1e999", "1" * 5000, "[" * 100000,
    '{"$int": "42"}', '{"$int": 42}', '{"$int": {"$int": 42}}', '{"$tuple": 42}', '{"$set": 5}',
    '{"$set": [{"$set": [{"$dict": 1}]}]}', '{"$dict": [[1]]}', '{"$dict": [[[], 2]]}', '{"$dict": {"a": 1}}',
    '{"$tuple": {"$tuple": []}}', '"42"', "42.0000001", "[43]", '{"0": 42}', '{"$dict": [[0, 42], [0, 42]]}',
    '{"passed": true}', "\\ud800", '"\\ud800"', "42 42", "42}", "0x2a", "4_2", "４２", "[[42]]", "0042", "+42", "--42",
    '{"a": 1, "a": 42}', "\udcff", "42\n" + MARK + "43", MARK, '{"$int": null}', '{"$set": [[1, {"$int": []}]]}',
]  # fmt: skip


def judged(box: Box, source: str, info: dict[str, Any], language: str = "python") -> SubmissionResult:
    """The result of a submission, by fresh eyes: nothing of earlier ones is remembered."""
    verification = read_verification(info)
    assert verification is not None
    limits = ROOMY if "sleep(60)" not in source else Limits(wall_s=2, cpu_s=2)
    result = Judge(box.provider).judge([Submission(Program(source, language, limits=limits), verification.tests)])[0]
    box.expect_clean()
    return result


def assert_not_earned(result: SubmissionResult) -> None:
    assert result.passed is False, result
    assert not any(result.reason in UNSCORED for result in result.results), f"it would go unscored: {result}"


@pytest.mark.parametrize("name", STDIN_FORGERIES)
def test_output_is_not_forged(box: Box, name: str) -> None:
    result = judged(box, STDIN_FORGERIES[name], {"language": "python", "test_cases": STDIN_CASES})
    if name in LESSER:
        assert result.passed is not None, result
    else:
        assert_not_earned(result)


CHECKED = [
    "says_pass",
    "exits_0",
    "leaves_answers_for_the_checker",
    "right_but_fails",
    "writes_everywhere",
    "first_line_only",
]


@pytest.mark.parametrize("name", CHECKED)
def test_a_checker_is_not_fooled(box_a: Box, name: str) -> None:
    info = {"language": "python", "test_cases": STDIN_CASES, "checker": CHECKER}
    assert_not_earned(judged(box_a, STDIN_FORGERIES[name], info))


def test_what_is_right_passes(box: Box) -> None:
    source = "a, b = map(int, input().split())\nprint(a + b)\nprint(4)"
    assert judged(box, source, {"language": "python", "test_cases": STDIN_CASES}).passed
    info = {"language": "python", "test_cases": STDIN_CASES, "checker": CHECKER}
    assert box.tier == "B" or judged(box, source, info).passed


@pytest.mark.parametrize("name", CALL_FORGERIES)
def test_a_result_is_not_forged(box: Box, name: str) -> None:
    assert_not_earned(judged(box, CALL_FORGERIES[name], {"language": "python", "test_cases": CALL_CASES}))


@pytest.mark.parametrize("comparison", ["tokens", "exact"])
def test_a_frame_that_is_no_result_is_wrong(box_a: Box, comparison: str) -> None:
    """Written past the harness, straight to standard output: rubbish is wrong, not unscored."""
    expected: list[Any] = [[42], [{"a": [1, 2]}], ["text"], [[1, 2]]]
    for frame in FRAMES:
        written = ("\n" + MARK + frame + "\n").encode("utf-8", "surrogateescape")
        source = f"import os\nos.write(1, {written!r})\nos._exit(0)"
        cases = [CALL_CASES[0] | {"output": right} for right in expected]
        verification = read_verification({"language": "python", "test_cases": cases, "comparison": comparison})
        assert verification is not None
        submission = Submission(Program(source, limits=ROOMY), verification.tests)
        for result in Judge(box_a.provider).judge([submission])[0].results:
            assert result.reason not in UNSCORED | {Reason.PASSED}, (frame[:50], result)


def test_a_right_result_passes(box: Box) -> None:
    assert judged(box, "def add(a, b): return a + b", {"language": "python", "test_cases": CALL_CASES}).passed
    forged_right = f"import os\nos.write(1, b'\\n{MARK}42\\n')\nos._exit(0)"
    assert judged(box, forged_right, {"language": "python", "test_cases": CALL_CASES}).passed


def test_the_expected_output_is_nowhere_in_the_box(box: Box) -> None:
    """Neither while the submission runs nor after a checker had it."""
    secret = f"SECRET{os.urandom(16).hex()}"
    for search in (search_memory, search_objects):
        source = program_of(search, SECRET_PATTERN, False)
        checker = {"checker": CHECKER} if box.tier == "A" else {}
        cases = [{"input": "x", "output": secret, "type": "stdin_stdout"}] * 2
        info = json.dumps({"language": "python", "test_cases": cases, **checker})
        verification = read_verification(info)
        assert verification is not None
        judge = Judge(box.provider)
        judge.judge([Submission(Program("print(input())", limits=ROOMY), verification.tests)])
        ran = box.run(source)
        assert secret.encode() not in ran.stdout
        assert ran.stdout.startswith(b"blocked"), ran
        result = judge.judge([Submission(Program(source, limits=ROOMY), verification.tests)])[0]
        assert_not_earned(result)


SERVER_ATTACKS = {
    "kills_all": "import os, signal\ntry: os.kill(-1, 9)\nexcept OSError: pass\nos.kill(os.getpid(), 9)",
    "fails_like_the_sandbox": "import sys\nsys.stderr.write('EOSError: sandbox setup failed')\nsys.exit(127)",
    "stops_itself": "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)\nos._exit(7)",
    "closes_everything": "import os\nos.closerange(0, 4096)\nos._exit(7)",
    "eats_memory": "x = []\nwhile True: x.append(bytearray(1 << 24))",
    "recurses": "import sys\nsys.setrecursionlimit(1 << 30)\ndef f(): f()\nf()",
}


@pytest.mark.parametrize("name", SERVER_ATTACKS)
def test_failing_is_not_made_to_look_like_the_sandboxs_failure(box: Box, name: str) -> None:
    """An unscored sample costs nothing: what a program does to itself or its keeper must count against it."""
    test = Test(b"", b"never")
    limits = Limits(wall_s=3, cpu_s=2, memory_mb=256)
    before = {process.pid for process in family(os.getpid())}
    result = Judge(box.provider).judge([Submission(Program(SERVER_ATTACKS[name], limits=limits), [test])])[0]
    box.expect_clean()
    assert_not_earned(result)
    assert {process.pid for process in family(os.getpid())} <= before, "the server is another one now"
