"""How the pre-flight check samples its completions: whole groups, no more at once than training, the same everywhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from open_r1.rewards import get_spec
from open_r1.training.preflight import (
    check_golds,
    choose_rows,
    complete_all,
    find_idle_rewards,
    generation_batches,
    score_examples,
    without_prefill,
)


def trainer(rank: int, processes: int, a_device: int, steps: int, group: int) -> Any:
    return SimpleNamespace(
        num_generations=group,
        accelerator=SimpleNamespace(num_processes=processes, process_index=rank),
        args=SimpleNamespace(per_device_train_batch_size=a_device, steps_per_generation=steps),
    )


@pytest.mark.parametrize(
    ("processes", "a_device", "steps", "group"),
    [(1, 4, 1, 2), (1, 16, 4, 16), (7, 16, 1, 14), (8, 4, 1, 16), (2, 8, 1, 8), (3, 8, 2, 6), (8, 2, 1, 16)],
)
@pytest.mark.parametrize("num_rows", [1, 3, 8, 32])
def test_every_problem_gets_its_group_and_every_process_as_much_as_the_others(
    processes: int, a_device: int, steps: int, group: int, num_rows: int
) -> None:
    rows = [{"problem": number} for number in range(num_rows)]
    of_each = [
        list(generation_batches(trainer(rank, processes, a_device, steps, group), rows)) for rank in range(processes)
    ]
    rounds = list(zip(*of_each, strict=True))
    gathered = [row for batches in rounds for batch in batches for row in batch]
    assert gathered[: num_rows * group] == [row for row in rows for _ in range(group)]
    for batches in rounds:
        sizes = {len(batch) for batch in batches}
        assert len(sizes) == 1
        assert sizes.pop() <= a_device * steps
        assert sum(map(len, batches)) % group == 0
    whole_groups = math.lcm(group, processes)
    assert len(gathered) - num_rows * group < max(whole_groups, group)


def test_the_rows_chosen_are_the_same_in_every_process_and_no_row_twice() -> None:
    data = [{"row": number} for number in range(50)]
    chosen = choose_rows(data, 32, seed=1)
    assert chosen == choose_rows(data, 32, seed=1) != choose_rows(data, 32, seed=2)
    assert len({row["row"] for row in chosen}) == 32
    assert len(choose_rows(data[:5], 32, seed=1)) == 5


def test_golds_are_checked_all_over_the_data_where_a_reward_compares_with_them() -> None:
    accuracy, form = [get_spec("accuracy")], [get_spec("format")]
    data: list[dict[str, Any]] = [{"solution": str(number)} for number in range(1000)]
    assert check_golds(data, form).num_checked == 0
    assert check_golds(data, accuracy).num_checked == 100
    data[500]["solution"], data[501]["solution"] = "", ""
    assert check_golds(data, accuracy).unreadable == ((500, ""),)
    assert check_golds(data[:3], accuracy).num_checked == 3


class Tokenizer:
    """Tokens are characters, but for `swallowed`, which decoding leaves out as special tokens."""

    def __init__(self, swallowed: str = "", prefill: str = "") -> None:
        self.swallowed, self.prefill = swallowed, prefill

    def apply_chat_template(self, messages: Any, add_generation_prompt: bool, **options: Any) -> str:
        return "q" + (self.prefill if add_generation_prompt else "")

    def __call__(self, text: str, add_special_tokens: bool) -> dict[str, Any]:
        assert not add_special_tokens
        return {"input_ids": text}

    def decode(self, ids: str, skip_special_tokens: bool) -> str:
        assert skip_special_tokens
        return ids.replace(self.swallowed, "") if self.swallowed else ids


def scored_examples(*names: str, **tokenizer: str) -> tuple[dict[str, float | None], dict[str, float | None]]:
    specs = [get_spec(name) for name in names]
    rewards = [spec.make() for spec in specs]
    fake = SimpleNamespace(processing_class=Tokenizer(**tokenizer), chat_template=None, chat_template_kwargs={})
    by_name = dict(zip((reward.__name__ for reward in rewards), specs, strict=True))
    best, decoded = score_examples(fake, rewards, by_name, [])
    return {n: o.value for n, o in best.items()}, {n: o.value for n, o in decoded.items()}


def test_examples_of_tags_are_scored_before_and_after_the_tokenizer() -> None:
    names = ("accuracy", "format", "tag_count", "code_format", "repetition_penalty")
    kept = {"format_reward": 1.0, "tag_count_reward": 1.0, "code_format_reward": 1.0}
    assert scored_examples(*names) == (kept | {"repetition_penalty_reward": 0.0}, kept)
    best, decoded = scored_examples("format", "tag_count", swallowed="</think>")
    assert best == {"format_reward": 1.0, "tag_count_reward": 1.0}
    assert decoded == {"format_reward": 0.0, "tag_count_reward": 0.75}
    assert scored_examples("format", prefill="<think>\n")[1] == {"format_reward": 0.0}
    assert scored_examples("format_think")[1] == {"think_format_reward": 1.0}


@pytest.mark.parametrize(
    ("name", "settings", "is_idle"),
    [
        ("soft_overlong_punishment", {"max_completion_len": 100, "soft_punish_cache": 20}, False),
        ("soft_overlong_punishment", {"max_completion_len": 104, "soft_punish_cache": 20}, False),
        ("soft_overlong_punishment", {"max_completion_len": 105, "soft_punish_cache": 20}, True),
        ("length", {}, False),
        ("length", {"a_device": 3}, True),
        ("accuracy", {"a_device": 3}, False),
    ],
)
def test_a_reward_that_its_training_leaves_without_effect_is_named(
    name: str, settings: dict[str, int], is_idle: bool
) -> None:
    args = SimpleNamespace(
        max_completion_length=85, per_device_train_batch_size=settings.pop("a_device", 4), steps_per_generation=2
    )
    script = SimpleNamespace(**settings)
    fake = SimpleNamespace(args=args, arguments=SimpleNamespace(script=script), num_generations=4)
    found = list(find_idle_rewards(fake, [get_spec(name)]))
    assert [(one.kind, name in one.text, one.is_refusal) for one in found] == [("idle_setting", True, False)] * is_idle


PREFILLS: Sequence[tuple[str, str]] = [
    ("<|im_start|>assistant\n", "<think>\na\n</think>\nb"),
    ("<|im_start|>assistant\n<think>\n", "\na\n</think>\nb"),
    ("<|im_start|>assistant\n<think>\n\n</think>\n\n", "\nb"),
]


@pytest.mark.parametrize(("written", "left"), PREFILLS)
def test_what_the_template_has_written_is_no_part_of_the_completion(written: str, left: str) -> None:
    assert without_prefill("<think>\na\n</think>\nb", written) == left


def test_a_look_reports_its_progress_after_every_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "open_r1.training.preflight.complete", lambda trainer, rewards, batch: [(row, []) for row in batch]
    )
    monkeypatch.setattr("open_r1.training.preflight.gather_object", list)
    said: list[str] = []
    sampled = trainer(0, 1, 4, 1, 4)
    sampled.report = said.append
    assert len(complete_all(sampled, [], [{"prompt": str(n)} for n in range(3)])["completions"]) == 12
    assert [line.rpartition(",")[0] for line in said] == ["pre-flight: 1 of 3 problems", "pre-flight: 2 of 3 problems"]
