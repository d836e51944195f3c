"""Whatever a completion's program is, it has a value: only a fault of ours leaves it unscored."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from itertools import islice
from typing import Any

import pytest
from hostile_programs import SOURCES, hostile_programs

from open_r1.execution.programs import Execution, Limits, Program
from open_r1.execution.sandbox import tiers
from open_r1.execution.sandbox.local import LocalProvider
from open_r1.execution.sandbox.toolchains import find_toolchain
from open_r1.rewards.functions.code import get_binary_code_reward, get_code_reward

pytestmark = pytest.mark.skipif(tiers.detect().tier != "A", reason="the sandbox's tier A isn't available here")

QUICK_PROGRAMS, SLOW_PROGRAMS = 6, 2000
QUICK = Limits(wall_s=2.0, cpu_s=0.5, memory_mb=128, output_kb=256)

FRAGILE_CHECKER = {
    "language": "python",
    "source": "import sys\nassert int(open('output.txt').read()) == 7\nprint(1)",
}


def has(language: str) -> bool:
    toolchain = find_toolchain(language)
    return toolchain is not None and not toolchain.missing()


LANGUAGES = [language for language in SOURCES if has(language)]


class ImpatientProvider(LocalProvider):
    """The sandbox with limits that make a thousand endless loops bearable; compilers keep theirs."""

    def submit(self, program: Program) -> Future[Execution]:
        is_mean = program.language != "java" and "assert int(open" not in program.source
        return super().submit(replace(program, limits=QUICK) if is_mean else program)


@pytest.fixture(scope="module")
def provider() -> Iterator[ImpatientProvider]:
    with ImpatientProvider(workers=2) as made:
        yield made


def infos(language: str) -> list[dict[str, Any]]:
    """Problems of each kind: an output to be met, a checker of the row's that is easily upset, a function to be called."""
    stdio = {"language": language, "test_cases": [{"input": "7\n", "output": "7\n"}]}
    found = [stdio, {**stdio, "checker": FRAGILE_CHECKER}, {**stdio, "comparison": "numeric"}]
    if language == "python":
        call = {"fn_name": "f", "input": [7], "output": [7]}
        found += [{"language": language, "test_cases": [call]}, {"test_cases": [call], "checker": FRAGILE_CHECKER}]
    return found


def unscored(provider: LocalProvider, language: str, count: int) -> list[tuple[str, str, Any]]:
    """(source, reason, details) of each program that has no value."""
    problems = infos(language)
    sources = list(islice(hostile_programs(language, seed=0), count))
    texts = [f"````{language}\n{source}\n````" for source in sources]
    chosen = [problems[place % len(problems)] for place in range(count)]
    lost = []
    for reward in (get_code_reward(provider), get_binary_code_reward(provider)):
        outcomes = reward.score(texts, verification_info=chosen)
        assert len(outcomes) == count
        lost += [
            (source, outcome.reason, outcome.details)
            for source, outcome in zip(sources, outcomes, strict=True)
            if outcome.value is None or not outcome.reason
        ]
    return lost


@pytest.mark.parametrize("language", LANGUAGES)
def test_hostile_programs_have_a_value(provider: ImpatientProvider, language: str) -> None:
    assert unscored(provider, language, QUICK_PROGRAMS if find_toolchain(language).compile else 100) == []


@pytest.mark.slow
@pytest.mark.parametrize("language", LANGUAGES)
def test_two_thousand_hostile_programs_have_a_value(provider: ImpatientProvider, language: str) -> None:
    assert unscored(provider, language, SLOW_PROGRAMS // len(LANGUAGES) + 1) == []
