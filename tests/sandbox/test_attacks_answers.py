"""Attacks: expected outputs, and other programs' inputs, in memory, on disk, and by way of the compiler."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import pytest
from attacks import ROOMY, Box, World, assert_blocked, assert_reached, describe, program_of, run_outside
from searches import SECRET_PATTERN, name_frames_beneath, search_files, search_frames, search_memory, search_objects

from open_r1.execution.programs import Program, Status

SEARCHES = [search_memory, search_objects, search_frames, search_files, name_frames_beneath]


@pytest.mark.parametrize("search", SEARCHES)
def test_a_program_finds_nothing_of_the_one_before_it(box: Box, search: Callable[..., Any]) -> None:
    """What came before on the same worker may have been a checker, which is given the answers."""
    secret = f"SECRET{os.urandom(16).hex()}"
    given = {"files": {"answer.txt": secret.encode() * 50}} if box.tier == "A" else {}
    before = box.run(
        f"import sys\nanswer = '{secret}'\nprint(sys.stdin.read() + answer)", stdin=secret.encode() * 50, **given
    )
    assert before.stdout.count(secret.encode()) == 51
    assert_blocked(box.probe(search, SECRET_PATTERN, False))


@pytest.mark.parametrize("search", SEARCHES)
def test_a_search_finds_what_is_there(box: Box, search: Callable[..., Any]) -> None:
    secret = f"SECRET{os.urandom(16).hex()}"
    ran = box.probe(search, SECRET_PATTERN, True, stdin=secret.encode())
    assert_reached(ran.stdout or describe(ran))
    if search in (search_memory, search_objects, search_frames):
        assert secret.encode() in ran.stdout


def test_what_was_in_the_environment_at_first_is_found_in_memory(world: World) -> None:
    """Emptied since or not: the environment that a process starts with stays on its stack."""
    program = f"import os\nos.environ.clear()\n{program_of(search_memory, SECRET_PATTERN, False)}"
    assert world.secret in run_outside(program, env={"TOKEN": world.secret})


def test_a_neighbour_finds_nothing(two_workers: Box) -> None:
    """Two programs at once: one holds a secret, the other looks for it."""
    secret = f"SECRET{os.urandom(16).hex()}"
    holder = "import sys, time\nanswer = sys.stdin.read()\ntime.sleep(3)\nprint(len(answer))"
    search = program_of(search_memory, SECRET_PATTERN, False)
    programs = [Program(holder, stdin=secret.encode(), limits=ROOMY), Program(search, limits=ROOMY)]
    held, searched = two_workers.provider.run(programs)
    assert held.stdout == b"38\n", describe(held)
    assert_blocked(searched)


COMPILE_TIME = {
    "include": '#include "{path}"\nint main() {{ return 0; }}\n',
    "include_as_text": 'const char *text =\n#include "{path}"\n;\n#include <stdio.h>\nint main() {{ puts(text); }}\n',
    "incbin": '#include <stdio.h>\n__asm__(".data\\nfound: .incbin \\"{path}\\"\\n.byte 0\\n");\n'
    'extern char found[] __asm__("found");\nint main() {{ puts(found); return 0; }}\n',
    "assembler_include": '__asm__(".include \\"{path}\\"");\nint main() {{ return 0; }}\n',
    "has_include": '#if __has_include("{path}")\n#error "SECRET is there"\n#endif\nint main() {{ return 0; }}\n',
}


@pytest.mark.parametrize("language", ["c", "cpp"])
@pytest.mark.parametrize("how", COMPILE_TIME)
def test_the_compiler_reads_nothing_for_a_program(box_a: Box, world: World, how: str, language: str) -> None:
    ran = box_a.run(COMPILE_TIME[how].format(path=world.secret_file), language=language)
    said = (ran.stdout + ran.stderr).lower()  # as assemblers say it
    assert world.secret.lower().encode() not in said
    assert b"secret is there" not in said
    if how != "has_include":
        assert ran.status is Status.COMPILE_ERROR, describe(ran)


@pytest.mark.parametrize("language", ["c", "cpp"])
@pytest.mark.parametrize("how", COMPILE_TIME)
def test_the_compiler_reads_what_comes_with_a_program(box_a: Box, how: str, language: str) -> None:
    content = f"SECRET{os.urandom(16).hex()}"
    text = f'"{content}"' if how == "include_as_text" else content
    ran = box_a.run(
        COMPILE_TIME[how].format(path="given.txt"), language=language, sources={"given.txt": text.encode()}
    )
    said = (ran.stdout + ran.stderr).lower()
    assert b"secret is there" in said if how == "has_include" else content.lower().encode() in said, describe(ran)


GRADER = (
    '#include <stdio.h>\nint answer(int);\nstatic const char key[] = "{secret}";\n'
    'int main() {{ int x; if (scanf("%d", &x) != 1) return 9; puts(answer(x) == 42 ? key : "wrong"); }}\n'
)
OWN_PART = {"c": "\nint answer(int x) { return x; }\n", "cpp": '\nextern "C" int answer(int x) { return x; }\n'}
STEALING = {
    "include": '#define main graders_main\n#include "{path}"\n#undef main\n',
    "incbin": '__asm__(".incbin \\"{path}\\"");\n',
    "assembler_include": '__asm__(".include \\"{path}\\"");\n',
    "has_include": '#if __has_include("{path}")\n#error "SECRET is there"\n#endif\n',
}
GRADERS_PLACES = ("grader.{suffix}", "1.o", "0.o", "program", "./grader.{suffix}", "/box/grader.{suffix}", "/box/1.o")


@pytest.mark.parametrize("language", ["c", "cpp"])
@pytest.mark.parametrize("how", STEALING)
def test_a_program_gets_nothing_of_the_grader_that_it_is_compiled_with(box_a: Box, how: str, language: str) -> None:
    """A grader has the answers in it; it is compiled apart, where no text of the program is."""
    secret = f"SECRET{os.urandom(16).hex()}"
    grader = {f"grader.{language}": _grader(secret, language)}
    for place in GRADERS_PLACES:
        source = STEALING[how].format(path=place.format(suffix=language)) + OWN_PART[language]
        ran = box_a.run(source, language=language, stdin=b"7\n", sources=grader)
        said = (ran.stdout + ran.stderr).lower()
        assert secret.lower().encode() not in said and b"secret is there" not in said, describe(ran)
        expected = Status.FINISHED if how == "has_include" else Status.COMPILE_ERROR
        assert ran.status is expected, describe(ran)


@pytest.mark.parametrize("language", ["c", "cpp"])
def test_a_grader_judges_what_it_is_compiled_with(box_a: Box, language: str) -> None:
    """The control: an honest program is graded, and a header beside the grader can be included."""
    sources = {f"grader.{language}": _grader("RIGHT", language), "given.h": b"#define OFFSET 35\n"}
    source = '#include "given.h"\n' + OWN_PART[language].replace("return x", "return x + OFFSET")
    assert box_a.run(source, language=language, stdin=b"7\n", sources=sources).stdout == b"RIGHT\n"


def _grader(secret: str, language: str) -> bytes:
    text = GRADER.format(secret=secret)
    return (text.replace("int answer(int);", 'extern "C" int answer(int);') if language == "cpp" else text).encode()


READING = {
    "python": """
for path in {paths}:
    try:
        print(open(path).read())
    except OSError as error:
        print("blocked", error.errno)
""",
    "bash": """
for path in {words}; do cat $path || echo blocked; done
ls -la /proc /home /root 2>&1 | grep -i secret
""",
    "javascript": """
const fs = require('fs');
for (const path of {paths}) {{
    try {{ console.log(fs.readFileSync(path, 'utf8')) }} catch (error) {{ console.log('blocked', error.code) }}
}}
""",
    "c": """
#include <stdio.h>
int main() {{
    const char *paths[] = {{{commas}}};
    char text[4096];
    for (int i = 0; i < {count}; i++) {{
        FILE *file = fopen(paths[i], "r");
        if (!file) {{ puts("blocked"); continue; }}
        while (fgets(text, sizeof text, file)) fputs(text, stdout);
    }}
}}
""",
}


@pytest.mark.parametrize("language", READING)
def test_no_language_reads_the_graders_files(box_a: Box, world: World, language: str) -> None:
    paths = [
        world.secret_file,
        "/etc/shadow",
        "/proc/1/environ",
        "/proc/self/environ",
        f"/proc/{world.grader_pid}/environ",
    ]
    ran = box_a.run(_reading(language, paths), language=language)
    assert world.secret.encode() not in ran.stdout
    assert b"root:" not in ran.stdout
    assert ran.stdout.count(b"blocked") == len(paths), describe(ran)


@pytest.mark.parametrize("language", READING)
def test_every_language_reads_its_own_files(box_a: Box, language: str) -> None:
    files = {"answer.txt": b"SECRET\n"}
    assert b"SECRET" in box_a.run(_reading(language, ["answer.txt"]), language=language, files=files).stdout


def _reading(language: str, paths: list[str]) -> str:
    return READING[language].format(
        paths=json.dumps(paths), words=" ".join(paths), commas=", ".join(map(json.dumps, paths)), count=len(paths)
    )
