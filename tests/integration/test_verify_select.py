"""`open-r1 data verify` and `select` from end to end: what they add, count, refuse, and do after a kill."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_server import FakeSettings, running_fake

from open_r1.execution.sandbox import tiers
from open_r1.rundir import read_json, read_jsonl

Command = Callable[..., Any]


def trace(boxed: str, *, problem: str = "p", sample: int = 0, finish: str = "stop", **columns: Any) -> dict[str, Any]:
    text = f"<think>\nWe count.\n</think>\n\n\\boxed{{{boxed}}}"
    return {
        "problem_id": problem, "sample": sample, "prompt_tokens": 5, "completion_tokens": 20, "finish_reason": finish,
        "completion": text, "problem": "What is the sum of all of them?", "answer": "4", **columns,
    }  # fmt: skip


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_each_trace_gets_its_verdict_and_keeps_its_columns(open_r1: Command, tmp_path: Path) -> None:
    rows = [
        trace("4", note="ü \u0000 \u2028"),
        trace("5", sample=1),
        trace("x", sample=2, completion=None),
        trace("x", sample=3, completion="<think>\nnever closed", finish="length"),
        trace("4", problem="q", answer=None, solution="It is \\boxed{\\frac{8}{2}}"),
        trace("4", problem="r", answer=None),
        trace("4", problem="s", completion=[{"role": "assistant", "content": "\\boxed{4}"}]),
    ]
    source, out = write(tmp_path / "t.jsonl", rows), tmp_path / "v.jsonl"
    ran = open_r1("data", "verify", source, "--output", out, "--json")
    assert ran.status == 0, ran.err
    found = read_jsonl(out)
    assert [{**row, **given} for row, given in zip(found, rows, strict=True)] == found
    assert [(row["verified"], row["verify_reason"], row["verified_by"]) for row in found] == [
        (True, "correct", "accuracy"),
        (False, "wrong", "accuracy"),
        (None, "no_completion", None),
        (False, "no_answer", "accuracy"),
        (True, "correct", "accuracy"),
        (None, "no_gold", None),
        (True, "correct", "accuracy"),
    ]
    assert found[1]["extracted_answer"] == "5"
    counts = json.loads(ran.out)
    assert (counts["verified"], counts["refuted"], counts["undecided"]) == (3, 2, 2)
    assert read_json(tmp_path / "v.steps.json")["steps"][-1]["counts"]["reasons"] == counts["reasons"]


def test_programs_are_judged_by_their_tests_beside_answers(open_r1: Command, tmp_path: Path) -> None:
    if not tiers.detect().tier:
        pytest.skip(f"NO SANDBOX HERE: {tiers.detect().obstacles}")
    tests = {"language": "python", "test_cases": [{"input": "1\n", "output": "2\n", "type": "stdin_stdout"}]}
    program = "<think>\nadd\n</think>\n```python\nprint(int(input()) + {})\n```"
    rows = [
        trace("4", verification_info=None),
        trace("", problem="c", completion=program.format(1), verification_info=tests, answer=None),
        trace("", problem="c", completion=program.format(2), verification_info=tests, answer=None),
    ]
    out = tmp_path / "v.jsonl"
    ran = open_r1("data", "verify", write(tmp_path / "t.jsonl", rows), "--output", out)
    assert ran.status == 0, ran.err
    assert [(row["verified"], row["verified_by"]) for row in read_jsonl(out)] == [
        (True, "accuracy"), (True, "code"), (False, "code"),
    ]  # fmt: skip


def test_more_traces_and_a_torn_line_go_on_where_it_stopped(open_r1: Command, tmp_path: Path) -> None:
    rows = [trace(str(n % 7), sample=n) for n in range(50)]
    source, out = tmp_path / "t.jsonl", tmp_path / "v.jsonl"
    write(source, rows[:30])
    assert open_r1("data", "verify", source, "--output", out).status == 0
    write(source, rows)
    out.write_bytes(out.read_bytes()[:-25])
    ran = open_r1("data", "verify", source, "--output", out, "--json")
    assert ran.status == 0, ran.err
    assert json.loads(ran.out)["earlier"] == 29
    whole = tmp_path / "whole.jsonl"
    assert open_r1("data", "verify", source, "--output", whole).status == 0
    assert out.read_bytes() == whole.read_bytes()


def test_a_judge_model_decides_what_rules_cannot(open_r1: Command, tmp_path: Path) -> None:
    rows = [
        trace("4"),
        trace("forty", answer="the answer is as many as there are days in a leap year of the calendar"),
        trace("5", sample=1),
    ]
    source = write(tmp_path / "t.jsonl", rows)
    for says, scope, expected in (
        ("yes", "unparsable", [(True, "accuracy"), (True, "judge:fake"), (False, "accuracy")]),
        ("no", "wrong", [(True, "accuracy"), (False, "judge:fake"), (False, "judge:fake")]),
        ("perhaps", "wrong", [(True, "accuracy"), (None, None), (False, "accuracy")]),
    ):
        out = tmp_path / f"{says}.jsonl"
        with running_fake(FakeSettings(says=says)) as fake:
            ran = open_r1(
                "data", "verify", source, "--output", out, "--judge_server", fake.url, "--judge_for", scope, "--json"
            )
        assert ran.status == 0, ran.err
        assert [(row["verified"], row["verified_by"]) for row in read_jsonl(out)] == expected
        assert json.loads(ran.out).get("judge_failures") == ({"unclear_reply": 2} if says == "perhaps" else None)


@pytest.mark.parametrize(
    ("rows", "words", "said"),
    [
        ([{"completion": "x", "solutoin": "4"}], [], "did you mean 'solutoin'?"),
        ([{"text": "x", "solution": "4"}], [], "no column 'completion'"),
        ([trace("4")], ["--rewards", "acuracy"], "did you mean 'accuracy'?"),
        ([trace("4")], ["--rewards", "accuracy", "accuracy"], "named twice"),
        ([trace("4")], ["--rewards", "soft_overlong_punishment"], "token ids"),
        ([trace("4")], ["--solution_column", "anser"], "did you mean 'answer'?"),
        ([trace("4")], ["--set", "code_provider=local"], "has a setting 'code_provider'"),
        ([trace("4")], ["--judge_model", "m"], "--judge_server"),
        ([trace("4")], ["--judge_server", "127.0.0.1:1"], "no server answers"),
        ([], [], "contains no rows"),
    ],
)
def test_what_cannot_be_verified_is_refused_first(
    open_r1: Command, tmp_path: Path, rows: list[dict[str, Any]], words: list[str], said: str
) -> None:
    ran = open_r1("data", "verify", write(tmp_path / "t.jsonl", rows), "--output", tmp_path / "v.jsonl", *words)
    assert ran.status == 2
    assert said in ran.err
    assert not (tmp_path / "v.jsonl").exists()


def test_other_settings_and_other_rows_are_refused(open_r1: Command, tmp_path: Path) -> None:
    source, out = write(tmp_path / "t.jsonl", [trace("4"), trace("5", sample=1)]), tmp_path / "v.jsonl"
    assert open_r1("data", "verify", source, "--output", out).status == 0
    before = out.read_bytes()
    ran = open_r1("data", "verify", source, "--output", out, "--threshold", 0.5)
    assert (ran.status, "threshold was 1.0 and is now 0.5" in ran.err) == (2, True)
    write(source, [trace("4"), trace("6", sample=1)])
    ran = open_r1("data", "verify", source, "--output", out)
    assert (ran.status, "line 2 of" in ran.err) == (2, True)
    write(source, [trace("4")])
    ran = open_r1("data", "verify", source, "--output", out)
    assert (ran.status, "more lines than the 1 rows" in ran.err) == (2, True)
    assert out.read_bytes() == before
    assert open_r1("data", "verify", source, "--output", source).status == 2
    assert open_r1("data", "verify", source, "--output", out, "--overwrite").status == 0
    assert len(read_jsonl(out)) == 1


def test_a_killed_verification_ends_as_an_unbroken_one(tmp_path: Path) -> None:
    rng = random.Random(0)
    rows = [
        trace(str(rng.randrange(4, 7)), problem=str(n // 4), sample=n % 4, filler="x" * 400) for n in range(30_000)
    ]
    source, out, whole = write(tmp_path / "t.jsonl", rows), tmp_path / "v.jsonl", tmp_path / "whole.jsonl"
    command = [sys.executable, "-m", "open_r1.cli.main", "data", "verify", str(source), "--output"]
    kills = 0
    for _ in range(3):
        process = subprocess.Popen([*command, str(out)], stderr=subprocess.DEVNULL, start_new_session=True)
        target = (out.stat().st_size if out.exists() else 0) + rng.randrange(1, 4_000_000)
        deadline = time.monotonic() + 60
        while (
            (not out.exists() or out.stat().st_size < target)
            and process.poll() is None
            and time.monotonic() < deadline
        ):
            time.sleep(0.001)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            kills += 1
        process.wait()
    assert kills
    subprocess.run([*command, str(out)], check=True, timeout=120, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    subprocess.run(
        [*command, str(whole)], check=True, timeout=120, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    assert out.read_bytes() == whole.read_bytes()
    assert len(read_jsonl(out)) == len(rows)


LOOP = "<think>\n" + "Wait, let me check that again. " * 80 + "\n</think>\n\\boxed{4}"
CHINESE = "<think>\n" + "我们把两边相加，然后除以三，这样就得到了题目所要求的答案。" * 3 + "\n</think>\n\\boxed{4}"


def test_each_trace_is_left_out_for_its_first_reason(open_r1: Command, tmp_path: Path) -> None:
    good = {"verified": True, "verified_by": "accuracy"}
    rows = [
        trace("4", **good),
        trace("4", sample=1, completion=None, verified=None),
        trace("4", sample=2, finish="length", completion=LOOP, **good),
        trace("4", sample=3, completion=LOOP, **good),
        trace("4", sample=4, completion="\\boxed{4}", **good),
        trace("4", sample=5, completion="<think>\na\n</think>\n<think>\nb", **good),
        trace("4", sample=6, completion="<think>\na\n</think>\n \n", **good),
        trace("4", sample=7, completion=CHINESE, **good),
        trace("4", sample=8, verified=False, verified_by="accuracy"),
        trace("4", sample=9, verified=None, verified_by=None),
        trace("4", sample=10, completion_tokens=100, **good),
        trace("4 ", sample=11, completion="<think>\nWe  count.\n</think>\n\n\\boxed{4}", **good),
        trace("4", sample=12, completion="<think>\nother\n</think>\n\\boxed{4}", verified=True, verified_by="judge:m"),
    ]
    source, out = write(tmp_path / "v.jsonl", rows), tmp_path / "s.jsonl"
    words = ["data", "select", source, "--output", out, "--max_tokens", 50, "--overwrite", "--json"]
    ran = open_r1(*words)
    assert ran.status == 0, ran.err
    assert json.loads(ran.out) == {
        "traces": 13, "kept": 2, "problems": 1, "problems_kept": 1,
        "left_out": {
            "no_completion": 1, "truncated": 1, "looping": 1, "no_closed_thinking": 2, "no_answer": 1, "mixed_language": 1,
            "not_verified": 2, "too_long": 1, "duplicate": 1,
        },
    }  # fmt: skip
    assert [row["sample"] for row in read_jsonl(out)] == [0, 12]
    assert out.read_bytes() == b"".join(source.read_bytes().splitlines(keepends=True)[n] for n in (0, 12))
    assert json.loads(open_r1(*words, "--keep", "rules").out)["kept"] == 1
    every = ["truncated", "looping", "no_closed_thinking", "no_answer", "mixed_language", "duplicate"]
    assert json.loads(open_r1(*words, "--keep", "all", "--without", *every).out)["left_out"] == {
        "no_completion": 1, "too_long": 1,
    }  # fmt: skip
    found = json.loads(open_r1(*words, "--thinking_optional", "--keep_per_problem", 1).out)["left_out"]
    assert (found["no_closed_thinking"], found["not_chosen"]) == (1, 2)


def test_conversations_for_sft_have_the_system_prompt_and_whole_traces(open_r1: Command, tmp_path: Path) -> None:
    chat = [{"role": "system", "content": "Own."}, {"role": "user", "content": "What is asked here of us?"}]
    rows = [trace("4", verified=True), trace("4", problem="q", prompt=chat, verified=True, messages=[])]
    out = tmp_path / "s.jsonl"
    ran = open_r1(
        "data",
        "select",
        write(tmp_path / "v.jsonl", rows),
        "--output",
        out,
        "--as",
        "messages",
        "--system_prompt",
        "Be.",
    )
    assert ran.status == 0, ran.err
    first, second = read_jsonl(out)
    assert first["messages"] == [
        {"role": "system", "content": "Be."},
        {"role": "user", "content": rows[0]["problem"]},
        {"role": "assistant", "content": rows[0]["completion"]},
    ]
    assert second["messages"][:2] == chat
    assert "completion" not in first
    assert first["problem_id"] == "p"


@pytest.mark.parametrize("by", ["shortest", "longest", "first", "random", "diverse"])
def test_the_choice_depends_on_no_number_of_processes(open_r1: Command, tmp_path: Path, by: str) -> None:
    rng = random.Random(5)
    rows = []
    for n in range(4000):
        words = " ".join(rng.choices([f"w{i}" for i in range(300)], k=rng.randrange(20, 60)))
        text = f"<think>\n{words}\n</think>\n\\boxed{{4}}"
        problem = str(rng.randrange(500))
        rows.append(trace("4", problem=problem, sample=n, completion=text, completion_tokens=len(text), verified=True))
    source = write(tmp_path / "v.jsonl", rows)
    for processes in (1, 2):
        ran = open_r1(
            "data", "select", source, "--output", tmp_path / f"{processes}.jsonl", "--keep_per_problem", 3, "--by", by,
            "--processes", processes,
        )  # fmt: skip
        assert ran.status == 0, ran.err
    assert (tmp_path / "1.jsonl").read_bytes() == (tmp_path / "2.jsonl").read_bytes()
    kept: dict[str, list[int]] = {}
    every: dict[str, list[int]] = {}
    for row in read_jsonl(tmp_path / "1.jsonl"):
        kept.setdefault(row["problem_id"], []).append(row["completion_tokens"])
    for row in rows:
        every.setdefault(row["problem_id"], []).append(row["completion_tokens"])
    assert {name: len(found) for name, found in kept.items()} == {
        name: min(3, len(one)) for name, one in every.items()
    }
    if by in ("shortest", "longest"):
        ends = {name: sorted(one, reverse=by == "longest")[:3] for name, one in every.items()}
        assert {name: sorted(one) for name, one in kept.items()} == {name: sorted(one) for name, one in ends.items()}


@pytest.mark.parametrize(
    ("rows", "words", "said"),
    [
        ([trace("4")], [], "no column 'verified'"),
        ([{"completion": "x", "verified": True}], [], "no column of problems"),
        ([trace("4", verified=True)], ["--keep_per_problem", "0"], "per_problem must be at least 1"),
        ([trace("4", verified=True)], ["--max_looping", "2"], "max_looping must be at least 0 and at most 1"),
        ([trace("4", verified=True)], ["--min_tokens", "9", "--max_tokens", "5"], "swap them"),
        ([trace("4", verified=True)], ["--system_prompt", "x"], "add --as messages"),
        ([trace("4", verified=True)], ["--id_column", "problem_di"], "did you mean 'problem_id'?"),
    ],
)
def test_what_cannot_be_selected_is_refused_first(
    open_r1: Command, tmp_path: Path, rows: list[dict[str, Any]], words: list[str], said: str
) -> None:
    ran = open_r1("data", "select", write(tmp_path / "v.jsonl", rows), "--output", tmp_path / "s.jsonl", *words)
    assert ran.status == 2
    assert said in ran.err
    assert not (tmp_path / "s.jsonl").exists()


def test_nothing_kept_is_an_empty_file_with_its_counts(open_r1: Command, tmp_path: Path) -> None:
    source = write(tmp_path / "v.jsonl", [trace("4", verified=False)])
    for by in ("shortest", "diverse"):
        out = tmp_path / f"{by}.jsonl"
        ran = open_r1("data", "select", source, "--output", out, "--keep_per_problem", 2, "--by", by)
        assert (ran.status, out.read_bytes()) == (0, b"")
        assert "0 of 1 traces are kept" in ran.out


def test_an_unfinished_verification_is_not_selected_from(open_r1: Command, tmp_path: Path) -> None:
    source, out = write(tmp_path / "t.jsonl", [trace("4")]), tmp_path / "v.jsonl"
    assert open_r1("data", "verify", source, "--output", out).status == 0
    record = read_json(tmp_path / "v.steps.json")
    record["steps"][-1]["counts"] = {}  # as it is until the last row is judged
    (tmp_path / "v.steps.json").write_text(json.dumps(record))
    ran = open_r1("data", "select", out, "--output", tmp_path / "s.jsonl")
    assert (ran.status, "was not finished" in ran.err) == (2, True)
