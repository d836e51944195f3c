"""Small contest problems of our own in the published columns, and programs that are right, wrong or worse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

BYTES_256_MB = 256 * 1024 * 1024

# --- IOI: "total", a batch task with a grader and a header, judged by comparison ---------------------------------------

TOTAL_HEADER = """\
#ifndef TOTAL_H
#define TOTAL_H
#include <vector>
long long total(std::vector<int> a);
#endif
"""

TOTAL_GRADER = """\
#include "total.h"
#include <cstdio>
#include <cstring>
int main() {
    char key[64];
    int n;
    if (scanf("%63s %d", key, &n) != 2 || strcmp(key, "f00dcafe")) return 1;
    std::vector<int> a(n);
    for (int &x : a) if (scanf("%d", &x) != 1) return 1;
    long long answer = total(a);
    printf("beefcafe\\nOK\\n%lld\\n", answer);
}
"""

TOTAL_TESTS = {
    "0-01": ("f00dcafe\n2\n1 2\n", "beefcafe\nOK\n3\n"),
    "1-01": ("f00dcafe\n3\n1 2 3\n", "beefcafe\nOK\n6\n"),
    "1-02": ("f00dcafe\n1\n5\n", "beefcafe\nOK\n5\n"),
    "2-01": ("f00dcafe\n3\n2000000000 2000000000 1\n", "beefcafe\nOK\n4000000001\n"),
    "2-02": ("f00dcafe\n2\n-7 7\n", "beefcafe\nOK\n0\n"),
}

TOTAL_RIGHT = """\
#include "total.h"
long long total(std::vector<int> a) {
    long long sum = 0;
    for (int x : a) sum += x;
    return sum;
}
"""
TOTAL_OVERFLOWS = TOTAL_RIGHT.replace("long long sum", "int sum").replace("sum += x", "sum = (int)((unsigned)sum + x)")
TOTAL_BARE = "long long total(vector<int> a) { return accumulate(a.begin(), a.end(), 0LL); }\n"
TOTAL_WRONG = TOTAL_RIGHT.replace("return sum", "return sum + 1")
TOTAL_SLOW = TOTAL_RIGHT.replace("return sum", "for (volatile int i = 0;; i = i + 1) {} return sum")
TOTAL_HUNGRY = """\
#include "total.h"
#include <cstring>
long long total(std::vector<int> a) {
    long long sum = 0;
    for (int i = 0; i < 64; i++) {
        char *block = new char[64 << 20];
        memset(block, i + 1, 64 << 20);
        sum += block[i];
    }
    return sum;
}
"""
TOTAL_CRASHES = '#include "total.h"\n#include <cstdlib>\nlong long total(std::vector<int> a) { abort(); }\n'
TOTAL_BROKEN = '#include "total.h"\nlong long total(std::vector<int> a) { return "six"; }\n'
TOTAL_ANSWERS_ALONE = """\
#include "total.h"
#include <cstdio>
#include <cstdlib>
long long total(std::vector<int> a) {
    printf("beefcafe\\nOK\\n1\\n");
    exit(0);
}
"""

# --- IOI: "halves", a task with a checker that gives part of the points -------------------------------------------------

HALVES_HEADER = "#include <utility>\nstd::pair<int, int> halves(int n);\n"
HALVES_GRADER = """\
#include "halves.h"
#include <cstdio>
int main() {
    int n;
    if (scanf("%d", &n) != 1) return 1;
    auto answer = halves(n);
    printf("%d %d\\n", answer.first, answer.second);
}
"""
CHECKER_HELP = (
    "#include <fstream>\ninline int read_int(const char *path) { int x; std::ifstream(path) >> x; return x; }\n"
)
HALVES_CHECKER = """\
#include "help.h"
#include <cstdio>
#include <cstdlib>
int main(int argc, char **argv) {
    if (argc != 4) return 2;
    int n = read_int(argv[1]), best = read_int(argv[2]), x, y;
    std::ifstream output(argv[3]);
    if (!(output >> x >> y)) { fprintf(stderr, "translate:wrong"); printf("0\\n"); return 0; }
    double points = x + y != n ? 0.0 : abs(x - y) == best ? 1.0 : 0.5;
    fprintf(stderr, "translate:done");
    printf("%.2f\\n", points);
}
"""
HALVES_TESTS = {"1": ("10\n", "0\n"), "2": ("7\n", "1\n"), "3": ("1\n", "1\n")}

HALVES_RIGHT = '#include "halves.h"\nstd::pair<int, int> halves(int n) { return {n / 2, n - n / 2}; }\n'
HALVES_PARTIAL = '#include "halves.h"\nstd::pair<int, int> halves(int n) { return {n, 0}; }\n'  # best for n = 1 alone
HALVES_ZERO_LATER = '#include "halves.h"\nstd::pair<int, int> halves(int n) { return {n, n == 7 ? 1 : 0}; }\n'
HALVES_WRONG = '#include "halves.h"\nstd::pair<int, int> halves(int n) { return {n, n}; }\n'


def ioi_row(**changes: Any) -> dict[str, Any]:
    """The subtask "02-full" of "total", as a row of open-r1/ioi."""
    row = {
        "year": 2031,
        "name": "Total",
        "id": "total",
        "day": "1",
        "subtask": "02-full",
        "statement": "Add numbers.",
        "score": 70,
        "time_limit": 1.0,
        "memory_limit": BYTES_256_MB,
        "score_precision": 2,
        "task_type": "Batch",
        "test_names": ["1-01", "1-02", "2-01", "2-02"],
        "starting_code": TOTAL_HEADER,
        "grader_files": [
            ["graders/total.h", TOTAL_HEADER],
            ["graders/grader.cpp", TOTAL_GRADER],
            ["graders/grader_config.json", '{"task_type": "Batch", "code": "total"}'],
            ["graders/grader.java", "class grader {}"],
            ["graders/nothing", None],
        ],
        "problem": "Add numbers.",
    }
    return {**row, **changes}


def halves_row(**changes: Any) -> dict[str, Any]:
    """The only subtask of "halves"."""
    files = {
        "graders/halves.h": HALVES_HEADER,
        "graders/grader.cpp": HALVES_GRADER,
        "checker/checker.cpp": HALVES_CHECKER,
        "checker/help.h": CHECKER_HELP,
    }
    return ioi_row(
        id="halves",
        name="Halves",
        subtask="01-all",
        score=100,
        grader_files=[[name, text] for name, text in files.items()],
        **{"test_names": list(HALVES_TESTS), **changes},
    )


def ioi_test_rows() -> list[dict[str, Any]]:
    """All tests, as rows of open-r1/ioi-test-cases."""
    return [
        {
            "year": 2031,
            "day": "1",
            "problem_name": problem.title(),
            "problem_id": problem,
            "test_name": name,
            "test_input": given,
            "test_output": right,
        }
        for problem, tests in (("total", TOTAL_TESTS), ("halves", HALVES_TESTS))
        for name, (given, right) in tests.items()
    ]


# --- Codeforces ----------------------------------------------------------------------------------------------------------

SUM_RIGHT = "a, b = map(int, input().split())\nprint(a + b)\n"
SUM_RIGHT_CPP = "#include <iostream>\nint main() { long long a, b; std::cin >> a >> b; std::cout << a + b; }\n"
SUM_PARTIAL = "a, b = map(int, input().split())\nprint(a + b if a < 100 else 0)\n"
SUM_WRONG = "print(0)\n"
SUM_SLOW = "while True:\n    pass\n"
SUM_HUNGRY = "block = bytearray(1 << 30)\nfor at in range(0, len(block), 4096):\n    block[at] = 1\nprint(4)\n"
SUM_CRASHES = "print(4)\nraise SystemExit(3)\n"
SUM_BROKEN = "a, b = map(int input().split())\nprint(a + b)\n"
SUM_BROKEN_CPP = "#include <iostream>\nint main() { std::cout << undeclared; }\n"

PAIR_CHECKER = """\
import sys


def main():
    given, _, found = sys.argv[1:4]
    n = int(open(given).read())
    x, y = map(int, open(found).read().split())
    print(1 if x + y == n and x > 0 and y > 0 else 0)


main()
"""
PAIR_RIGHT = "n = int(input())\nprint(1, n - 1)\n"
PAIR_RIGHT_TOO = "n = int(input())\nprint(n - 1, 1)\n"
PAIR_WRONG = "n = int(input())\nprint(0, n)\n"
PAIR_RUBBISH = "print('no numbers at all')\n"

DOUBLE_RIGHT = "with open('output.txt', 'w') as file:\n    file.write(str(2 * int(open('input.txt').read())))\n"
DOUBLE_RIGHT_CPP = """\
#include <cstdio>
#include <iostream>
using namespace std;
int main() {
    freopen("input.txt", "r", stdin);
    freopen("output.txt", "w", stdout);
    ios::sync_with_stdio(false);
    int n;
    cin >> n;
    cout << 2 * n << '\\n';
}
"""


def cf_row(**changes: Any) -> dict[str, Any]:
    """Problem 9001/A, the sum of two numbers, as a row of open-r1/codeforces; tests as the site has them, with CRLF."""
    row = {
        "id": "9001/A",
        "aliases": None,
        "contest_id": "9001",
        "contest_name": "A Round of Our Own",
        "index": "A",
        "time_limit": 1.0,
        "memory_limit": 256.0,
        "interaction_format": None,
        "official_tests": [
            {"input": "2 2\r\n", "output": "4\r\n"},
            {"input": "1 5\r\n", "output": "6\r\n"},
            {"input": "1000 1\r\n", "output": "1001\r\n"},
            {"input": "70 30\r\n", "output": "100\r\n"},
        ],
        "official_tests_complete": True,
        "input_mode": "stdio",
        "generated_checker": None,
        "executable": True,
        "generated_tests": 0,
    }
    return {**row, **changes}


def pair_row(**changes: Any) -> dict[str, Any]:
    """Problem 9001/B: any two positive numbers of a given sum."""
    tests = [{"input": "5\n", "output": "2 3\n"}, {"input": "9\n", "output": "4 5\n"}]
    return cf_row(**{"id": "9001/B", "official_tests": tests, "generated_checker": PAIR_CHECKER, **changes})


def double_row(**changes: Any) -> dict[str, Any]:
    """Problem 9001/C, which reads input.txt and writes output.txt."""
    tests = [{"input": "4\n", "output": "8\n"}, {"input": "-1\n", "output": "-2\n"}]
    return cf_row(**{"id": "9001/C", "official_tests": tests, "input_mode": "file", **changes})


def generated_rows() -> list[dict[str, Any]]:
    """A shard of generated tests of contest 9001, its rows not in order."""
    rows = [
        ("9001/A", 1, "40 2", "42"),
        ("9001/B", 0, "2", "1 1"),
        ("9001/A", 0, "7 8", "15"),
        ("9001/A", 10, "0 0", "0"),
    ]
    return [
        {"problem_id": problem, "test_i": number, "input": given, "output": right}
        for problem, number, given, right in rows
    ]


def write_parquet(path: Path, rows: list[dict[str, Any]], row_group_size: int = 2) -> Path:
    import pyarrow as pa
    from pyarrow import parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.Table.from_pylist(rows), path, row_group_size=row_group_size)
    return path


def fenced(code: str, language: str = "python") -> str:
    return f"Here it is.\n\n```{language}\n{code}\n```\n"
