"""The original's scripts for traces, with the original's flags."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from fake_server import FakeSettings, running_fake

from open_r1.cli._generation_scripts import jinja_of, run_generate, run_generate_reasoning
from open_r1.errors import ConfigError
from open_r1.rundir import read_json, read_jsonl


@pytest.fixture
def problems(tmp_path: Path) -> Path:
    path = tmp_path / "problems.jsonl"
    rows = [{"problem": f"Solve {index}x = {{3}}", "uuid": f"u{index}", "seed": index} for index in range(12)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def words(**flags: object) -> list[str]:
    return [word for name, value in flags.items() for word in (f"--{name.replace('_', '-')}", str(value))]


def test_generate_reasoning_writes_a_line_a_problem_and_goes_on_where_it_stopped(
    tmp_path: Path, problems: Path
) -> None:
    out = tmp_path / "generations.jsonl"
    with running_fake(FakeSettings(dies_after=20, latency_s=0.001)) as fake:
        address = fake.url.removeprefix("http://").removesuffix("/v1")
        command = words(
            dataset_name=problems, output_file=out, prompt_column="problem", uuid_column="uuid", api_addr=address,
            num_generations=3, max_concurrent=4, max_tokens=64, timeout=1,
        )  # fmt: skip
        script = [sys.executable, "scripts/generate_reasoning.py", *command]
        process = subprocess.Popen(script, cwd=Path(__file__).parents[2], stderr=subprocess.PIPE)
        while len(read_traces(out)) < 20 and process.poll() is None:
            pass
        process.kill()
        process.communicate()
        port = int(address.partition(":")[2])
    assert 20 <= len(read_traces(out)) < 36
    with running_fake(FakeSettings(), port) as fake:
        assert run_generate_reasoning(command) == 0
        assert fake.server.counts["requests"] < 20
    rows = read_jsonl(out)
    assert sorted(row["uuid"] for row in rows) == sorted(f"u{index}" for index in range(12))
    for row in rows:
        assert set(row) == {"problem", "uuid", "seed", "generations", "finish_reasons", "api_metadata"}
        assert len(set(row["generations"])) == 3
        assert row["finish_reasons"] == ["stop"] * 3
        assert row["seed"] == int(row["uuid"][1:])
        assert row["problem"] in row["generations"][0]
    assert len(read_traces(out)) == 36


def read_traces(out: Path) -> list[bytes]:
    path = out.with_name(f"{out.name}.traces") / "traces.jsonl"
    return path.read_bytes().splitlines() if path.exists() else []


def test_the_originals_template_reaches_the_server(
    problems: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from open_r1.cli._generation_scripts import REASONING_TEMPLATE
    from open_r1.data.problems import ProblemSet, ProblemSource

    source = ProblemSource(str(problems), prompt_column="problem", prompt_template=jinja_of(REASONING_TEMPLATE))
    text = next(iter(ProblemSet(source))).messages[0]["content"]
    assert text.endswith("put your final answer within \\boxed{}:\nSolve 0x = {3}")
    assert text.startswith("You will be given a problem.")
    with pytest.raises(ConfigError, match="prompt-template"):
        jinja_of("{problem}")


def test_generate_keeps_the_servers_sampling_where_none_is_given(tmp_path: Path, problems: Path) -> None:
    common = {"hf_dataset": problems, "prompt_column": "problem", "model": "fake", "max_new_tokens": 64}
    with running_fake() as fake:
        command = words(**common, vllm_server_url=fake.url, num_generations=2, retries=2)
        assert (
            run_generate([*command, "--output-dir", str(tmp_path / "a"), "--prompt-template", "Q: {{ instruction }}"])
            == 0
        )
        assert run_generate([*command, *words(output_dir=tmp_path / "b", temperature=0.7, top_p=0.9)]) == 0
    assert read_json(tmp_path / "a" / "identity.json")["extra_body"] == {"temperature": None, "top_p": None}
    sampled = read_json(tmp_path / "b" / "identity.json")
    assert (sampled["extra_body"], sampled["temperature"], sampled["top_p"]) == ({}, 0.7, 0.9)
    assert len(read_jsonl(tmp_path / "a" / "traces.jsonl")) == 24


def test_a_push_that_fails_loses_nothing_and_is_tried_again_alone(
    tmp_path: Path, problems: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from open_r1.hub import push

    pushed = []

    class Api:
        is_down = True

        def create_repo(self, name: str, **options: object) -> None:
            if Api.is_down:
                raise OSError("the Hub is down")

        def upload_folder(self, **options: object) -> None:
            pushed.append(options)

    monkeypatch.setattr(push, "default_api", Api)
    with running_fake() as fake:
        command = words(
            hf_dataset=problems, prompt_column="problem", model="fake", max_new_tokens=64, vllm_server_url=fake.url,
            num_generations=2, hf_output_dataset="me/traces", output_dir=tmp_path / "out",
        )  # fmt: skip
        assert run_generate([*command, "--private"]) == 1
        assert "nothing is lost" in capsys.readouterr().err
        Api.is_down = False
        assert run_generate([*command, "--private"]) == 0
        assert fake.server.counts["requests"] == 24
    assert pushed[0]["repo_id"] == "me/traces"
    grouped = read_jsonl(tmp_path / "out" / "grouped.jsonl")
    assert len(grouped) == 12
    assert all(len(row["generation"]) == 2 and row["model_name"] == "fake" for row in grouped)


def test_a_missing_column_is_refused_with_status_2(
    tmp_path: Path, problems: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = words(
        dataset_name=problems, output_file=tmp_path / "o.jsonl", prompt_column="problm", uuid_column="uuid"
    )
    assert run_generate_reasoning(command) == 2
    assert "did you mean 'problem'" in capsys.readouterr().err
