from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

import pytest

from open_r1.errors import ConfigError
from open_r1.execution.programs import Program, Status
from open_r1.execution.sandbox import tiers, toolchains
from open_r1.execution.sandbox.local import LocalProvider
from open_r1.execution.sandbox.tiers import Isolation, worker_config
from open_r1.execution.sandbox.toolchains import files_of, find_toolchain


def test_no_tier_is_a_refusal_with_causes_and_remedy():
    with pytest.raises(ConfigError) as refusal:
        Isolation("", {"A": "unshare user namespace: Operation not permitted", "B": "Landlock ABI none"}).require()
    assert "tier A: unshare user namespace: Operation not permitted; tier B: Landlock ABI none" in str(refusal.value)
    assert "code_provider: executor, piston" in str(refusal.value)


def test_another_system_is_named(monkeypatch):
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    assert tiers.why_not("A") == "it needs Linux, and this is Darwin"


def test_another_machine_is_named(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert "this is riscv64" in tiers.why_not("B")


def test_where_nothing_isolates_nothing_runs(monkeypatch):
    monkeypatch.setattr(platform, "system", lambda: "Windows")
    tiers.detect.cache_clear()
    try:
        with LocalProvider(workers=1) as provider:
            with pytest.raises(ConfigError, match="can't isolate"):
                provider.check()
            execution = provider.execute(Program("print(1)"))
        assert (execution.status, execution.reason) == (Status.UNAVAILABLE, "no_isolation")
    finally:
        tiers.detect.cache_clear()


def test_an_unknown_tier_is_refused():
    with pytest.raises(ConfigError, match="tier 'C' is unknown; the tiers are A, B"):
        LocalProvider(tier="C")


def test_the_interpreters_library_is_shown_and_its_packages_are_hidden():
    config = tiers.worker_config("A")
    assert sys.base_prefix not in config.readable
    assert os.path.dirname(os.__file__) in config.readable
    assert any(folder.startswith(sys.base_prefix) and folder.endswith("site-packages") for folder in config.hidden)
    assert not any(path.startswith(("/home", "/proc", "/sys")) for path in config.readable)


@pytest.mark.parametrize(
    ("name", "language"),
    [
        ("py", "python"),
        ("Python3", "python"),
        ("C++", "cpp"),
        ("c++20", "cpp"),
        ("node", "javascript"),
        (" sh ", "bash"),
    ],
)
def test_languages_have_many_names(name, language):
    toolchain = find_toolchain(name)
    assert toolchain is not None
    assert toolchain.language == language


@pytest.mark.parametrize("name", ["", "brainfuck", "c++99", "cpp1", "../python"])
def test_what_is_no_language_is_none(name):
    assert find_toolchain(name) is None


def test_a_standard_of_cpp_reaches_the_compiler():
    toolchain = find_toolchain("cpp23")
    assert toolchain is not None
    assert "-std=c++23" in toolchain.compile_command("main.cpp", {"grader.cpp": b"", "grader.h": b""})
    assert toolchain.compile_command("main.cpp", {"grader.cpp": b"", "grader.h": b""})[-1] == "grader.cpp"


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("public class Foo {}", "Foo.java"),
        ("import a; public final class Bar {}", "Bar.java"),
        ("class Hidden {}", "Hidden.java"),
        ("class A {} class B { static void main(String[] a) {} }", "B.java"),
        ("/* public class No */ interface I { class In {} }", "I.java"),
        ("", "Main.java"),
    ],
)
def test_a_java_file_is_named_after_its_public_class(source, name):
    toolchain = find_toolchain("java")
    assert toolchain is not None
    assert toolchain.main_file(source) == name


def test_of_a_tool_in_a_home_only_its_own_libraries_are_shown(tmp_path):
    home = tmp_path / ".local"
    for name in ("bin/rustc", "bin/other", "lib/libLLVM.so.22", "lib/rustlib/x/libstd.rlib",
                 "lib/python3.11/site-packages/answers.py", "credentials.toml", "share/key"):  # fmt: skip
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text("")
    shown = [str(Path(path).relative_to(home)) for path in files_of("rustc", home / "bin/rustc")]
    assert shown == ["bin/rustc", "lib/rustlib", "lib/libLLVM.so.22"]
    assert files_of("node", home / "bin/other") == [str(home / "bin/other")]
    assert files_of("node", home / "bin/missing") == []
    assert files_of("bash", Path("/usr/bin/bash")) == []


def test_no_home_nor_what_holds_one_is_shown():
    for tier in ("A", "B"):
        shown = [Path(path) for path in worker_config(tier).readable]
        assert not [path for path in shown if path == Path.home() or path in Path.home().parents]
        assert not [path for path in shown if path.name in (".cargo", ".local", ".rustup", "site-packages")]


def test_a_rustup_without_a_compiler_is_a_missing_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    proxy = tmp_path / "rustc"
    proxy.write_text("#!/bin/sh\necho 'error: rustup could not choose a version' >&2\nexit 1\n")
    proxy.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for cached in (toolchains._rust_root, toolchains._real, toolchains.shown_files, toolchains.find_toolchain):
        cached.cache_clear()
    try:
        rust = toolchains.find_toolchain("rust")
        assert rust is not None and rust.missing() == [toolchains.NO_RUST]
        assert not [path for path in toolchains.shown_files() if "rust" in path]
    finally:
        for cached in (toolchains._rust_root, toolchains._real, toolchains.shown_files, toolchains.find_toolchain):
            cached.cache_clear()
