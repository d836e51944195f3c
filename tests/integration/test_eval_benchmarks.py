"""`open-r1 eval --benchmarks` from end to end: real problems, scripted models, bad servers, kills."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fake_server import FakeSettings, running_fake
from scripted import ScriptedCompleter

from open_r1.errors import ConfigError
from open_r1.evaluation import EvaluationSettings, plan_evaluation, run_evaluation
from open_r1.evaluation.backends import Backend, estimate_tokens
from open_r1.evaluation.benchmarks import get_benchmark
from open_r1.records import Problem
from open_r1.rundir import read_json, read_jsonl

Command = Callable[..., Any]
Answer = Callable[[Problem], str]

FILES = {"math_500": "math500", "aime24": "aime24", "gsm8k": "gsm8k_test", "humaneval": "humaneval"}
COUNTS = {"math_500": 500, "aime24": 30, "gsm8k": 1319, "humaneval": 164}


def perfect(question: Problem) -> str:
    if "canonical_solution" in question.metadata:
        return code_of(question, question.metadata["canonical_solution"])
    answer = question.gold.partition("####")[2].strip() or question.gold
    return f"<think>\nIt might be 12345.\n</think>\nThe answer is \\boxed{{{answer}}}."


def code_of(question: Problem, body: str) -> str:
    return f"<think>\nhm\n</think>\n```python\n{question.metadata['prompt']}{body}\n```"


def wrong(question: Problem) -> str:
    if "canonical_solution" in question.metadata:
        return code_of(question, "    return None\n")
    return "<think>\nhm\n</think>\n\\boxed{-987654321}"


ADVERSARIAL: dict[str, Answer] = {
    "thinking that never ends": lambda question: f"<think>\n{bare(question)}",
    "right answer taken back": lambda question: f"{perfect(question)}\nNo: \\boxed{{-987654321}}",
    "right answer in the thinking alone": lambda question: f"<think>\n{bare(question)}\n</think>\nI am done with it now.",
    "nothing": lambda question: "",
    "all answers": lambda question: "\\boxed{" + ", ".join(map(str, range(1000))) + "}",
    "a tower of powers": lambda question: "\\boxed{9^{9^{9^{9}}}}",
}  # fmt: skip

HACKS = {
    "a result equal to everything": "    class Equal:\n        def __eq__(self, other): return True\n    return Equal()\n",
    "an early exit": "    import os\n    os._exit(0)\n",
    "no program": "",
}


def bare(question: Problem) -> str:
    return perfect(question).rpartition("</think>")[2]


def run_scripted(name: str, answer: Answer, folder: Path, real_data: Path, **wanted: Any) -> Mapping[str, Any]:
    """The result of a model that answers every sample of a question by `answer`."""
    plan = plan_evaluation(
        get_benchmark(name), EvaluationSettings(num_samples=2, **wanted), str(real_data / f"{FILES[name]}.jsonl")
    )
    by_prompt = {question.prompt: question for question in plan.problems}
    completer = ScriptedCompleter(lambda prompt, seed: answer(by_prompt[prompt]))
    return run_evaluation(plan, Backend(completer, None, estimate_tokens), folder)["modes"]["sampled"]


def need_sandbox(name: str) -> None:
    if name == "humaneval":
        try:
            get_benchmark(name).check()
        except ConfigError as error:
            pytest.skip(f"NO SANDBOX HERE: {error}")


@pytest.mark.parametrize("name", FILES)
def test_a_perfect_model_scores_everything(name: str, real_data: Path, tmp_path: Path) -> None:
    need_sandbox(name)
    result = run_scripted(name, perfect, tmp_path / "out", real_data)
    assert result["accuracy"]["value"] == 1.0
    assert result["accuracy"]["n"] == COUNTS[name]
    assert result["reasons"] == {"correct": 2 * COUNTS[name]}


@pytest.mark.parametrize("name", FILES)
def test_a_model_right_on_every_other_problem_scores_exactly_that(name: str, real_data: Path, tmp_path: Path) -> None:
    need_sandbox(name)
    questions = get_benchmark(name).load(str(real_data / f"{FILES[name]}.jsonl"))
    odd = {question.id for question in questions[1::2]}
    result = run_scripted(
        name, lambda question: (perfect if question.id in odd else wrong)(question), tmp_path / "out", real_data
    )
    assert result["accuracy"]["value"] == pytest.approx(len(odd) / COUNTS[name], abs=1e-12)
    assert result["unscored_share"] == 0
    assert result["pass_at"]["2"]["value"] == pytest.approx(len(odd) / COUNTS[name], abs=1e-12)


@pytest.mark.parametrize("trick", ADVERSARIAL)
@pytest.mark.parametrize("name", ["math_500", "aime24", "gsm8k"])
def test_no_trick_scores_on_answers(name: str, trick: str, real_data: Path, tmp_path: Path) -> None:
    result = run_scripted(name, ADVERSARIAL[trick], tmp_path / "out", real_data, max_problems=100)
    assert result["accuracy"]["value"] == 0.0
    assert result["pass_at"]["2"]["value"] == 0.0


@pytest.mark.parametrize("trick", HACKS)
def test_no_trick_scores_on_programs(trick: str, real_data: Path, tmp_path: Path) -> None:
    need_sandbox("humaneval")

    def answer(question: Problem) -> str:
        return code_of(question, HACKS[trick]) if HACKS[trick] else "It is easy, and left to the reader."

    result = run_scripted("humaneval", answer, tmp_path / "out", real_data, max_problems=20)
    assert result["accuracy"]["value"] == 0.0
    assert result["unscored_share"] == 0.0


TESTS = str(Path(__file__).parents[1])
KILLED = """
import sys
from pathlib import Path
from open_r1.evaluation.backends import Backend, estimate_tokens
from open_r1.evaluation.benchmarks import get_benchmark
from open_r1.evaluation import EvaluationSettings, plan_evaluation, run_evaluation

source, out, latency, tests = sys.argv[1:]
sys.path.append(tests)
from scripted import ScriptedCompleter

plan = plan_evaluation(get_benchmark("math_500"), EvaluationSettings(num_samples=4, max_problems=100), source)
golds = {problem.prompt: problem.gold for problem in plan.problems}
script = lambda prompt, seed: f"<think>x</think>\\\\boxed{{{golds[prompt] if seed % 3 else 0}}}"
completer = ScriptedCompleter(script, concurrency=2, latency_s=float(latency))
run_evaluation(plan, Backend(completer, None, estimate_tokens), Path(out))
"""


def test_a_run_that_was_killed_ends_with_the_same_bytes(real_data: Path, tmp_path: Path) -> None:
    def command(out: str, latency: float) -> list[str]:
        return [
            sys.executable,
            "-c",
            KILLED,
            str(real_data / "math500.jsonl"),
            str(tmp_path / out),
            str(latency),
            TESTS,
        ]

    subprocess.run(command("whole", 0), check=True, timeout=300, capture_output=True)
    traces = tmp_path / "parts" / "completions" / "sampled" / "traces.jsonl"
    counts = []
    for _ in range(3):
        process = subprocess.Popen(command("parts", 0.05), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        size = traces.stat().st_size if traces.exists() else 0
        deadline = time.monotonic() + 120
        while (traces.stat().st_size if traces.exists() else 0) < size + 5000 and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(timeout=30)
        with traces.open("ab") as file:  # what a write that was cut off leaves
            file.write(b'{"problem_id": "torn')
        counts.append(traces.read_bytes().count(b"\n"))
    assert 0 < counts[0] < counts[1] < counts[2] < 400
    subprocess.run(command("parts", 0), check=True, timeout=300, capture_output=True)
    for name in ("summary.json", "samples.jsonl"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert len(read_jsonl(traces)) == 400


# --- the command ----------------------------------------------------------------------------------------------------


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    path = tmp_path / "numbers.jsonl"
    path.write_text("".join(json.dumps({"problem": f"{index}?", "answer": index}) + "\n" for index in range(10)))
    return path


def test_two_benchmarks_from_a_server_in_one_table(
    open_r1: Command, real_data: Path, numbers: Path, tmp_path: Path
) -> None:
    with running_fake(FakeSettings(model="teacher")) as fake:
        words = (
            "eval", "teacher", "--benchmarks", f"aime24,{numbers}", "--data", f"aime24={real_data / 'aime24.jsonl'}",
            "--server", fake.url, "--num_samples", 2, "--output_dir", tmp_path / "out",
        )  # fmt: skip
        ran = open_r1(*words)
        assert ran.status == 0, ran.err
        asked = fake.server.counts["answers"]
        again = open_r1(*words)
        assert fake.server.counts["answers"] == asked == 80
    assert "DeepSeek-R1-Distill-Qwen-7B (published)" in ran.out and "51.3" in ran.out
    assert again.out == ran.out
    assert (tmp_path / "out" / "table.md").read_text() in ran.out
    assert set(read_json(tmp_path / "out" / "results.json")["benchmarks"]) == {"aime24", "numbers"}
    row = read_jsonl(tmp_path / "out" / "numbers" / "samples.jsonl")[0]
    assert row["completion"].startswith("<think>") and row["reason"] == "wrong" and row["extracted_answer"]


def test_a_server_that_is_down_is_told(open_r1: Command, numbers: Path, tmp_path: Path) -> None:
    ran = open_r1(
        "eval", "m", "--benchmarks", numbers, "--server", "http://127.0.0.1:9/v1", "--output_dir", tmp_path / "out"
    )
    assert ran.status == 2 and "no server answers" in ran.err and "--wait_for_server" in ran.err


def test_a_server_that_goes_down_mid_way_is_told_and_the_rest_drawn_later(
    open_r1: Command, numbers: Path, tmp_path: Path
) -> None:
    words = ("eval", "fake", "--benchmarks", numbers, "--output_dir", tmp_path / "out", "--patience", 0.2)
    with running_fake(FakeSettings(dies_after=15)) as fake:
        ran = open_r1(*words, "--server", fake.url, "--concurrency", 1)
    assert ran.status == 1 and "no server is left" in ran.err and "run the same command again" in ran.err
    assert not (tmp_path / "out" / "numbers" / "summary.json").exists()
    kept = len(read_jsonl(tmp_path / "out" / "numbers" / "completions" / "sampled" / "traces.jsonl"))
    assert kept in (15, 16)
    with running_fake() as fake:
        assert open_r1(*words, "--server", fake.url).status == 0
        assert fake.server.counts["answers"] == 40 - kept


def test_a_model_that_the_server_lacks_is_told_with_the_nearest(
    open_r1: Command, numbers: Path, tmp_path: Path
) -> None:
    with running_fake(FakeSettings(model="teacher")) as fake:
        ran = open_r1(
            "eval", "techer", "--benchmarks", numbers, "--server", fake.url, "--output_dir", tmp_path / "out"
        )
    assert ran.status == 2 and "has no model 'techer'; did you mean 'teacher'?" in ran.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["m"], "give either --benchmarks NAME or --problems FILE"),
        (["--benchmarks", "aime24"], "no model was named"),
        (["m", "--benchmarks", "aime42"], "unknown benchmark 'aime42'; did you mean 'aime25'?"),
        (["m", "--benchmarks", "math500"], "did you mean 'math_500'?"),
        (["m", "--benchmarks", "aime24", "--data", "aime24"], "does not have the form NAME=FILE"),
        (["m", "--benchmarks", "aime24", "--data", "aime24=absent.jsonl"], "'absent.jsonl' does not exist"),
        (["m", "--benchmarks", "aime24"], "local file with its columns works too: --data aime24=FILE"),
        (["m", "--benchmarks", "aime24", "--backend", "server"], "needs its address: --server"),
        (["m", "--benchmarks", "aime24", "--backend", "vllm", "--server", "http://x"], "--server has no use"),
        (["m", "--benchmarks", "aime24", "--parallel", "data"], "needs --backend vllm"),
        (["m", "--benchmarks", "aime24", "--num_samples", "0"], "--num_samples must be at least 1"),
        (["m", "--benchmarks", "aime24", "--server", "http://x", "--num_gpus", "8"], "--num_gpus 8 has no use with"),
        (["m", "--benchmarks", "aime24", "--server", "http://x", "--batch_size", "8"], "--batch_size 8 has no use with"),
        (["m", "--benchmarks", "aime24", "--server", "http://x", "--max_model_len", "8"], "--max_model_len 8 has no use"),
        (["m", "--benchmarks", "aime24", "--max_model_len", "8"], "has no use without --backend vllm"),
        (["m", "--benchmarks", "aime24", "--num_gpus", "8"], "--num_gpus 8 has no use without --parallel data"),
        (["m", "--benchmarks", "aime24", "--prompt_column", "q"], "--prompt_column q has no use without --problems"),
        (["m", "--benchmarks", "aime24", "--solution_column", "q"], "--solution_column q has no use without --problems"),
        (["m", "--problems", "x.jsonl", "--lighteval", "print"], "--lighteval print has no use with --problems"),
        (["m", "--problems", "x.jsonl", "--data", "a=b"], "--data a=b has no use with --problems"),
        *(
            (["m", "--benchmarks", "aime24", "--lighteval", "print", *words], f"{' '.join(words)} has no use")
            for words in (
                ["--num_samples", "2"], ["--temperature", "0.0"], ["--max_new_tokens", "9"], ["--data", "aime24=f"],
                ["--max_problems", "3"], ["--seed", "0"], ["--skip_unusable"],
            )
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said_before_a_model_is_loaded(
    open_r1: Command, words: list[str], message: str
) -> None:
    ran = open_r1("eval", *words)
    assert ran.status == 2
    assert message in ran.err


def test_the_list_names_every_benchmark(open_r1: Command) -> None:
    ran = open_r1("eval", "--list")
    assert ran.status == 0
    assert "AIME 2024" in ran.out and "64 samples" in ran.out and "livecodebench/code_generation_lite" in ran.out


def test_a_transformers_model_is_evaluated_compared_and_monitored(
    open_r1: Command, tiny_model: Path, numbers: Path, tmp_path: Path
) -> None:
    for name, seed in (("a", 0), ("b", 1)):
        ran = open_r1(
            "eval", tiny_model, "--benchmarks", numbers, "tasks:sums?n=5", "--max_new_tokens", 8, "--num_samples", 2,
            "--seed", seed, "--output_dir", tmp_path / name,
        )  # fmt: skip
        assert ran.status == 0, ran.err
    compared = open_r1("compare", tmp_path / "a", tmp_path / "b")
    assert compared.status == 0, compared.err
    assert "over 10 problems: no significant difference" in compared.out
    monitored = open_r1("monitor", tmp_path / "a" / "numbers" / "samples.jsonl")
    assert json.loads(monitored.out)["outputs"] == 20
    report = open_r1("report", tmp_path / "a")
    assert report.status == 0, report.err
    assert "numbers" in (tmp_path / "a" / "report.html").read_text()


def test_a_context_too_small_for_the_problems_is_told(open_r1: Command, tiny_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    path.write_text(json.dumps({"problem": "x" * 200_000, "answer": "1"}) + "\n")
    ran = open_r1("eval", tiny_model, "--benchmarks", path, "--output_dir", tmp_path / "out")
    assert ran.status == 2 and "is too small: problem" in ran.err


def test_the_benchmarks_of_a_training_stage_are_run_at_its_end(
    open_r1: Command, tiny_model: Path, real_data: Path, numbers: Path, tmp_path: Path
) -> None:
    words = (
        "sft", "--model_name_or_path", tiny_model, "--dataset_name", real_data / "gsm8k_train.jsonl",
        "--dataset_prompt_column", "question", "--dataset_response_format", "r1", "--output_dir", tmp_path / "out",
        "--max_steps", "1", "--per_device_train_batch_size", "1", "--gradient_checkpointing", "false",
        "--report_to", "none", "--max_samples", "16", "--max_length", "2048",
    )  # fmt: skip
    refused = open_r1(*words, "--benchmarks", "aime42")
    assert refused.status == 2 and "did you mean 'aime25'" in refused.err and not (tmp_path / "out").exists()
    short = tmp_path / "short.jsonl"
    short.write_text(json.dumps({"problem": "1?", "answer": 1}) + "\n")
    ran = open_r1(*words, "--benchmarks", f"{short}?num_samples=1&max_new_tokens=8")
    assert ran.status == 0, ran.err
    assert (tmp_path / "out" / "eval" / "short" / "summary.json").exists()
    card = (tmp_path / "out" / "README.md").read_text()
    assert "short" in card.split("## Measured")[1] and "Nothing was measured" not in card
    again = open_r1(*words, "--benchmarks", f"{short}?num_samples=1&max_new_tokens=8")
    assert again.status == 0 and (tmp_path / "out" / "README.md").read_text() == card
    report = open_r1("report", tmp_path / "out")
    assert report.status == 0 and "short" in (tmp_path / "out" / "report.html").read_text()


def test_overwrite_starts_over_and_takes_nothing_else_away(open_r1: Command, numbers: Path, tmp_path: Path) -> None:
    words = ("eval", "fake", "--benchmarks", numbers, "--n", 1, "--output_dir", tmp_path / "out")
    (tmp_path / "out" / "numbers").mkdir(parents=True)
    (tmp_path / "out" / "numbers" / "mine.txt").write_text("kept")
    with running_fake() as fake:
        assert open_r1(*words, "--server", fake.url, "--overwrite").status == 0
        assert (tmp_path / "out" / "numbers" / "mine.txt").exists()
        refused = open_r1(*words, "--server", fake.url, "--seed", 1)
        assert refused.status == 2 and "seed was 0 and is now 1" in refused.err and "--overwrite." in refused.err
        assert open_r1(*words, "--server", fake.url, "--seed", 1, "--overwrite").status == 0
    assert read_json(tmp_path / "out" / "numbers" / "summary.json")["settings"]["seed"] == 1


def test_overwrite_takes_nothing_away_where_no_server_answers(open_r1: Command, numbers: Path, tmp_path: Path) -> None:
    words = ("eval", "fake", "--benchmarks", numbers, "--n", 1, "--output_dir", tmp_path / "out")
    with running_fake() as fake:
        assert open_r1(*words, "--server", fake.url).status == 0
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert open_r1(*words, "--server", "http://127.0.0.1:9/v1", "--overwrite").status == 2
    assert {path: path.read_bytes() for path in before if path.exists()} == before


def test_the_table_holds_what_lies_finished_in_the_folder(open_r1: Command, numbers: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ("--n", 1, "--output_dir", out)
    with running_fake() as fake:
        assert open_r1("eval", "fake", "--benchmarks", numbers, *words, "--server", fake.url).status == 0
        (out / "torn").mkdir()
        (out / "torn" / "summary.json").write_text("{")
        ran = open_r1("eval", "fake", "--benchmarks", f"{numbers}?name=others", *words, "--server", fake.url)
    assert ran.status == 0 and "left out of the table" in ran.err
    assert set(read_json(out / "results.json")["benchmarks"]) == {"numbers", "others"}
    assert "| others" in (out / "table.md").read_text() and "| numbers" in (out / "table.md").read_text()


def test_what_could_not_be_scored_is_null_in_json_and_a_dash_in_tables(
    open_r1: Command, numbers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from open_r1.records import Outcome

    monkeypatch.setattr(
        "open_r1.evaluation.scoring.check_answers",
        lambda golds, *_, **__: [
            SimpleNamespace(outcome=Outcome(None, "unavailable"), reason="unavailable", answer=None) for _ in golds
        ],
    )
    with running_fake() as fake:
        words = (
            "eval",
            "fake",
            "--benchmarks",
            numbers,
            "--n",
            1,
            "--output_dir",
            tmp_path / "out",
            "--server",
            fake.url,
        )
        ran, listed = open_r1(*words), open_r1(*words, "--json")
    assert ran.status == 0, ran.err
    assert "nan" not in ran.out and "| -" in ran.out and "n = 0" in ran.out
    for text in (listed.out, *(path.read_text() for path in (tmp_path / "out").rglob("*.json"))):
        json.loads(text, parse_constant=pytest.fail)
    compared = open_r1("compare", tmp_path / "out", tmp_path / "out")
    assert compared.status == 0 and "nan" not in compared.out
