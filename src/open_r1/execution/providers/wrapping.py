"""Programs on a remote Python kernel that takes a script and returns what it prints (E2B, Morph).

    script, nonce = wrap(program)          # the script to send
    read_frame(printed, nonce, limits)     # what the program did, out of what the kernel printed

Stdin, arguments, files, other languages, limits and the exit status, none of which such kernels know, are brought about
by the script (`remote_job`). The record comes framed by a nonce of 128 random bits a job, so that nothing a program
prints can pass for it.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import cache, reduce
from pathlib import Path, PurePosixPath

from open_r1.errors import nearest
from open_r1.execution.programs import Execution, Limits, Program
from open_r1.execution.providers.replies import Failure, GarbledReply
from open_r1.execution.sandbox import java
from open_r1.execution.sandbox.toolchains import COMPILE_LIMITS, RESULT, TOOLCHAINS, Toolchain, find_toolchain
from open_r1.execution.wire import decode_answer

MAX_SCRIPT_BYTES = 32 << 20
"""Kernels take a script whole, through a notebook's protocol; what is longer is refused before it is sent."""

MAX_PROGRAM_BYTES = 128 << 20
"""What is not even packed to see how long its script would be."""


def refuse_to_wrap(program: Program) -> Execution | None:
    """An `unavailable` execution if a program can't be run this way."""
    toolchain = find_toolchain(program.language)
    if toolchain is None:
        return unsupported_language(program.language, TOOLCHAINS)
    size = sum(map(len, (program.source, program.stdin, *program.sources.values(), *program.files.values())))
    if size > MAX_PROGRAM_BYTES:
        return Execution.unavailable("too_large", f"{size >> 20} MiB of program and input.")
    return fault_of_files(program, bool(toolchain.compile))


def unsupported_language(language: str, known: Iterable[str]) -> Execution:
    return Execution.unavailable(
        "unsupported_language", f"unknown language '{language}'{nearest(language, known)} Known: {', '.join(known)}."
    )


def other_cpp_standard(language: str) -> str:
    """The two digits of a C++ standard that is asked for by name and isn't the usual 17; else ""."""
    toolchain = find_toolchain(language)
    digits = re.search(r"\d\d$", language.strip())
    return digits[0] if toolchain and toolchain.language == "cpp" and digits and digits[0] != "17" else ""


def fault_of_files(program: Program, is_compiled: bool) -> Execution | None:
    """An `unavailable` execution if the further files of a program can't be what they should be."""
    if program.sources and not is_compiled:
        return Execution.unavailable(
            "unsupported", f"further sources for {program.language}, which isn't compiled; give them as files."
        )
    for name in (*program.files, *program.sources):
        if not is_safe_name(name):
            return Execution.unavailable("bad_request", f"file name {name!r} is not relative, or leaves its folder.")
    return None


def is_safe_name(name: str) -> bool:
    """A relative path that stays in its folder, and that a file can have."""
    path = PurePosixPath(name)
    return bool(path.name) and not path.is_absolute() and ".." not in path.parts and "\0" not in name


def wrap(program: Program) -> tuple[str, str]:
    """The script that runs a program, and the nonce of its frame. Failure if it gets too long, or in a language unknown."""
    toolchain = find_toolchain(program.language)
    if toolchain is None:
        raise Failure("unsupported_language", f"unknown language '{program.language}'", can_retry=False)
    nonce = secrets.token_hex(16)
    packed = base64.b64encode(zlib.compress(json.dumps(_job(program, toolchain)).encode())).decode("ascii")
    script = f"{_script()}\n\nanswer({packed!r}, {nonce!r})\n"
    if len(script) > MAX_SCRIPT_BYTES:
        raise Failure("too_large", f"{len(script) >> 20} MiB of program and input", can_retry=False)
    return script, nonce


def read_frame(printed: str, nonce: str, limits: Limits) -> Execution:
    """What happened, from what the kernel printed. Failure if there is no whole frame."""
    frames = re.findall(rf"{nonce}:([A-Za-z0-9+/=\s]*):{nonce}", printed)
    if not frames:
        raise GarbledReply(f"no result among {len(printed)} characters of output")
    most = 3 * 1024 * limits.output_kb + (1 << 16)
    inflate = zlib.decompressobj()
    try:
        record = inflate.decompress(base64.b64decode("".join(frames[-1].split()), validate=True), most)
        if inflate.unconsumed_tail or not inflate.eof:
            raise GarbledReply("a result longer than the program's output may be")
        return decode_answer(record)[1]
    except (ValueError, RecursionError, zlib.error) as error:
        raise GarbledReply(f"a result that can't be read ({str(error)[:100]})") from error


def max_printed(limits: Limits) -> int:
    """Characters that an honest frame can come to."""
    return 8 * 1024 * limits.output_kb + (1 << 18)


def _job(program: Program, toolchain: Toolchain) -> dict[str, object]:
    main = toolchain.main_file(program.source)
    main_class = java.read_names(program.source).main_class
    words = {"main": main, "main_class": main_class, "memory_mb": str(program.limits.memory_mb)}
    further = toolchain.compiled_with(program.sources)
    return {
        "main": main,
        "source": _encoded(program.source.encode("utf-8", errors="replace")),
        "sources": {name: _encoded(content) for name, content in program.sources.items()},
        "files": {name: _encoded(content) for name, content in program.files.items()},
        "compile": [*_filled(toolchain.compile, words), *further] if toolchain.compile else [],
        "run": _run_command(toolchain, words),
        "args": list(program.args),
        "stdin": _encoded(program.stdin),
        "limits": asdict(program.limits)
        | {
            "processes": program.limits.processes + toolchain.threads,
            "counts_address_space": toolchain.limits_address_space,
        },
        "compile_limits": asdict(COMPILE_LIMITS) | {"counts_address_space": False},
    }


def _run_command(toolchain: Toolchain, words: Mapping[str, str]) -> list[str]:
    """The command there: what was compiled lies in a folder of its own, beside the one where the program runs."""
    executable = f"../build/{RESULT}"
    if toolchain.run:
        return [executable if word == RESULT else word for word in _filled(toolchain.run, words)]
    return [executable] if toolchain.compile else ["python3", words["main"]]


def _filled(command: Sequence[str], words: Mapping[str, str]) -> list[str]:
    """The words of a command, filled in; not the paths of this machine, which `Toolchain` would put there."""
    return [reduce(lambda word, name: word.replace(f"{{{name}}}", words[name]), words, word) for word in command]


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


@cache
def _script() -> str:
    return Path(__file__).with_name("remote_job.py").read_text(encoding="utf-8")
