"""Problems: checked before anything is asked, the same ids on every run, no row lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from open_r1.data.problems import ProblemSet, ProblemSource, split_id
from open_r1.errors import ConfigError, DataError


def problems(tmp_path: Path, rows: list[dict[str, Any]], **settings: Any) -> ProblemSet:
    path = tmp_path / "problems.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return ProblemSet(ProblemSource(str(path), **settings))


ROWS = [{"problem": f"p{index}", "answer": str(index)} for index in range(200)]


def test_every_row_is_a_problem_with_its_columns(tmp_path: Path) -> None:
    found = list(problems(tmp_path, ROWS))
    assert [problem.ordinal for problem in found] == list(range(200))
    assert found[7].messages == [{"role": "user", "content": "p7"}]
    assert found[7].columns == ROWS[7]
    assert len({problem.id for problem in found}) == 200


def test_ids_do_not_depend_on_what_stands_around(tmp_path: Path) -> None:
    once = {problem.columns["answer"]: problem.id for problem in problems(tmp_path, ROWS)}
    turned = [row | {"new": 1} for row in reversed(ROWS)]
    again = {problem.columns["answer"]: problem.id for problem in problems(tmp_path, turned, system_prompt="Think.")}
    assert once == again


def test_a_prompt_that_stands_in_several_rows_gets_an_id_a_row(tmp_path: Path) -> None:
    found = problems(tmp_path, [{"problem": "a", "answer": 1}, {"problem": "b"}, {"problem": "a", "answer": 2}])
    first, other, second = (problem.id for problem in found)
    assert second == f"{first}-1"
    assert list(found.survey.repeated.values()) == [2]
    assert list(found.locate().find([second, other, first, f"{first}-2", f"{other}-1", "0" * 16])) == [
        2,
        1,
        0,
        -1,
        -1,
        -1,
    ]


def test_a_column_of_ids_is_taken_as_it_is(tmp_path: Path) -> None:
    found = problems(tmp_path, [{"problem": "a", "id": "x-1"}, {"problem": "a", "id": "思\n"}], id_column="id")
    assert [problem.id for problem in found] == ["x-1", "思\n"]
    assert list(found.locate().find(["思\n", "x-1", "x"])) == [1, 0, -1]


def test_ids_that_stand_twice_are_refused(tmp_path: Path) -> None:
    rows = [{"problem": "a", "id": "x"}, {"problem": "b", "id": "y"}, {"problem": "c", "id": "x"}]
    with pytest.raises(DataError, match=r"has 1 ids of 'id' that several rows have, as 'x'"):
        problems(tmp_path, rows, id_column="id")


@pytest.mark.parametrize("bad", [None, "", "  \n", [], [{"role": "user"}], [{"role": "assistant", "content": "x"}]])
def test_a_row_without_a_problem_is_refused_or_left_out_and_counted(tmp_path: Path, bad: Any) -> None:
    kind = [{"role": "user", "content": "a"}] if isinstance(bad, list) else "a"
    rows = [{"problem": kind, "k": 1}, {"problem": bad, "k": 2}, {"problem": kind, "k": 3}]
    with pytest.raises(DataError, match=r"row 2 has .*--skip_unusable"):
        problems(tmp_path, rows)
    found = problems(tmp_path, rows, skip_unusable=True)
    assert [problem.columns["k"] for problem in found] == [1, 3]
    assert found.survey.unusable == 1


def test_a_missing_column_is_named_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no column 'problm'; did you mean 'problem'\? .*--prompt_column"):
        problems(tmp_path, ROWS, prompt_column="problm")
    with pytest.raises(DataError, match=r"no column of problems .*Found: text.*--prompt_column"):
        problems(tmp_path, [{"text": "a"}])
    with pytest.raises(DataError, match="--id_column"):
        problems(tmp_path, ROWS, id_column="uuid")
    with pytest.raises(DataError, match="--columns"):
        problems(tmp_path, ROWS, columns=("answr",))


def test_unicode_and_control_characters_reach_the_server_as_they_are(tmp_path: Path) -> None:
    text = "思考 \x00\x1b[31m \u2028 \u202e 👩‍👩‍👧 {{ prompt }} {prompt}"
    (found,) = problems(tmp_path, [{"problem": text}])
    assert found.messages[0]["content"] == text


def test_a_template_goes_around_the_problem_and_sees_the_columns(tmp_path: Path) -> None:
    found = problems(tmp_path, ROWS, prompt_template="Box it: {{ prompt }} ({{ answer }})\n", system_prompt="Think.")
    assert next(iter(found)).messages == [
        {"role": "system", "content": "Think."}, {"role": "user", "content": "Box it: p0 (0)\n"},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ promt }}", "names 'promt', which is not a column; did you mean 'prompt'"),
        ("{{ prompt", "can't be read"),
        ("Solve it.", "leaves the problem out"),
        ("{{ prompt.__class__.__mro__ }}", "fails on"),
        ("{{ prompt / 2 }}", "fails on"),
    ],
)
def test_a_template_that_cannot_work_is_refused(tmp_path: Path, template: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        list(problems(tmp_path, ROWS, prompt_template=template))


def test_conversations_and_procedural_tasks_are_problems_too(tmp_path: Path) -> None:
    turns = [{"role": "system", "content": "S"}, {"role": "user", "content": "a"}]
    (found,) = problems(tmp_path, [{"prompt": turns}], system_prompt="unused")
    assert found.messages == turns
    tasks = ProblemSet(ProblemSource("tasks:linear_equations?level=1&n=5&seed=1", max_problems=3))
    assert [problem.messages[0]["content"][:6] for problem in tasks] == ["Solve:"] * 3


def test_a_streamed_source_gives_the_same_problems(tmp_path: Path) -> None:
    plain, streamed = (list(problems(tmp_path, ROWS, streaming=streaming)) for streaming in (False, True))
    assert plain == streamed


def test_an_id_is_split_only_where_we_joined_it() -> None:
    assert [split_id(name) for name in ("ab", "ab-2", "ab-", "ab-x", "ab-" + "9" * 30)] == [
        ("ab", 0), ("ab", 2), ("ab-", 0), ("ab-x", 0), ("ab-" + "9" * 30, 0),
    ]  # fmt: skip
