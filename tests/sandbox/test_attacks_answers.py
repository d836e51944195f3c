"""Attacks: expected outputs, and other programs' inputs, in memory, on disk, and by way of the compiler."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import pytest
from attacks import ROOMY, Box, World, assert_blocked, assert_reached, describe, program_of
from probing import LIBC, ctypes, report, sys

from open_r1.execution.base import Program, Status

HEX = "[0-9a-f]{32}"


def search_memory(pattern, plant):
    """Every page of this process, whatever lies there: what the server has read, it leaves to its children."""
    import re

    page, gap = 4096, 8192
    if plant:
        LIBC.malloc.restype = ctypes.c_void_p
        place = LIBC.malloc(200)
        LIBC.read(0, ctypes.c_void_p(place), 200)
    anchors = [id(report), ctypes.addressof(ctypes.create_string_buffer(200_000)), id(os.read)]
    anchors += [ctypes.cast(LIBC.getpid, ctypes.c_void_p).value, ctypes.c_void_p.in_dll(LIBC, "environ").value]
    LIBC.sbrk.restype = ctypes.c_void_p
    anchors.append(LIBC.sbrk(0) - page)
    reader, writer = os.pipe()
    probe = ctypes.create_string_buffer(1)
    found, seen = set(), set()
    wanted = re.compile(pattern.encode())
    for anchor in anchors:
        for step in (page, -page):
            address, missed, tail = anchor // page * page, 0, b""
            while missed < gap and address > 0:
                if LIBC.mincore(ctypes.c_void_p(address), ctypes.c_size_t(page), probe) != 0:
                    missed += 1
                    tail = b""
                elif address not in seen:
                    seen.add(address)
                    missed = 0
                    if LIBC.write(writer, ctypes.c_void_p(address), ctypes.c_size_t(1)) == 1:
                        os.read(reader, 1)
                        content = ctypes.string_at(address, page)
                        joined = tail + content if step > 0 else content + tail
                        found.update(match.group() for match in wanted.finditer(joined))
                        tail = content[-200:] if step > 0 else content[:200]
                address += step
    return sorted(found)


def search_objects(pattern, plant):
    """All that the garbage collector knows, and what hangs on it."""
    import gc
    import re

    held = [os.read(0, 200)] if plant else []
    gc.unfreeze()
    wanted, found, seen, left = re.compile(pattern), set(), set(), [gc.get_objects()]
    while left:
        thing = left.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, (bytes, bytearray)):
            found.update(wanted.findall(thing.decode("latin1")))
        elif isinstance(thing, str):
            found.update(wanted.findall(thing))
        else:
            left += gc.get_referents(thing)
    del held
    return sorted(found)


def search_frames(pattern, plant):
    """The variables of every function that is under way beneath this one, in every thread."""
    import re

    planted = os.read(0, 200) if plant else b""
    wanted, found = re.compile(pattern), set()
    frames = [sys._getframe(), *sys._current_frames().values()]
    while frames:
        frame = frames.pop()
        frames += [frame.f_back] if frame.f_back else []
        for variables in (frame.f_locals, frame.f_globals):
            for value in list(variables.values()):
                found.update(wanted.findall(repr(value)[:1_000_000]))
    del planted
    return sorted(found)


def name_frames_beneath(_pattern, plant):
    """Whose code lies beneath the program, beyond what runs it."""
    names, frame = [], sys._getframe().f_back
    while frame:
        names.append(frame.f_code.co_qualname)
        frame = frame.f_back
    beyond = names[names.index("_run") :] if "_run" in names else ["no _run", *names]
    return names if plant else [name for name in beyond if name not in ("_run", "run_script", "<module>")]


def search_files(pattern, plant):
    """Every file that can be found, but for the system's own."""
    import re

    if plant:
        tops = [os.path.dirname(os.__file__) + "/json"]
        pattern = "JSONDecoder"
    else:
        tops = [".", "..", "/", "/tmp", "/var/tmp", "/box", "/dev/shm", os.path.dirname(sys.prefix), *sys.path]
    wanted, found = re.compile(pattern), []
    system = ("/usr", "/lib", "/bin", "/sbin", os.path.dirname(os.__file__) if not plant else "/usr")
    for top in tops:
        for folder, folders, names in os.walk(top):
            if os.path.abspath(folder).startswith(system):
                folders.clear()
                continue
            for name in names:
                try:
                    handle = os.open(os.path.join(folder, name), os.O_RDONLY | os.O_NONBLOCK)
                    text = os.read(handle, 1 << 20).decode("latin1")
                    os.close(handle)
                except OSError:
                    continue
                if wanted.search(text):
                    found.append((folder, name))
    return found


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
    assert_blocked(box.probe(search, f"SECRET{HEX}", False))


@pytest.mark.parametrize("search", SEARCHES)
def test_a_search_finds_what_is_there(box: Box, search: Callable[..., Any]) -> None:
    secret = f"SECRET{os.urandom(16).hex()}"
    ran = box.probe(search, f"SECRET{HEX}", True, stdin=secret.encode())
    assert_reached(ran.stdout or describe(ran))
    if search in (search_memory, search_objects, search_frames):
        assert secret.encode() in ran.stdout


def test_a_neighbour_finds_nothing(two_workers: Box) -> None:
    """Two programs at once: one holds a secret, the other looks for it."""
    secret = f"SECRET{os.urandom(16).hex()}"
    holder = "import sys, time\nanswer = sys.stdin.read()\ntime.sleep(3)\nprint(len(answer))"
    search = program_of(search_memory, f"SECRET{HEX}", False)
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
