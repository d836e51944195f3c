"""Programs that read input.txt and write output.txt, as some Codeforces problems ask.

A few lines around a program bring what it leaves in output.txt back as its standard output, on any provider. They run in
the submission's own box and are as much at its mercy as the rest of its output.
"""

from __future__ import annotations

from dataclasses import replace

from open_r1.execution.contests.rows import ProblemError
from open_r1.execution.judge.judge import Judge
from open_r1.execution.judge.results import Submission, Test
from open_r1.execution.programs import Program

INPUT_FILE, OUTPUT_FILE = "input.txt", "output.txt"
SUBMISSION_FILE = "submission.py"

_PYTHON = """\
import atexit, gc, io, os


def arrange():
    folder, kept = os.getcwd(), os.dup(1)
    away = os.open(os.path.join(folder, "stdout.txt"), os.O_WRONLY | os.O_CREAT, 0o600)
    os.dup2(away, 1)

    def show():
        for thing in gc.get_objects():
            if isinstance(thing, (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)):
                try:
                    thing.flush()
                except Exception:
                    pass
        try:
            with open(os.path.join(folder, "output.txt"), "rb") as file:
                data = memoryview(file.read())
        except OSError:
            return
        while data:
            data = data[os.write(kept, data) :]

    atexit.register(show)


arrange()
with open("submission.py", encoding="utf-8") as file:
    source = file.read()
exec(compile(source, "submission.py", "exec"), {"__name__": "__main__", "__builtins__": __builtins__})
"""

_C_HELPERS = """\
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
static int file_mode_kept = -1;
static void file_mode_arrange(void) {
    int away = open("stdout.txt", O_WRONLY | O_CREAT, 0600);
    file_mode_kept = dup(1);
    if (away >= 0) { dup2(away, 1); close(away); }
}
static void file_mode_show(void) {
    static char block[65536];
    ssize_t count, done;
    int file;
    fflush(NULL);
    file = open("output.txt", O_RDONLY);
    while (file >= 0 && (count = read(file, block, sizeof block)) > 0)
        for (ssize_t at = 0; at < count; at += done)
            if ((done = write(file_mode_kept, block + at, count - at)) <= 0) return;
}
"""

_CPP = (
    "#include <iostream>\n"
    + _C_HELPERS
    + """\
namespace { struct FileMode {
    FileMode() { file_mode_arrange(); }
    ~FileMode() { std::cout.flush(); file_mode_show(); }
} file_mode; }
#line 1 "main.cpp"
"""
)

_C = (
    _C_HELPERS
    + """\
__attribute__((constructor)) static void file_mode_start(void) { file_mode_arrange(); }
__attribute__((destructor)) static void file_mode_end(void) { file_mode_show(); }
#line 1 "main.c"
"""
)


_PROBE = 'open("probe.txt", "w").write("written"); print(open("probe.txt").read())'


def can_write_files(judge: Judge) -> bool | None:
    """Whether programs have a folder to write to, found by a harmless one; None when that is not known now.

    Asked of a program of ours, since a submission that says so may only want not to be judged.
    """
    return judge.judge([Submission(Program(_PROBE), [Test(expected=b"written")])])[0].passed


def in_file_mode(program: Program) -> Program:
    """The program, its output.txt as standard output. ProblemError for a language that this isn't known for."""
    if program.language == "python":
        source = program.source.encode("utf-8", "surrogatepass")
        return replace(program, source=_PYTHON, files={**program.files, SUBMISSION_FILE: source})
    if program.language in ("c", "cpp"):
        return replace(program, source=(_CPP if program.language == "cpp" else _C) + program.source)
    raise ProblemError(
        "unsupported",
        f"problems with input.txt and output.txt can be judged in Python, C and C++, not {program.language}.",
    )
