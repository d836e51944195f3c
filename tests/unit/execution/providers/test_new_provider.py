"""Adding a provider is one new file: found by its name, described, shared and used like the others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from open_r1.errors import ConfigError
from open_r1.execution import providers
from open_r1.execution.judge.judge import Judge, Submission, Test
from open_r1.execution.programs import Program
from open_r1.execution.providers import close_providers, get_provider, provider_specs

PARROT = """
from open_r1.execution.programs import Execution, Provider, Status
from open_r1.execution.providers import ProviderSpec, setting


class ParrotProvider(Provider):
    name = "parrot"

    def __init__(self, word):
        super().__init__()
        self.word = word

    def execute(self, program):
        return Execution(Status.FINISHED, stdout=self.word.encode(), exit_code=0)


PROVIDER = ProviderSpec(
    "parrot",
    lambda settings, environment: ParrotProvider(setting(settings, "parrot_word", environment.get("PARROT_WORD", ""))),
    "Says one word.",
    settings=("parrot_word",),
    variables=("PARROT_WORD",),
)
"""


@pytest.fixture
def parrot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "parrot.py").write_text(PARROT)
    monkeypatch.setattr(providers, "__path__", [*providers.__path__, str(tmp_path)])
    provider_specs.cache_clear()
    yield
    close_providers()
    provider_specs.cache_clear()


@pytest.mark.usefixtures("parrot")
def test_a_file_with_a_provider_is_all_that_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert provider_specs()["parrot"].summary == "Says one word."
    monkeypatch.setenv("PARROT_WORD", "hello")
    provider = get_provider("parrot")
    assert provider is get_provider("parrot")
    judged = Judge(provider).judge([Submission(Program(""), [Test(b"", b"hello"), Test(b"", b"bye")])])[0]
    assert judged.share == 0.5
    monkeypatch.setenv("PARROT_WORD", "bye")
    assert get_provider("parrot") is not provider


def test_without_the_file_there_is_no_such_provider() -> None:
    with pytest.raises(ConfigError, match="unknown execution provider 'parrot'"):
        get_provider("parrot")
