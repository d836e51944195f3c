"""What the guide says of the providers is so."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

import open_r1.execution.providers as package
from open_r1.execution.providers import executor, piston, provider_specs, remote, sandbox_fusion, wrapping
from open_r1.execution.sandbox.toolchains import TOOLCHAINS

SOURCES = "\n".join(path.read_text() for path in Path(package.__file__).parent.glob("*.py"))


@pytest.fixture(scope="module")
def guide(repo: Path) -> str:
    return (repo / "docs" / "guides" / "code-execution.md").read_text().split("\n## Providers\n", 1)[1]


def test_every_provider_is_there_with_what_it_reads(guide: str) -> None:
    for spec in provider_specs().values():
        assert f"`{spec.name}`" in guide
        unsaid = {"E2B_DOMAIN", "MORPH_BASE_URL", "RANK", "WORLD_SIZE", "scripted_executions"}
        for name in {*spec.settings, *spec.variables} - unsaid:
            assert f"`{name}`" in guide, name


def test_every_provider_can_be_chosen() -> None:
    from open_r1.configs import GRPOScriptArguments

    choices = get_args(get_type_hints(GRPOScriptArguments)["code_provider"])
    assert set(choices) == set(provider_specs()) - {"scripted"}


def test_every_reason_is_explained(guide: str) -> None:
    found = set(re.findall(r'(?:Failure|unavailable)\(\s*"([a-z_]+)"', SOURCES))
    found |= {
        reason for text in re.findall(r"REASONS = \{([^}]*)\}", SOURCES) for reason in re.findall(r': "(\w+)"', text)
    }
    assert {"connection_failed", "limit_too_low", "too_large", "provider_down"} <= found
    for reason in found - {"unscripted"}:
        assert f"`{reason}`" in guide, reason


def test_the_figures_are_the_codes(guide: str) -> None:
    assert f"| `executor` | {executor.CONCURRENCY} |" in guide
    fusion = inspect.signature(sandbox_fusion.SandboxFusionProvider).parameters["concurrency"].default
    assert f"| `sandbox_fusion` | {fusion} |" in guide
    assert wrapping.ROUTER_CONCURRENCY == 32 and "through a router 32" in guide
    policy = remote.RetryPolicy()
    assert (policy.attempts, policy.first_delay_s, policy.max_delay_s, policy.deadline_s) == (6, 1, 20, 180)
    assert (remote.SUSPECT_AFTER, policy.cool_down_s) == (3, 30)
    assert (piston.RETRY_ENDPOINT_S, piston.MAX_RETRY_ENDPOINT_S) == (15, 300)
    assert executor.LONGEST_WAIT_S == 3600
    for words in ("at most six", "about a second to twenty", "up to three minutes", "three programs in a row",
                  "for 30 seconds", "for 15 seconds, then 30, up to five minutes", "up to an hour"):  # fmt: skip
        assert words in " ".join(guide.split()), words


def test_the_languages_are_the_codes(guide: str) -> None:
    (row,) = re.findall(r"^\| languages \|.*", guide, re.MULTILINE)
    said = {name.strip() for name in row.split("|")[4].split(",")}
    assert said == set(sandbox_fusion.NAMES)
    assert set(sandbox_fusion.NAMES) | set(piston.NAMES) <= set(TOOLCHAINS)
