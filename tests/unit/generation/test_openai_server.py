"""The client against a server that behaves well, and one that doesn't."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from fake_server import FAULTS, FakeSettings, running_fake

from open_r1.errors import ConfigError
from open_r1.generation import EndpointsGone, Reply, RequestFailed, Sampling
from open_r1.generation.openai_server import OpenAIServer
from open_r1.generation.server_settings import ServerSettings

ONE = Sampling(1, 0.6, 0.95, 64, seed=7)
MESSAGES = [{"role": "user", "content": "Compute 2+2"}]


def settings(*urls: str, **changes: Any) -> ServerSettings:
    return ServerSettings(server=urls, **({"pause": 0.01, "patience": 0.5, "timeout": 2.0} | changes))


def complete(server: OpenAIServer, sampling: Sampling = ONE, times: int = 1) -> list[Reply | BaseException]:
    async def main() -> list[Reply | BaseException]:
        await server.start()
        try:
            asked = [server.complete(MESSAGES, sampling) for _ in range(times)]
            return await asyncio.gather(*asked, return_exceptions=True)
        finally:
            await server.close()

    return asyncio.run(asyncio.wait_for(main(), timeout=60))


def test_a_reply_says_what_was_written_and_where_from() -> None:
    with running_fake(FakeSettings(model="teacher")) as fake:
        (reply,) = complete(OpenAIServer(settings(fake.url)))
    assert isinstance(reply, Reply)
    assert reply.completions[0].text.startswith("<think>\nCompute 2+2\n")
    assert reply.completions[0].finish_reason == "stop"
    assert (reply.model, reply.endpoint, reply.seed, reply.attempts) == ("teacher", fake.url, 7, 1)
    assert (reply.prompt_tokens, reply.completion_tokens) == (10, 20)


def test_thinking_sent_apart_comes_back_between_its_tags() -> None:
    with running_fake(FakeSettings()) as whole, running_fake(FakeSettings(splits_thinking=True)) as split:
        texts = [complete(OpenAIServer(settings(fake.url)))[0].completions[0].text for fake in (whole, split)]  # type: ignore[union-attr]
    assert texts[0] == texts[1]


TRANSIENT = [name for name in FAULTS if name not in ("refused", "more", "fewer")]


@pytest.mark.parametrize("fault", TRANSIENT)
def test_what_another_try_may_mend_is_asked_again_until_answered(fault: str) -> None:
    with running_fake(FakeSettings(faults={fault: 0.5}, seed=3)) as fake:
        replies = complete(OpenAIServer(settings(fake.url, timeout=0.3, max_attempts=30)), times=20)
        assert fake.server.counts[fault] > 0
    assert all(isinstance(reply, Reply) for reply in replies)
    assert sum(reply.attempts for reply in replies) >= 20  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("status_500", "server_error"), ("html_502", "server_error"), ("hang", "timeout"), ("reset", "disconnected"),
        ("cut", "cut_body"), ("invalid_json", "not_json"), ("error_200", "error_body"), ("no_choices", "no_choices"),
        ("null_content", "no_content"), ("aborted", "unfinished"),
    ],
)  # fmt: skip
def test_a_request_that_always_fails_ends_with_its_reason(fault: str, reason: str) -> None:
    with running_fake(FakeSettings(faults={fault: 1.0})) as fake:
        server = OpenAIServer(settings(fake.url, max_attempts=3, timeout=0.1, patience=60))
        (failure,) = complete(server)
    assert isinstance(failure, RequestFailed)
    assert (failure.reason, failure.attempts, failure.endpoint) == (reason, 3, fake.url)


def test_a_refused_request_is_not_asked_again() -> None:
    with running_fake(FakeSettings(faults={"refused": 1.0})) as fake:
        (failure,) = complete(OpenAIServer(settings(fake.url)))
        assert fake.server.counts["requests"] == 1
    assert isinstance(failure, RequestFailed)
    assert "maximum context length" in failure.detail


def test_being_busy_costs_no_try_however_often() -> None:
    with running_fake(FakeSettings(busy_above=1, latency_s=0.02)) as fake:
        replies = complete(OpenAIServer(settings(fake.url, max_attempts=1, pause=0.005)), times=20)
        assert fake.server.counts["busy"] > 5
    assert all(isinstance(reply, Reply) for reply in replies)


def test_fewer_choices_than_asked_for_come_as_they_are_and_more_are_left_out() -> None:
    three = Sampling(3, 0.6, 0.95, 64)
    for faults, count in (({"fewer": 1.0}, 2), ({"more": 1.0}, 3), ({}, 3)):
        with running_fake(FakeSettings(faults=faults)) as fake:
            (reply,) = complete(OpenAIServer(settings(fake.url)), three)
        assert isinstance(reply, Reply)
        assert len(reply.completions) == count


def test_requests_in_flight_keep_to_the_limit_of_each_server() -> None:
    with running_fake(FakeSettings(latency_s=0.02)) as first, running_fake(FakeSettings(latency_s=0.02)) as second:
        server = OpenAIServer(settings(first.url, second.url, concurrency=5))
        assert server.concurrency == 10
        complete(server, times=100)
        for fake in (first, second):
            assert fake.server.most_in_flight <= 5
            assert fake.server.counts["answers"] >= 40


def test_a_server_that_dies_is_left_out_and_the_other_does_its_work() -> None:
    said: list[str] = []
    with running_fake(FakeSettings(dies_after=10)) as dying, running_fake(FakeSettings(latency_s=0.002)) as well:
        server = OpenAIServer(settings(dying.url, well.url, concurrency=4, patience=0.3), said.append)
        replies = complete(server, times=400)
    assert all(isinstance(reply, Reply) for reply in replies)
    assert any(dying.url in line and "in a row" in line for line in said)


def test_a_server_that_comes_back_is_used_again() -> None:
    with running_fake(FakeSettings(dies_after=5)) as dying:
        server = OpenAIServer(settings(dying.url, concurrency=2, patience=30, max_attempts=40))
        port = int(dying.url.split(":")[2].split("/")[0])

        async def main() -> list[Any]:
            await server.start()
            asked = asyncio.gather(*(server.complete(MESSAGES, ONE) for _ in range(20)), return_exceptions=True)
            await asyncio.sleep(0.5)
            with running_fake(FakeSettings(), port):
                return await asyncio.wait_for(asked, timeout=30)

        replies = asyncio.run(main())
    assert [type(reply) for reply in replies] == [Reply] * 20


def test_when_every_server_is_gone_the_work_ends_and_says_why() -> None:
    with running_fake(FakeSettings(dies_after=5)) as dying:
        started = time.monotonic()
        server = OpenAIServer(settings(dying.url, concurrency=2, patience=0.3, max_attempts=1000))
        replies = complete(server, times=30)
    assert time.monotonic() - started < 30
    ends = [reply for reply in replies if not isinstance(reply, Reply)]
    assert len(ends) >= 20
    assert all(isinstance(end, EndpointsGone) and "unreachable" in str(end) for end in ends)


def test_an_absent_server_is_told_before_anything_is_asked() -> None:
    with pytest.raises(ConfigError, match=r"no server answers \(http://127.0.0.1:1/v1/models: .*vllm serve"):
        complete(OpenAIServer(settings("127.0.0.1:1")))


def test_a_server_that_comes_up_late_is_waited_for() -> None:
    with running_fake() as fake:
        port = int(fake.url.split(":")[2].split("/")[0])
    server = OpenAIServer(settings(f"127.0.0.1:{port}", wait_for_server=20))

    async def main() -> list[str]:
        starting = asyncio.create_task(server.start())
        await asyncio.sleep(0.3)
        with running_fake(FakeSettings(), port):
            return await asyncio.wait_for(starting, timeout=20)

    assert asyncio.run(main()) == []


def test_one_of_two_servers_may_be_absent_at_first() -> None:
    with running_fake() as fake:
        server = OpenAIServer(settings("127.0.0.1:1", fake.url))
        notices: list[str] = []

        async def main() -> None:
            notices.extend(await server.start())
            await server.close()

        asyncio.run(main())
    assert len(notices) == 1
    assert "http://127.0.0.1:1/v1 does not answer yet" in notices[0]
    assert server.model == "fake"


def test_a_misspelt_model_is_named_with_the_nearest() -> None:
    with running_fake(FakeSettings(model="DeepSeek-R1")) as fake, pytest.raises(ConfigError) as refused:
        complete(OpenAIServer(settings(fake.url, model="DeepSeek-R")))
    assert "has no model 'DeepSeek-R'; did you mean 'DeepSeek-R1'?" in str(refused.value)


def test_a_server_that_lists_no_models_says_at_the_first_request_that_it_has_no_such_one() -> None:
    with running_fake(FakeSettings(model="teacher")) as fake:
        server = OpenAIServer(settings(fake.url, model="pupil"))

        async def lists_nothing(url: str) -> None: ...

        server._list_models = lists_nothing  # type: ignore[method-assign]

        async def main() -> Any:
            await server.start()
            try:
                return await server.complete(MESSAGES, ONE)
            finally:
                await server.close()

        with pytest.raises(EndpointsGone, match=r"status 404: 404: NotFoundError: The model `pupil` does not exist"):
            asyncio.run(main())


def test_a_key_is_sent_and_never_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with running_fake(FakeSettings(key="sk-secret")) as fake:
        monkeypatch.setenv("TEACHER_KEY", "sk-secret")
        assert isinstance(complete(OpenAIServer(settings(fake.url, api_key_env="TEACHER_KEY")))[0], Reply)
        monkeypatch.setenv("TEACHER_KEY", "sk-wrong")
        (end,) = complete(OpenAIServer(settings(fake.url, api_key_env="TEACHER_KEY")))
    assert "unauthorized" in str(end)
    assert "sk-wrong" not in str(end)
    monkeypatch.setenv("TEACHER_KEY", "sk\r\nEvil: 1")
    with pytest.raises(ConfigError, match="TEACHER_KEY"):
        OpenAIServer(settings("x:1", api_key_env="TEACHER_KEY"))


def test_extra_body_adds_and_takes_away() -> None:
    server = OpenAIServer(settings("x:1", model="m", extra_body={"top_k": 20, "seed": None}))
    body = server.make_body(MESSAGES, ONE)
    assert b'"top_k":20' in body
    assert b"seed" not in body


@pytest.mark.parametrize(
    "change", [{"concurrency": 0}, {"timeout": 0}, {"max_attempts": 0}, {"requests_per_minute": -1}]
)
def test_settings_out_of_range_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(change))):
        settings("x:1", **change)


def test_more_requests_in_flight_than_files_may_be_open_are_refused() -> None:
    with pytest.raises(ConfigError, match="ulimit -n"):
        OpenAIServer(settings("x:1", concurrency=2**30))


@pytest.mark.parametrize(("owner", "sent"), [("vllm", 1.0), ("sglang", 1.0), ("open-r1", None), ("", None)])
def test_servers_that_apply_a_generation_config_are_asked_for_no_penalty(owner: str, sent: float | None) -> None:
    """vLLM and SGLang apply the repetition_penalty of generation_config.json unseen; others refuse the field."""
    with running_fake(FakeSettings(owner=owner)) as fake:
        server = OpenAIServer(settings(fake.url))
        server.find_model()
        assert json.loads(server.make_body(MESSAGES, ONE)).get("repetition_penalty") == sent
        asked = OpenAIServer(settings(fake.url, extra_body={"repetition_penalty": 1.1}))
        asked.find_model()
        assert json.loads(asked.make_body(MESSAGES, ONE))["repetition_penalty"] == 1.1
