"""`open-r1 executor check`: what this machine gives, in plain sentences, and an exit status that scripts can use."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from open_r1.cli import executor
from open_r1.cli.executor import describe_check
from open_r1.cli.main import build_parser
from open_r1.execution.programs import Execution, Program, Provider, Status
from open_r1.execution.providers.scripted import ScriptedProvider
from open_r1.execution.sandbox import tiers
from open_r1.execution.sandbox.toolchains import COMPILE_LIMITS
from open_r1.execution.service.probes import LOOK_AROUND, probes, run_probes
from open_r1.execution.service.settings import ServiceSettings

REPO = Path(__file__).parents[3]


def needs_sandbox() -> None:
    if not tiers.detect().tier:
        pytest.skip(f"NO SANDBOX HERE: {tiers.detect().obstacles}")


def test_check_tells_tier_languages_self_test_and_rate(open_r1) -> None:
    needs_sandbox()
    ran = open_r1("executor", "check", "--workers", "1")
    assert ran.status == 0, ran.out
    assert ran.out.startswith(f"Tier {tiers.detect().tier}: ")
    assert "python" in ran.out
    assert "FAILED" not in ran.out
    assert "programs a second, one at a time" in ran.out


def test_check_as_json_holds_the_same(open_r1) -> None:
    needs_sandbox()
    ran = open_r1("executor", "check", "--json")
    found = json.loads(ran.out)
    assert found["tier"] == tiers.detect().tier
    assert found["languages"]["python"].startswith("3.")
    assert not any(found["self_test"].values())
    assert found["programs_per_s"] > 1


def test_a_machine_that_can_not_isolate_is_told_why_and_what_to_do(open_r1, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = tiers.Isolation("", {"A": "user namespaces are blocked", "B": "Landlock is too old"})
    monkeypatch.setattr(tiers, "detect", lambda: nothing)
    ran = open_r1("executor", "check")
    assert ran.status == 2
    for words in ("No tier", "user namespaces are blocked", "Landlock is too old", "piston"):
        assert words in ran.out
    assert "Tier A:" not in ran.out


MACHINE = {
    "tier": "A",
    "obstacles": {},
    "languages": {"python": "3.11.7"},
    "missing": {},
    "workers": 2,
    "self_test": {},
    "programs_per_s": None,
}


def test_a_self_test_that_fails_is_exit_status_1(open_r1, monkeypatch: pytest.MonkeyPatch) -> None:
    found = MACHINE | {"missing": {"cpp": "no g++"}, "self_test": {"runs python": "it did not"}}
    monkeypatch.setattr(executor, "check_machine", lambda workers, packages: found)
    ran = open_r1("executor", "check")
    assert ran.status == 1
    assert "FAILED  runs python: it did not" in ran.out
    assert "cpp     missing: no g++" in ran.out
    assert open_r1("executor", "check", "--json").status == 1


def test_the_lower_tier_says_why_not_the_higher() -> None:
    lines = describe_check(MACHINE | {"tier": "B", "obstacles": {"A": "AppArmor restricts it"}, "programs_per_s": 9.0})
    assert lines[0].startswith("Tier B")
    assert "Not tier A: AppArmor restricts it." in lines


@pytest.mark.parametrize("workers", ["0", "-1", "100000"])
def test_a_number_of_workers_that_makes_no_sense_is_refused(open_r1, workers: str) -> None:
    ran = open_r1("executor", "check", "--workers", workers)
    assert ran.status == 2
    assert "--concurrency" in ran.err


def test_every_probe_can_fail() -> None:
    """Against a provider that does nothing, all do; and one that shows this machine is found out."""
    dead: Provider = ScriptedProvider(lambda program: Execution(Status.FINISHED, b"", b"", 0))
    faults = run_probes(dead, {"python": "3", "cpp": "12"})
    assert len(faults) == 6
    assert all(faults.values())
    down = run_probes(ScriptedProvider(lambda program: Execution.unavailable("gone", "away")), {"python": "3"})
    assert all("gone" in fault for fault in down.values())


@pytest.mark.parametrize("sight", ["reads", "sees in its environment", "reaches"])
def test_a_program_that_sees_something_is_told(sight: str) -> None:
    seen = {"reads": [], "sees in its environment": [], "reaches": []} | {sight: ["a secret"]}

    def answer(program: Program) -> bytes:
        return json.dumps(seen).encode() if program.source == LOOK_AROUND else b""

    faults = run_probes(ScriptedProvider(answer), {"python": "3"})
    assert faults["shows programs nothing of this machine"] == f"a program {sight} a secret"


def test_the_files_asked_about_are_there(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".netrc").write_text("secret")
    look_around, _ = probes({"python": "3"})["shows programs nothing of this machine"]
    assert str(tmp_path / ".netrc") in look_around.args


def commands_in_the_guide() -> list[list[str]]:
    guide = (REPO / "docs" / "guides" / "code-execution.md").read_text(encoding="utf-8")
    lines = [line for line in guide.splitlines() if line.startswith("open-r1 executor ")]
    return [shlex.split(line)[1:] for line in lines]


@pytest.mark.parametrize("words", commands_in_the_guide(), ids=" ".join)
def test_the_guides_commands_are_understood(words: list[str]) -> None:
    parsed = build_parser().parse_args(words)
    assert parsed.action in ("check", "serve")


def test_the_guides_table_has_the_defaults_that_hold() -> None:
    guide = (REPO / "docs" / "guides" / "code-execution.md").read_text(encoding="utf-8")
    settings = ServiceSettings()
    parsed = build_parser().parse_args(["executor", "serve"])
    assert f"| `--host`, `--port` | {parsed.host}, {parsed.port} |" in guide
    assert (settings.host, settings.port) == (parsed.host, parsed.port)
    assert f"| `--max_request_mb` | {settings.max_request_mb} |" in guide
    assert f"| `--max_queue` | {settings.max_queue} |" in guide
    most = settings.max_limits
    assert f"{settings.max_programs:,} programs" in guide
    limits = f"{most.wall_s:.0f} s, {most.memory_mb >> 10} GiB of memory, {most.output_kb >> 10} MiB of output"
    assert f"{limits}, {most.processes} processes" in guide
    assert f"({COMPILE_LIMITS.wall_s:.0f} s, {COMPILE_LIMITS.memory_mb >> 10} GiB)" in guide


def test_the_guide_lists_every_option() -> None:
    guide = (REPO / "docs" / "guides" / "code-execution.md").read_text(encoding="utf-8")
    options = vars(build_parser().parse_args(["executor", "serve"])).keys() - {"verb", "action", "run"}
    assert [name for name in options if f"`--{name}" not in guide] == []
