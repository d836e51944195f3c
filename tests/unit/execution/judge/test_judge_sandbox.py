"""The judge on this machine's sandbox, with programs that are right, wrong, slow, and dishonest."""

from __future__ import annotations

import random
import resource
from dataclasses import replace

import pytest

from open_r1.execution.judge.function_call import encode_expected
from open_r1.execution.judge.judge import Judge, Submission, SubmissionResult, Test
from open_r1.execution.judge.test_cases import read_verification
from open_r1.execution.programs import Limits, Program
from open_r1.execution.sandbox.local import LocalProvider

LIMITS = Limits()
SHORT = Limits(wall_s=1.0, cpu_s=1.0)


def calls(*cases: tuple[object, object], function: str = "f", **more: object) -> tuple[Test, ...]:
    """Tests that call `f`, each of arguments and result."""
    written = [
        {"fn_name": function, "input": given, "output": right, "type": "function_call"} for given, right in cases
    ]
    verification = read_verification({"language": "python", "test_cases": written, **more})
    assert verification is not None
    return verification.tests


def judge(provider: LocalProvider, source: str, *tests: Test, limits: Limits = LIMITS) -> SubmissionResult:
    return Judge(provider).judge([Submission(Program(source, limits=limits), tests)])[0]


RIGHT = {
    "function": "def f(a, b):\n    return a + b",
    "method": "class Solution:\n    def f(self, a, b):\n        return a + b",
    "method_of_another_class": "class Adder:\n    def f(self, a, b):\n        return a + b",
    "lambda": "f = lambda a, b: a + b",
    "prints": "print('loading' * 10**6)\ndef f(a, b):\n    print('adding')\n    return a + b",
    "prints_bytes": "import sys\ndef f(a, b):\n    sys.stdout.buffer.write(b'adding')\n    return a + b",
    "prints_no_text": "def f(a, b):\n    print('\\ud800', flush=True)\n    return a + b",
    "prints_to_stderr": "import sys\ndef f(a, b):\n    print('adding', file=sys.stderr)\n    return a + b",
    "as_float": "def f(a, b):\n    return float(a + b)",
    "takes_a_list": "def f(numbers):\n    return sum(numbers)",
    "annotated": "def f(a: Optional[int], b: List[int]) -> Dict[str, int]:\n    return a + b",
    "leetcode_names": "class Solution:\n    def f(self, a, b):\n        return reduce(lambda x, y: x + y, deque([a, b]))",
    "main_guard": "def f(a, b):\n    return a + b\nif __name__ == '__main__':\n    print(f(int(input()), int(input())))",
    "reads_input_when_loaded": "import sys\nx = sys.stdin.read()\ndef f(a, b):\n    return a + b",
    "dataclass": "import dataclasses\n@dataclasses.dataclass\nclass P:\n    x: int\ndef f(a, b): return P(a).x + P(b).x",
    "lingering_thread": "import time\nfrom threading import Thread\nThread(target=time.sleep, args=(60,)).start()\n"
    "def f(a, b): return a + b",
    "guessed_first": "import os\ndef f(a, b):\n    os.write(1, b'\\n\\x1eresult 99\\n')\n    return a + b",
    "lambda_with_default": "f = lambda a, b=0: a + b",
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_function_may_be_written_in_many_ways(local: LocalProvider, name: str) -> None:
    judged = judge(local, RIGHT[name], *calls(([1, 2], [3]), ("[10, 20]", "30")))
    assert judged.passed, judged


WRONG = {
    "wrong": ("def f(a, b): return 0", "wrong_answer"),
    "nothing": ("def f(a, b): pass", "wrong_answer"),
    "no_function": ("def g(a, b): return a + b", "runtime_error"),
    "no_such_arity": ("def f(): return 3", "runtime_error"),
    "syntax": ("def f(a, b) return a + b", "runtime_error"),
    "empty": ("# thinking", "runtime_error"),
    "raises": ("def f(a, b): raise KeyError(3)", "runtime_error"),
    "unserialisable": ("def f(a, b): return object()", "runtime_error"),
    "generator": ("def f(a, b): yield a + b", "runtime_error"),
    "recursion": ("def f(a, b): return f(b, a)", "runtime_error"),
    "cyclic": ("def f(a, b):\n    x = []\n    x.append(x)\n    return x", "runtime_error"),
    "as_text": ("def f(a, b): return str(a + b)", "wrong_answer"),
    "exit_0": ("import sys\ndef f(a, b): sys.exit(0)", "runtime_error"),
    "leaves": ("import os\nos._exit(0)", "wrong_answer"),
    "leaves_with_a_guess": ("import os\nos.write(1, b'\\n\\x1eresult 99\\n')\nos._exit(0)", "wrong_answer"),
    "says_passed": ("import os\nos.write(1, b'PASSED 1.0\\n')\nos._exit(0)", "wrong_answer"),
    "half_a_frame": ("import os\nos.write(1, b'\\n\\x1eresult 3')\nos._exit(0)", "wrong_answer"),
    "rubbish_frame": ("import os\nos.write(1, b'\\n\\x1eresult {\\n')\nos._exit(0)", "wrong_answer"),
    "right_then_failed": ("import os\nos.write(1, b'\\n\\x1eresult 3\\n')\nos._exit(1)", "runtime_error"),
    "all_equal": (
        "class All:\n    __eq__ = lambda self, other: True\n    __hash__ = None\ndef f(a, b): return All()",
        "runtime_error",
    ),
    "equal_number": (
        "class All(int):\n    __eq__ = lambda a, b: True\n    __repr__ = lambda a: '3'\ndef f(a, b): return All(7)",
        "wrong_answer",
    ),
    "equal_text": (
        "class All(str):\n    __eq__ = lambda self, other: True\n    __hash__ = str.__hash__\ndef f(a, b): return All('')",
        "wrong_answer",
    ),
    "patched_json": (
        "import json\njson.dumps = lambda *a, **k: '[3, 30, true]'\ndef f(a, b): return 0",
        "wrong_answer",
    ),
    "patched_harness": (
        "import __main__\n__main__.encode = lambda *a: True\n__main__.result_difference = None\ndef f(a, b): return 0",
        "wrong_answer",
    ),
    "at_exit": ("import atexit\natexit.register(print, '\\x1eresult 3')\ndef f(a, b): return 0", "wrong_answer"),
    "closed_output": ("import os\nos.close(1)\ndef f(a, b): return a + b", "runtime_error"),
    "sleeps": ("import time\ndef f(a, b): time.sleep(60)", "time_limit"),
    "spins": (
        "def f(a, b):\n    while True:\n        try:\n            while True: pass\n        except BaseException: pass",
        "time_limit",
    ),
    "floods": ("import os\ndef f(a, b):\n    while True: os.write(1, b'x' * 65536)", "output_limit"),
    "returns_too_much": ("def f(a, b): return 'x' * (3 << 20)", "output_limit"),
    "takes_memory": ("def f(a, b):\n    x = []\n    while True: x.append(bytearray(1 << 20))", "memory_limit"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_return_the_right_value_fails(local: LocalProvider, name: str) -> None:
    source, reason = WRONG[name]
    limits = Limits(wall_s=1.5, cpu_s=1) if reason == "time_limit" else Limits()
    judged = judge(local, source, *calls(([1, 2], [3])), limits=limits)
    assert (judged.share, judged.reason) == (0.0, reason), judged


SEARCH = """
import gc, os, sys

def f(given):
    found = [text for text in (repr(vars(sys.modules["__main__"])), repr(os.environ)) if SOUGHT in text]
    frame = sys._getframe()
    while frame:
        found += [value for value in frame.f_locals.values() if SOUGHT in repr(value) and value is not given]
        frame = frame.f_back
    found += [thing for thing in gc.get_objects() if isinstance(thing, (list, dict)) and SOUGHT in repr(thing)[:10**5]]
    for folder, _, files in os.walk("."):
        found += [name for name in files if SOUGHT in open(os.path.join(folder, name), errors="replace").read()]
    return len(found)
"""


def test_the_right_value_is_nowhere_in_the_box(local: LocalProvider) -> None:
    """The search returns how often it found the value; 0 is right too, so that it passes where it found nothing."""
    search = SEARCH.replace("SOUGHT", "'SECRET' + '-VALUE'")
    (test,) = calls((["x"], ""))
    assert judge(local, search, replace(test, expected=encode_expected(["SECRET-VALUE", 0]))).passed
    (control,) = calls((["SECRET-VALUE"], 0))
    assert not judge(local, search.replace(" and value is not given", ""), control).passed, (
        "it must find what is there"
    )


def test_values_json_cannot_write_come_and_go_whole(local: LocalProvider) -> None:
    same = "def f(x):\n    return x"
    values = [
        "(1, 2)",
        "{1, 2}",
        "{1: 'a', (2, 3): [None]}",
        "{'$set': 1}",
        "'é\\U0001f600\\x00'",
        "1e400",
        "-0.0",
        "True",
    ]
    values += ["9" * 4999, "[[], [[]], {}]", "'\\ud800'"]
    tests = calls(*[(f"[{value}]", value) for value in values], comparison="exact")
    judged = judge(local, same, *tests)
    assert judged.passed, judged
    typed = "def f(x):\n    return type(x).__name__"
    assert judge(local, typed, *calls(("[(1, 2)]", "tuple"), ("[{1}]", "set"), ("[{1: 2}]", "dict"))).passed


def test_a_big_number_is_as_right_as_a_small_one(local: LocalProvider) -> None:
    source = "def f(digits):\n    return 10 ** digits - 1"
    assert judge(local, source, *calls(("[5000]", "9" * 5000), ("[3]", "999"))).passed
    assert not judge(local, source, *calls(("[5000]", "9" * 4999 + "8"))).passed


def test_input_of_a_hundred_megabytes_works_in_bounded_memory(local: LocalProvider) -> None:
    size = 100 << 20
    line = b"x" * 1023 + b"\n"
    test = Test(line * (size // len(line)), f"{size}\n".encode())
    source = "import sys\nprint(sum(map(len, iter(lambda: sys.stdin.buffer.read(1 << 16), b''))))"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    results = Judge(local).judge([Submission(Program(f"{source} # {n}"), [test]) for n in range(4)])
    assert [judged.share for judged in results] == [1.0] * 4
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 4 * (size >> 10)


CHECKER = """
import sys
given, output, answer = (open(name).read().split() for name in sys.argv[1:])
low, high = int(answer[0]), int(answer[1])
try:
    ok = low <= int(output[0]) <= high and len(output) == 1
except (ValueError, IndexError):
    ok = False
print("between", low, "and", high)
sys.exit(0 if ok else 1)
"""


def test_a_checker_program_decides_where_several_answers_are_right(local: LocalProvider) -> None:
    info = {"test_cases": [{"input": "5", "output": "4 6"}], "checker": {"language": "python", "source": CHECKER}}
    verification = read_verification(info)
    assert verification is not None
    answers = {"print(input())": True, "print(6)": True, "print(7)": False, "print('x')": False, "pass": False}
    results = Judge(local).judge([Submission(Program(source), verification.tests) for source in answers])
    assert [judged.passed for judged in results] == list(answers.values())
    assert "between 4 and 6" in results[2].results[0].detail


def test_a_checker_that_is_broken_is_not_the_submission_s_fault(local: LocalProvider) -> None:
    verification = read_verification({"test_cases": [{"input": "5", "output": ""}], "checker": {"source": "boom"}})
    assert verification is not None
    judged = judge(local, "print(5)", *verification.tests)
    assert (judged.share, judged.reason) == (None, "checker_error")


def test_programs_are_compiled_and_those_that_cannot_be_fail(local: LocalProvider) -> None:
    good = '#include <cstdio>\nint main() { int a, b; scanf("%d %d", &a, &b); printf("%d\\n", a + b); }'
    tests = [Test(b"1 2", b"3"), Test(b"5 6", b"11"), Test(b"5 6", b"12")]
    sources = [good, good.replace("a + b", "a - b"), good.replace("}", "")]
    results = Judge(local).judge([Submission(Program(source, "cpp"), tests) for source in sources])
    if results[0].share is None:
        pytest.skip(f"NO C++ HERE: {results[0].results[0].detail}")
    assert [judged.share for judged in results] == [2 / 3, 0.0, 0.0]
    assert [judged.reason for judged in results] == ["wrong_answer", "wrong_answer", "compile_error"]


def test_an_unknown_language_is_unscored_and_touches_no_other(local: LocalProvider) -> None:
    tests = (Test(b"", b"1"),)
    results = Judge(local).judge(
        [Submission(Program("print(1)", language), tests) for language in ("python", "klingon")]
    )
    assert [judged.share for judged in results] == [1.0, None]
    assert results[1].reason == "unsupported_language"


PROGRAMS = [
    "print(sum(map(int, input().split())))",
    "a, b = map(int, input().split())\nprint(a + b if a < 50 else a)",
    "print(eval(input().replace(' ', '+')))\nraise SystemExit(int(open('missing').read()) if 0 else 0)",
    "import sys\nx = sys.stdin.read().split()\nprint(int(x[0]) + int(x[1]))\nsys.exit(int(x[0]) % 2)",
    "a, b = map(int, input().split())\nprint([0][a % 3])\nprint(a + b)",
    "a, b = map(int, input().split())\nif a % 13 == 0:\n    while True: pass\nprint(a + b)",
    "a, b = map(int, input().split())\nif a % 5 == 0:\n    print('x' * (4 << 20))\nprint(a + b)",
    "def f(a, b):\n    return a + b",
    "def f(a, b):\n    return a + b if b > 10 else None",
    "def f(a, b):\n    if a % 13 == 0:\n        import time\n        time.sleep(60)\n    return a + b",
    "x = ",
    "import os\nos._exit(0)",
]


def random_submission(draw: random.Random) -> Submission:
    """A program with some tests of both kinds, of which few fit it."""
    source = draw.choice(PROGRAMS)
    tests: list[Test] = []
    for _ in range(draw.randint(1, 3)):
        a, b = draw.randint(0, 99), draw.randint(0, 99)
        right = a + b + (draw.random() < 0.1)
        is_call = draw.random() < (0.9 if "def f" in source else 0.1)
        tests += calls(([a, b], right)) if is_call else [Test(f"{a} {b}\n".encode(), f"{right}\n".encode())]
    max_failures = draw.choice([None, None, 0, 1])
    limits = SHORT if "% 13" in source else LIMITS
    return Submission(Program(source, limits=limits), tests, max_failures, draw.randint(1, 3))


def test_results_do_not_depend_on_what_is_judged_beside_them(local: LocalProvider) -> None:
    draw = random.Random(4)
    submissions = [random_submission(draw) for _ in range(200)]
    together = Judge(local).judge(submissions)
    again = Judge(local).judge([replace(submission) for submission in reversed(submissions)])
    alone = [Judge(local).judge([submission])[0] for submission in submissions]
    found = [[result.code for result in judged.results] for judged in together]
    assert found == [[result.code for result in judged.results] for judged in alone]
    assert found == [[result.code for result in judged.results] for judged in reversed(again)]
    seen = {code for codes in found for code in codes}
    assert seen >= {"passed", "wrong_answer", "runtime_error", "time_limit", "output_limit", "skipped"}
    assert "unavailable" not in seen
