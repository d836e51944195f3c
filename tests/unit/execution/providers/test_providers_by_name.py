"""`get_provider`: names, sharing, settings, the environment."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from open_r1.errors import ConfigError
from open_r1.execution.environment import read_environment
from open_r1.execution.programs import Execution, Program, Status
from open_r1.execution.providers import close_providers, get_provider, provider_specs
from open_r1.execution.providers.e2b import E2BProvider
from open_r1.execution.providers.executor import ExecutorProvider
from open_r1.execution.providers.morph import MorphProvider
from open_r1.execution.providers.piston import PistonProvider
from open_r1.execution.providers.sandbox_fusion import SandboxFusionProvider
from open_r1.execution.providers.scripted import ScriptedProvider, Trouble
from open_r1.execution.providers.wrapping import RouterProvider

VARIABLES = sorted({name for spec in provider_specs().values() for name in spec.variables})


@dataclass
class Settings:
    e2b_router_url: str | None = None
    morph_router_url: str | None = None
    parallel_code_exec_per_proc: int = 2
    code_packages: list[str] = field(default_factory=list)


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty folder, no variables, no providers."""
    monkeypatch.chdir(tmp_path)
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    close_providers()


def test_the_names_are_those_of_the_settings() -> None:
    assert list(provider_specs()) == ["e2b", "executor", "local", "morph", "piston", "sandbox_fusion", "scripted"]
    assert all(spec.summary.endswith(".") for spec in provider_specs().values())


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="unknown execution provider 'pistn'; did you mean 'piston'") as refusal:
        get_provider("pistn")
    assert "sandbox_fusion" in str(refusal.value)


@pytest.mark.parametrize("name", ["e2b", "morph", "piston", "sandbox_fusion", "executor"])
def test_what_is_not_configured_says_what_to_do_and_fails_no_program(name: str) -> None:
    provider = get_provider(name, Settings())
    with pytest.raises(ConfigError, match=r"is not set|is installed") as refusal:
        provider.check()
    assert "export it" in str(refusal.value) or "pip install" in str(refusal.value)
    execution = provider.execute(Program("print(1)"))
    assert (execution.status, execution.reason) == (Status.UNAVAILABLE, "not_configured")


def test_settings_choose_the_router() -> None:
    settings = Settings(e2b_router_url="10.0.0.1:8000", morph_router_url="http://10.0.0.2:8001")
    e2b, morph = get_provider("e2b", settings), get_provider("morph", settings)
    assert isinstance(e2b, RouterProvider) and (e2b.name, e2b.url) == ("e2b", "http://10.0.0.1:8000")
    assert isinstance(morph, RouterProvider) and (morph.name, morph.url) == ("morph", "http://10.0.0.2:8001")


def test_a_router_address_that_is_none_is_named() -> None:
    with pytest.raises(ConfigError, match="e2b_router_url is 'gopher://x'"):
        get_provider("e2b", Settings(e2b_router_url="gopher://x")).check()


def test_the_environment_configures(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "E2B_API_KEY": "e2b_1",
        "MORPH_API_KEY": "morph_1",
        "PISTON_ENDPOINTS": "http://a:2000,http://b:2000/api/v2",
        "PISTON_TOKEN": "t",
        "PISTON_MAX_REQUESTS_PER_ENDPOINT": "3",
        "SANDBOX_FUSION_ENDPOINT": "http://f:8080/run_code",
        "OPEN_R1_EXECUTOR_URL": "http://x:2000",
        "OPEN_R1_EXECUTOR_TOKEN": "t",
    }.items():
        monkeypatch.setenv(name, value)
    e2b = get_provider("e2b", Settings(parallel_code_exec_per_proc=5))
    assert isinstance(e2b, E2BProvider) and e2b.concurrency == 5 and not e2b.problem
    assert isinstance(get_provider("morph"), MorphProvider)
    piston = get_provider("piston")
    assert isinstance(piston, PistonProvider) and piston.concurrency == 6
    assert [endpoint.url for endpoint in piston.endpoints] == ["http://a:2000/api/v2", "http://b:2000/api/v2"]
    fusion = get_provider("sandbox_fusion")
    assert isinstance(fusion, SandboxFusionProvider) and fusion.url == "http://f:8080"
    executor = get_provider("executor")
    assert isinstance(executor, ExecutorProvider) and executor.url == "http://x:2000" and not executor.problem


def test_a_dotenv_file_is_read_for_every_provider_and_put_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text(
        'E2B_API_KEY="e2b_2"\nexport PISTON_ENDPOINTS=http://a:2000\n# a comment\nMORPH_API_KEY=m\n'
    )
    monkeypatch.setenv("MORPH_API_KEY", "of the process")
    assert not get_provider("e2b").problem  # type: ignore[attr-defined]
    assert not get_provider("piston").problem  # type: ignore[attr-defined]
    assert read_environment()["MORPH_API_KEY"] == "of the process"
    assert "E2B_API_KEY" not in os.environ


def test_a_dotenv_file_that_nothing_can_read_is_mentioned(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("E2B_API_KEY=e2b_3\n")
    monkeypatch.setattr("open_r1.execution.environment.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"There is a \.env, but python-dotenv is missing"):
        get_provider("e2b").check()


def test_a_dotenv_file_that_is_not_text_is_refused() -> None:
    Path(".env").write_bytes(b"E2B_API_KEY=\xff\xfe")
    with pytest.raises(ConfigError, match="can't be read"):
        get_provider("e2b")


def test_the_same_settings_share_an_instance(monkeypatch: pytest.MonkeyPatch) -> None:
    assert get_provider("e2b", Settings()) is get_provider("e2b", Settings())
    assert get_provider("e2b", Settings(morph_router_url="x")) is get_provider("e2b", Settings())
    assert get_provider("e2b", Settings(parallel_code_exec_per_proc=7)) is not get_provider("e2b", Settings())
    before = get_provider("piston")
    monkeypatch.setenv("PISTON_ENDPOINTS", "http://a:2000")
    assert get_provider("piston") is not before
    assert get_provider("local", Settings()) is get_provider("local")
    with_numpy = get_provider("local", Settings(code_packages=["numpy"]))
    assert with_numpy is get_provider("local", Settings(code_packages=["numpy"])) is not get_provider("local")


def test_a_fork_makes_its_own() -> None:
    provider = get_provider("e2b")
    child = os.fork()
    if not child:
        os._exit(0 if get_provider("e2b") is not provider else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert get_provider("e2b") is provider


def test_a_users_own_provider_is_found() -> None:
    Path("my_sandbox.py").write_text(
        "from open_r1.execution.providers.scripted import ScriptedProvider\n"
        "class Mine(ScriptedProvider):\n"
        "    def __init__(self):\n"
        "        super().__init__(lambda program: b'mine')\n"
        "ready = Mine()\n"
        "text = 'no provider'\n"
    )
    assert get_provider("my_sandbox:Mine").execute(Program("x")).stdout == b"mine"
    assert get_provider("my_sandbox:ready").execute(Program("x")).stdout == b"mine"
    for reference, complaint in {
        "my_sandbox:Mien": "did you mean 'Mine'",
        "no_such_sandbox:Mine": "no_such_sandbox",
        "my_sandbox:text": "is a str",
        ":Mine": "not of the form module:name",
    }.items():
        with pytest.raises(ConfigError, match=complaint):
            get_provider(reference)


def test_providers_are_closed_when_the_process_ends(tmp_path: Path) -> None:
    (tmp_path / "my_sandbox.py").write_text(
        "from open_r1.execution.providers.scripted import ScriptedProvider\n"
        "class Mine(ScriptedProvider):\n"
        "    def close(self):\n"
        "        super().close()\n"
        "        print('closed')\n"
    )
    code = "from open_r1.execution.providers import get_provider; get_provider('my_sandbox:Mine').check()"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "closed\n"


def test_a_process_that_ends_in_the_middle_of_an_attempt_ends(tmp_path: Path) -> None:
    """A server that says nothing must not hold up the end of the trainer."""
    code = (
        "import socket\n"
        "from open_r1.execution.programs import Program\n"
        "from open_r1.execution.providers import get_provider\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "import os; os.environ['SANDBOX_FUSION_ENDPOINT'] = f'http://127.0.0.1:{server.getsockname()[1]}'\n"
        "future = get_provider('sandbox_fusion').submit(Program('print(1)'))\n"
        "server.accept()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_asking_for_a_provider_loads_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from open_r1.execution.providers import get_provider, provider_specs\n"
        "[get_provider(name) for name in provider_specs() if name not in ('local', 'morph')]\n"
        "heavy = ('e2b', 'httpx', 'httpx2', 'numpy', 'torch', 'datasets', 'fastapi', 'pyarrow')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"


class TestScripted:
    def test_answers_by_source(self) -> None:
        provider = ScriptedProvider({"print(1)": b"1\n", "print(2)": Execution(Status.TIME_LIMIT)})
        assert [execution.stdout for execution in provider.run([Program("print(1)"), Program("print(3)")])] == [
            b"1\n",
            b"",
        ]
        assert provider.execute(Program("print(2)")).status is Status.TIME_LIMIT
        assert provider.execute(Program("print(3)")).reason == "unscripted"
        assert [program.source for program in provider.asked][-1] == "print(3)"

    def test_answers_in_order(self) -> None:
        provider = ScriptedProvider([b"1", Trouble.FAIL, Trouble.RUBBISH, Trouble.HANG, b"2"])
        executions = [provider.execute(Program("x")) for _ in range(6)]
        assert [execution.reason for execution in executions] == [
            "", "provider_error", "garbled_reply", "timeout", "", "unscripted",
        ]  # fmt: skip

    def test_a_script_that_raises_or_returns_nonsense_is_a_provider_that_fails(self) -> None:
        def fail(program: Program) -> bytes:
            raise OSError("no space")

        assert ScriptedProvider(fail).execute(Program("x")).reason == "provider_error"
        assert ScriptedProvider(lambda program: 7).execute(Program("x")).reason == "garbled_reply"  # type: ignore[arg-type, return-value]

    def test_the_settings_bring_the_script(self) -> None:
        class WithScript:
            scripted_executions = [b"1"]  # noqa: RUF012

        assert get_provider("scripted", WithScript()).execute(Program("x")).stdout == b"1"


@pytest.mark.parametrize(
    ("provider", "key", "address"),
    [
        ("e2b", "E2B_API_KEY", "E2B_DOMAIN"),
        ("morph", "MORPH_API_KEY", "MORPH_BASE_URL"),
        ("piston", "PISTON_TOKEN", "PISTON_ENDPOINTS"),
        ("executor", "OPEN_R1_EXECUTOR_TOKEN", "OPEN_R1_EXECUTOR_URL"),
    ],
)
def test_a_dot_env_may_not_redirect_an_exported_key(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, provider: str, key: str, address: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(address, raising=False)
    (tmp_path / ".env").write_text(f"{address}=http://elsewhere.example:1\n", encoding="utf-8")
    monkeypatch.setenv(key, "a key of the user's own, exported")
    with pytest.raises(ConfigError, match=f"{address}.*{key}.*export {address} too"):
        get_provider(provider)
    monkeypatch.setenv(address, "http://of-the-user.example:1")
    assert get_provider(provider)


def test_a_dot_env_with_key_and_address_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("PISTON_TOKEN", "PISTON_ENDPOINTS"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / ".env").write_text("PISTON_TOKEN=t\nPISTON_ENDPOINTS=http://piston.example\n", encoding="utf-8")
    assert get_provider("piston")
