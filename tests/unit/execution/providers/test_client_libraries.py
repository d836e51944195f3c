"""Our calls fit E2B's and Morph's own clients: a misspelt keyword would score every program 0.

The calls are those that the adapters make, bound to the real signatures of what is installed.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
import threading
import time
import types
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import pytest
from protocol_servers import run_in_kernel

from open_r1.errors import ConfigError
from open_r1.execution.programs import Limits, Program, Status
from open_r1.execution.providers import morph
from open_r1.execution.providers.e2b import E2BProvider, OutputMeter
from open_r1.execution.providers.morph import MorphProvider
from open_r1.execution.providers.remote import RetryPolicy
from open_r1.execution.providers.replies import Failure
from open_r1.execution.providers.wrapping import failure_of

e2b_code_interpreter = pytest.importorskip(
    "e2b_code_interpreter", reason="E2B'S CLIENT IS NOT INSTALLED: pip install e2b-code-interpreter"
)
REAL_SANDBOX = e2b_code_interpreter.AsyncSandbox

PATIENCE = RetryPolicy(attempts=2, attempt_s=5.0, deadline_s=10.0, first_delay_s=0.01, max_delay_s=0.05)
QUICK = Limits(wall_s=2.0)


def bind(
    function: Callable[..., Any], self_or_class: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]
) -> None:
    """TypeError if the call doesn't fit; keywords that `**opts` swallows must be known to `ApiParams`."""
    signature = inspect.signature(inspect.unwrap(function))
    bound = signature.bind(self_or_class, *arguments, **keywords)
    swallowing = [name for name, parameter in signature.parameters.items() if parameter.kind is parameter.VAR_KEYWORD]
    swallowed = {key for name in swallowing for key in bound.arguments.get(name, {})}
    from e2b.connection_config import ApiParams

    unknown = swallowed - set(ApiParams.__annotations__)
    if unknown:
        raise TypeError(f"unknown keywords {unknown}")


class RecordingSandbox:
    """Takes E2B's calls if they fit the real class, and runs scripts here."""

    calls: list[str] = []  # noqa: RUF012

    @classmethod
    async def create(cls, *arguments: Any, **keywords: Any) -> RecordingSandbox:
        bind(real("create"), cls, arguments, keywords)
        assert keywords["api_key"] == "e2b_0000" and keywords["allow_internet_access"] is False
        cls.calls.append("create")
        return cls()

    async def run_code(self, *arguments: Any, **keywords: Any) -> Any:
        bind(real("run_code"), self, arguments, keywords)
        self.calls.append("run_code")
        assert keywords["language"] == "python"
        text = await asyncio.to_thread(run_in_kernel, arguments[0])
        return e2b_code_interpreter.Execution(logs=e2b_code_interpreter.Logs(stdout=[text]))

    async def kill(self, *arguments: Any, **keywords: Any) -> bool:
        bind(real("kill"), self, arguments, keywords)
        self.calls.append("kill")
        return True


def real(name: str) -> Callable[..., Any]:
    """A method of E2B's class, without the descriptors around it."""
    attribute = inspect.getattr_static(REAL_SANDBOX, name)
    return getattr(attribute, "__func__", None) or getattr(attribute, "method", None) or attribute


@pytest.fixture
def recording(monkeypatch: pytest.MonkeyPatch) -> type[RecordingSandbox]:
    RecordingSandbox.calls = []
    monkeypatch.setattr(e2b_code_interpreter, "AsyncSandbox", RecordingSandbox, raising=True)
    return RecordingSandbox


def test_e2bs_calls_fit(recording: type[RecordingSandbox]) -> None:
    with E2BProvider("e2b_0000", policy=PATIENCE) as provider:
        execution = provider.execute(Program("print(input())", stdin=b"in\n", limits=QUICK))
    assert execution.stdout == b"in\n", execution
    assert recording.calls == ["create", "run_code", "kill"]


@pytest.mark.parametrize(
    ("method", "arguments", "keywords"),
    [
        ("create", (), {"timeuot": 3}),
        ("create", (), {"languages": ["python"]}),
        ("run_code", ("code",), {"languages": ["python"]}),
        ("kill", (), {"request_timout": 3}),
    ],
)
def test_a_misspelt_keyword_would_not_fit(method: str, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
    """The control: what the test above rests on."""
    with pytest.raises(TypeError):
        bind(real(method), REAL_SANDBOX, arguments, keywords)


def test_a_sandbox_that_floods_is_stopped() -> None:
    meter = OutputMeter(10)
    message = e2b_code_interpreter.OutputMessage(line="12345", timestamp=0)
    meter(message)
    meter(message)
    with pytest.raises(Failure, match="garbled"):
        meter(message)


def e2b_errors() -> list[tuple[Exception, str, bool]]:
    import e2b
    from e2b.exceptions import RateLimitException

    return [
        (RateLimitException("429: Rate limit exceeded"), "rate_limited", True),
        (e2b.AuthenticationException("401: Unauthorized"), "unauthorized", False),
        (e2b.InvalidArgumentException("no"), "refused", False),
        (e2b.TimeoutException("the sandbox was killed"), "timeout", True),
        (e2b.SandboxException("500: boom"), "server_error", True),
        (e2b.SandboxException("400: bad template"), "refused", False),
        (e2b.NotFoundException("sandbox not found"), "server_error", True),
        (ConnectionResetError("reset"), "connection_failed", True),
        (TimeoutError(), "timeout", True),
        (ValueError("Expecting value"), "garbled_reply", True),
        (RuntimeError("?"), "provider_error", True),
    ]


def test_e2bs_errors_say_whether_to_try_again() -> None:
    for error, reason, can_retry in e2b_errors():
        failure = failure_of(error)
        assert (failure.reason, failure.can_retry) == (reason, can_retry), error


def test_a_routers_errors_say_whether_to_try_again() -> None:
    assert failure_of("429: Rate limit exceeded").reason == "rate_limited"
    assert not failure_of("401: Unauthorized, please check your API key").can_retry
    assert failure_of("The sandbox timed out").reason == "timeout"
    assert failure_of("").reason == "sandbox_failed"


class MorphSandbox:
    """Morph's sandbox in this process, with the signatures of morphcloud 0.1.67."""

    script_takes_s = 0.0
    fails_with: Exception | None = None
    open: set[int] = set()  # noqa: RUF012

    @classmethod
    def new(cls, client: Any = None, ttl_seconds: int | None = 600, snapshot_id: str | None = None) -> MorphSandbox:
        if cls.fails_with:
            raise cls.fails_with
        assert client.api_key == "morph_0000" and isinstance(ttl_seconds, int)
        sandbox = cls()
        cls.open.add(id(sandbox))
        return sandbox

    def run_code(self, code: str, language: str = "python", timeout: float = 60.0, show_code: bool = False) -> Any:
        assert language == "python" and timeout < 1000
        time.sleep(self.script_takes_s)
        return types.SimpleNamespace(stdout=run_in_kernel(code), error=None)

    def close(self) -> None:
        raise RuntimeError("closing fails now and then")

    def shutdown(self) -> None:
        self.open.discard(id(self))


class MorphClient:
    def __init__(self, api_key: str | None = None, base_url: str | None = None) -> None:
        self.api_key = api_key


@pytest.fixture
def morphcloud(monkeypatch: pytest.MonkeyPatch) -> type[MorphSandbox]:
    import importlib.machinery

    for name, content in {
        "morphcloud": {},
        "morphcloud.api": {"MorphCloudClient": MorphClient},
        "morphcloud.sandbox": {"Sandbox": MorphSandbox},
    }.items():
        module = types.ModuleType(name)
        module.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=name == "morphcloud")
        module.__path__ = []  # type: ignore[attr-defined]
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    MorphSandbox.script_takes_s, MorphSandbox.fails_with = 0.0, None
    MorphSandbox.open.clear()
    return MorphSandbox


def test_morph_runs_programs_and_ends_its_sandboxes(morphcloud: type[MorphSandbox]) -> None:
    with MorphProvider("morph_0000", policy=PATIENCE) as provider:
        provider.check()
        executions = provider.run(
            [Program("print(input())", stdin=b"%d\n" % index, limits=QUICK) for index in range(4)]
        )
    assert [execution.stdout for execution in executions] == [b"0\n", b"1\n", b"2\n", b"3\n"], executions
    assert not morphcloud.open


def test_a_morph_that_hangs_is_given_up(morphcloud: type[MorphSandbox], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(morph, "MAX_THREADS", 3)
    monkeypatch.setattr(MorphProvider, "program_s", lambda self, program: 0.2)
    morphcloud.script_takes_s = 5.0
    policy = RetryPolicy(attempts=2, attempt_s=0.3, deadline_s=3, first_delay_s=0.01, max_delay_s=0.02)
    with MorphProvider("morph_0000", 8, policy=policy) as provider:
        started = time.monotonic()
        executions = provider.run([Program("print(1)", limits=QUICK)] * 6)
        assert time.monotonic() - started < 15
    assert {execution.reason for execution in executions} <= {"timeout", "provider_down"}
    assert sum(thread.name == "execution-morph" for thread in threading.enumerate()) <= 3


def test_morphs_errors_say_whether_to_try_again() -> None:
    class ApiError(Exception):
        def __init__(self, status_code: int) -> None:
            self.status_code = status_code

    class WebSocketTimeoutException(Exception):
        pass

    for error, reason, can_retry in [
        (ApiError(429), "rate_limited", True),
        (ApiError(401), "unauthorized", False),
        (ApiError(404), "refused", False),
        (ApiError(502), "server_error", True),
        (WebSocketTimeoutException(), "timeout", True),
        (ConnectionError("no"), "connection_failed", True),
    ]:
        failure = failure_of(error)
        assert (failure.reason, failure.can_retry) == (reason, can_retry), error


def test_without_an_old_morphcloud_the_version_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(morph, "find_spec", lambda name: object() if name == "morphcloud" else None)
    monkeypatch.setattr(morph, "version", lambda name: "0.1.100")
    with pytest.raises(ConfigError, match=r"morphcloud 0\.1\.100 is installed.*morphcloud<=0\.1\.67"):
        MorphProvider("morph_0000").check()


def test_morphs_calls_fit() -> None:
    if not find_spec("morphcloud") or not find_spec("morphcloud.sandbox"):
        pytest.skip(
            "MORPHCLOUD 0.1.67 OR OLDER IS NOT INSTALLED: pip install 'morphcloud<=0.1.67' to bind our calls to it"
        )
    from morphcloud.api import MorphCloudClient  # type: ignore[import-not-found]
    from morphcloud.sandbox import Sandbox  # type: ignore[import-not-found]

    inspect.signature(MorphCloudClient).bind(api_key="k", base_url="u")
    for name in ("new", "run_code", "close", "shutdown"):
        ours = inspect.signature(getattr(MorphSandbox, name))
        theirs = inspect.signature(getattr(Sandbox, name))
        assert list(ours.parameters) == list(theirs.parameters), name
        assert [p.kind for p in ours.parameters.values()] == [p.kind for p in theirs.parameters.values()], name


def test_nothing_else_comes_of_a_run_that_printed_no_frame(recording: type[RecordingSandbox]) -> None:
    async def print_nothing(self: Any, *arguments: Any, **keywords: Any) -> Any:
        return e2b_code_interpreter.Execution(logs=e2b_code_interpreter.Logs(stdout=["hello"]))

    recording.run_code = print_nothing  # type: ignore[method-assign]
    with E2BProvider("e2b_0000", policy=PATIENCE) as provider:
        execution = provider.execute(Program("print(1)", limits=QUICK))
    assert (execution.status, execution.reason) == (Status.UNAVAILABLE, "garbled_reply")
