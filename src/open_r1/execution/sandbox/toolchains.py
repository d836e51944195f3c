"""How this machine compiles and runs each language: commands, limits, and what the sandbox must show of the disk.

A toolchain is looked for on PATH when it is first asked for. Python needs none: the sandbox's own interpreter runs it. Of
Java just enough is read to name a source's file and its main class; one that is misread gets the compiler's own message.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

from open_r1.errors import nearest
from open_r1.execution.programs import Execution, Limits
from open_r1.text.languages import CPP_STANDARDS, canonical_language, cpp_standard

COMPILE_LIMITS = Limits(30.0, 30.0, memory_mb=2048, output_kb=64, disk_mb=256, processes=64, open_files=256)
RESULT = "program"
"""What a compile command calls its result."""

OUT_OF_MEMORY = (b"MemoryError", b"std::bad_alloc", b"java.lang.OutOfMemoryError", b"heap out of memory")
"""What runtimes write when they get no more memory."""

SHOWN_ALWAYS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")


@dataclass(frozen=True)
class Toolchain:
    """A language on this machine. Words of a command may contain `{memory_mb}`, `{main}` and `{main_class}`.

    Args:
        language: Its canonical name.
        main: The file that the source is written to.
        compile: The command that makes `RESULT` of it, further sources appended; () for none.
        run: The command that runs it; () where the result is an executable, or the language is Python.
        compiled_suffixes: Which further sources the compiler is given.
        tools: What must be on PATH.
        package: What to install where a tool is missing, as Debian calls it.
        forks: Its programs may start processes.
        limits_address_space: False for runtimes that reserve more than they use: their memory is watched instead.
        threads: How many its runtime starts before the program is asked.
        compiler: The words of a command that can compile apart and link, if there is one.
    """

    language: str
    main: str
    compile: tuple[str, ...] = ()
    run: tuple[str, ...] = ()
    compiled_suffixes: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    package: str = ""
    forks: bool = False
    limits_address_space: bool = True
    threads: int = 0
    compiler: tuple[str, ...] = ()

    def missing(self) -> list[str]:
        """Tools that this machine doesn't have."""
        return [tool for tool in self.tools if shutil.which(tool) is None]

    def environment(self) -> dict[str, str]:
        """Variables its tools need where /proc isn't there to tell them where they lie."""
        variables = {}
        if self.language in ("rust", "java"):
            java_home = Path(os.path.realpath(shutil.which("java") or "")).parent.parent
            home = _rust_root() if self.language == "rust" else java_home
            variables = {"LD_LIBRARY_PATH": f"{home}/lib", "JAVA_HOME": str(home)}
        if self.limits_address_space and self.compile:
            variables["MALLOC_ARENA_MAX"] = "1"  # a further one takes 64 MiB of address space for each thread
        return variables

    def main_file(self, source: str) -> str:
        """The name that the source must have."""
        return f"{read_java_names(source).file}.java" if self.language == "java" else self.main

    def compile_command(self, source: str, sources: Mapping[str, bytes]) -> list[str]:
        """The command that makes `RESULT` of the source, and of further sources that are compiled with it."""
        main_class = read_java_names(source).main_class
        command = _filled(self.compile, main=self.main_file(source), main_class=main_class)
        return [*command, *self.compiled_with(sources)]

    def compiled_with(self, sources: Mapping[str, bytes]) -> list[str]:
        """Which of the further sources the compiler is given, beside those that it finds by itself."""
        return [name for name in sources if name.endswith(self.compiled_suffixes)]

    def object_command(self, sources: Sequence[str]) -> list[str]:
        """The command that makes one object file, `RESULT`, of source files."""
        return [*_filled((*self.compiler, "-r", "-nostdlib", "-o", RESULT)), *sources]

    def link_command(self, objects: Sequence[str]) -> list[str]:
        """The command that makes `RESULT` of object files."""
        no_plugins = ("-fno-lto", "-fno-use-linker-plugin")  # objects are linked as they are
        return [*_filled((*self.compiler, *no_plugins, "-o", RESULT)), *objects, "-lm"]

    def run_command(self, limits: Limits) -> list[str]:
        """The words of the command that runs the program, with its memory limit filled in."""
        return _filled(self.run, main=self.main, memory_mb=str(limits.memory_mb))


def _filled(words: tuple[str, ...], **values: str) -> list[str]:
    """A command: its tool as PATH has it, or where that leads out of the system's folders, what it leads to."""
    if not words:
        return []
    path = shutil.which(words[0]) or words[0]
    filled = [re.sub(r"\{(\w+)\}", lambda name: values[name[1]], word) for word in words[1:]]
    return [path if _is_shown(path) else os.path.realpath(path), *filled]


def _is_shown(path: str) -> bool:
    return path.startswith(tuple(f"{folder}/" for folder in SHOWN_ALWAYS))


def _gcc(language: str, compiler: str, standard: str, suffixes: tuple[str, ...]) -> Toolchain:
    options = (compiler, f"-std={standard}", "-O2", "-pipe", "-pthread")
    compile_all = (*options, "-o", RESULT, "{main}", "-lm")
    main = f"main{suffixes[0]}"
    return Toolchain(language, main, compile_all, (), suffixes, (compiler,), compiler, compiler=options)


def _cpp(standard: str) -> Toolchain:
    return _gcc("cpp", "g++", f"c++{standard}", (".cpp", ".cc", ".cxx"))


_BUILD_JAR = 'javac -d classes "$@" && jar --create --file program --main-class "$0" -C classes .'

TOOLCHAINS = {
    "python": Toolchain("python", "main.py"),
    "cpp": _cpp("17"),
    "c": _gcc("c", "gcc", "gnu17", (".c",)),
    "javascript": Toolchain(
        "javascript", "main.js", (), ("node", "--max-old-space-size={memory_mb}", "--stack-size=4000", "{main}"),
        tools=("node",), package="nodejs", limits_address_space=False, threads=16,
    ),
    "bash": Toolchain("bash", "main.sh", (), ("bash", "{main}"), tools=("bash",), package="bash", forks=True),
    "java": Toolchain(
        "java", "Main.java", ("bash", "-c", _BUILD_JAR, "{main_class}", "{main}"),
        ("java", "-Xmx{memory_mb}m", "-Xss32m", "-XX:+UseSerialGC", "-jar", RESULT), (".java",),
        ("bash", "javac", "jar", "java"), "default-jdk-headless", limits_address_space=False, threads=48,
    ),
    "rust": Toolchain(
        "rust", "main.rs", ("rustc", "-O", "--edition=2021", "-Clink-arg=-fuse-ld=bfd", "-o", RESULT, "{main}"),
        tools=("rustc",), package="rustc",
    ),
}  # fmt: skip


@lru_cache(maxsize=256)
def find_toolchain(language: str) -> Toolchain | None:
    """The toolchain of a language by any of its names, `c++20` and `cpp20` among them; None for an unknown one."""
    if standard := cpp_standard(language):
        return _cpp(standard) if standard in CPP_STANDARDS else None
    found = TOOLCHAINS.get(canonical_language(language))
    return _real(found) if found else None


def unsupported_language(language: str, known: Iterable[str] = TOOLCHAINS) -> Execution:
    """An `unavailable` execution that names the known languages and the nearest of them."""
    return Execution.unavailable(
        "unsupported_language", f"unknown language '{language}'{nearest(language, known)} Known: {', '.join(known)}."
    )


NO_RUST = "rustc with a default toolchain (rustup default stable)"
"""What is missing where rustup is installed and no compiler is."""


@cache
def _real(toolchain: Toolchain) -> Toolchain:
    """With the compiler itself where what is on PATH only finds it, as rustup's does."""
    if toolchain.language != "rust" or toolchain.missing():
        return toolchain
    if not _rust_root():
        return replace(toolchain, tools=(NO_RUST,))
    compiler = f"{_rust_root()}/bin/rustc"
    return replace(toolchain, compile=(compiler, *toolchain.compile[1:])) if os.path.exists(compiler) else toolchain


_GCC_LIBRARIES = ("lib/gcc", "libexec/gcc", "include/c++")
_LIBRARIES: Mapping[str, tuple[str, ...]] = {
    "gcc": _GCC_LIBRARIES,
    "g++": _GCC_LIBRARIES,
    "java": ("lib/modules", "lib/*.so", "lib/server", "lib/jvm.cfg", "lib/tzdb.dat", "lib/security", "conf"),
    "javac": ("lib/ct.sym",),
    "rustc": ("lib/rustlib", "lib/*.so*"),
}
"""What a tool needs beside itself, in the folder that it was installed to. Where that is a home or `.local`, so is much that
no program may read."""


@cache
def shown_files() -> tuple[str, ...]:
    """The toolchains of this machine that lie beyond the system's own folders: each tool, and its own libraries."""
    found: list[str] = []
    for name in sorted({tool for toolchain in TOOLCHAINS.values() for tool in toolchain.tools}):
        path = f"{_rust_root()}/bin/rustc" if name == "rustc" else os.path.realpath(shutil.which(name) or "/")
        found += files_of(name, Path(path))
    return tuple(dict.fromkeys(found))


def files_of(name: str, tool: Path) -> list[str]:
    """A tool and the libraries that are its own; nothing of what the system shows anyway."""
    if _is_shown(str(tool)) or not tool.is_file():
        return []
    root = tool.parent.parent
    return [str(tool), *(str(path) for pattern in _LIBRARIES.get(name, ()) for path in sorted(root.glob(pattern)))]


@cache
def _rust_root() -> str:
    return _output_of("rustc", "--print", "sysroot")


def says_out_of_memory(stderr: bytes) -> bool:
    """Whether a program that failed ends with a runtime's word that memory ran out."""
    return any(sign in stderr[-4096:] for sign in OUT_OF_MEMORY)


def version(toolchain: Toolchain) -> str:
    """What its main tool calls itself, in a line; "" where it doesn't say."""
    flag = "-version" if toolchain.language == "java" else "--version"
    return _output_of(toolchain.tools[-1], flag).partition("\n")[0] if toolchain.tools else ""


def _output_of(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return "" if done.returncode else (done.stdout or done.stderr).strip()


MAX_NAME_BYTES = 200
"""A file's name has at most 255 bytes; a class with a longer one can't be compiled anywhere."""

_NOT_CODE = re.compile(
    r"//[^\n]*|/\*.*?(?:\*/|\Z)|\"\"\".*?(?:(?<!\\)\"\"\"|\Z)|\"(?:[^\"\\\n]|\\.)*\"?|'(?:[^'\\\n]|\\.)*'?", re.DOTALL
)
_PACKAGE = re.compile(r"\bpackage\s+([\w.]+)\s*;")
_PART = re.compile(
    r"(?P<open>\{)|(?P<close>\})|(?P<public>\bpublic\s+)?(?:\b(?:abstract|final|sealed|strictfp)\s+)*"
    r"\b(?:class|record|enum|interface)\s+(?P<name>[A-Za-z_$][\w$]*)|(?P<main>\bstatic\s+(?:final\s+)?void\s+main\s*\()"
)


class JavaNames(NamedTuple):
    """The name of the source's file, without `.java`, and the main class with its package."""

    file: str
    main_class: str


def read_java_names(source: str) -> JavaNames:
    """The names in a source; `Main` where it has none, or none that a file can have."""
    code = _NOT_CODE.sub(" ", source)
    package = _PACKAGE.search(code)
    public, with_main, first = _find_classes(code)
    file = public or with_main or first or "Main"
    if len(file.encode("utf-8", "replace")) > MAX_NAME_BYTES:
        file = "Main"
    prefix = f"{package[1]}." if package else ""
    return JavaNames(file, prefix + (with_main or file))


def _find_classes(code: str) -> tuple[str, str, str]:
    """The top-level class that is public, the one around the first `main`, and the first of all; "" where there is none."""
    public, with_main, first, current = "", "", "", ""
    depth = 0
    for part in _PART.finditer(code):
        if part["name"] and depth == 0:
            current = part["name"]
            first = first or current
            public = current if part["public"] and not public else public
        elif part["open"]:
            depth += 1
        elif part["close"]:
            depth = max(0, depth - 1)
        elif part["main"] and not with_main:
            with_main = current
    return public, with_main, first
