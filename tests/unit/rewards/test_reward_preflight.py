"""What a pre-flight check finds in a policy's completions: each rule where it holds, and where it doesn't."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from open_r1.errors import ConfigError, RunError
from open_r1.records import Outcome
from open_r1.rewards import accuracy_reward, format_reward, tag_count_reward
from open_r1.rewards.base import NOT_APPLICABLE
from open_r1.rewards.preflight.check import examine
from open_r1.rewards.preflight.sample import MIN_COMPLETIONS, MIN_PROMPTS, GoldCheck, PolicyCompletion, PolicySample
from open_r1.rewards.registry import get_spec, reward_specs
from open_r1.rewards.spec import RewardSpec
from open_r1.text.tags import render_completion

RIGHT, WRONG = render_completion("6", "6"), render_completion("7", "7")
BARE = r"It is \boxed{6}."
OURS = (accuracy_reward, format_reward, tag_count_reward)
SPECS = {spec.function_name: spec for spec in reward_specs().values()}
OWN = RewardSpec("mine:reward", lambda settings: accuracy_reward, "own", "reward")
KEPT = {"format_reward": Outcome(1.0, "well_formed"), "tag_count_reward": Outcome(1.0, "counted")}


def sample_of(
    groups: Sequence[Sequence[str]], cut: Sequence[str] = (), prompt: str = "q", **more: Any
) -> PolicySample:
    """A sample of the given completions, scored by accuracy, format and tag_count; those in `cut` were cut off."""
    texts = [text for group in groups for text in group]
    completions = [PolicyCompletion(prompt, text, len(text), text in cut) for text in texts]
    outcomes = {reward.__name__: reward.score(completions=texts, solution=["6"] * len(texts)) for reward in OURS}
    size, options = len(groups[0]), {"best": KEPT} | more
    return PolicySample(completions, outcomes, SPECS, size, frozenset(outcomes), max_tokens=50, **options)


def with_reward(
    sample: PolicySample, name: str, outcomes: Sequence[Outcome], is_weighted: bool = True
) -> PolicySample:
    weighted = sample.weighted | {name} if is_weighted else sample.weighted
    specs = {**SPECS, name: SPECS.get(name, OWN)}
    return replace(sample, outcomes={**sample.outcomes, name: outcomes}, specs=specs, weighted=weighted)


def kinds(sample: PolicySample) -> set[str]:
    return {found.kind for found in examine(sample).findings}


def refused(sample: PolicySample) -> set[str]:
    return {found.kind for found in examine(sample).refusals}


MIXED = [[RIGHT, WRONG] * 4] * MIN_PROMPTS


def test_a_policy_that_can_learn_has_no_findings() -> None:
    checked = examine(sample_of(MIXED))
    assert checked.findings == ()
    checked.refuse_hopeless()
    assert checked.say_shares() == (
        f"{len(RIGHT):.1f} tokens on average; 0% cut off, 0% without an answer, 50% right, 0% of those without the "
        "format; 0% of 32 groups without variance."
    )


def test_no_right_answer_is_refused_and_the_reasons_are_told() -> None:
    checked = examine(sample_of([[WRONG, WRONG, "", RIGHT.replace("6", "8")] * 2] * MIN_PROMPTS))
    with pytest.raises(ConfigError, match=r"none of 256 completions of 32 problems is right by accuracy_reward \(wrong 192, "
                                          r"no_answer 64\).*preflight_prompts 0"):  # fmt: skip
        checked.refuse_hopeless()


@pytest.mark.parametrize(
    ("groups", "is_refused"),
    [
        ([[WRONG] * 8] * MIN_PROMPTS, True),
        ([[WRONG] * 16] * (MIN_PROMPTS - 1), False),
        ([[WRONG] * 4] * MIN_PROMPTS, False),
        ([[WRONG] * MIN_COMPLETIONS], False),
    ],
)
def test_a_small_sample_is_no_ground_for_a_refusal_but_asks_for_more(
    groups: list[list[str]], is_refused: bool
) -> None:
    checked = examine(sample_of(groups, num_problems=1000))
    assert "nothing_right" in {found.kind for found in checked.findings}
    assert bool(checked.refusals) == is_refused
    assert bool(checked.doubts) != is_refused


def test_a_data_set_smaller_than_the_sample_asked_for_is_evidence_as_a_whole() -> None:
    assert refused(sample_of([[WRONG] * 32] * 8, num_problems=8)) == {"nothing_right"}


def test_more_samples_stand_behind_the_first() -> None:
    first, more = sample_of([[WRONG] * 4] * 8), sample_of([[RIGHT] * 4] * 24)
    joined = first.joined(more.completions, more.outcomes)
    assert (joined.num_prompts, sum(joined.is_right)) == (32, 96)
    assert not refused(joined)


# cut off

CUT = "<think>\nlong"


def test_completions_that_are_all_cut_off_are_refused() -> None:
    checked = examine(sample_of([[CUT] * 8] * MIN_PROMPTS, cut=[CUT]))
    assert {found.kind for found in checked.refusals} == {"truncated", "nothing_right"}
    with pytest.raises(ConfigError, match="every completion was cut off at max_completion_length = 50 tokens; raise"):
        checked.refuse_hopeless()


def test_completions_that_are_cut_off_but_right_are_not_refused_unless_they_carry_no_loss() -> None:
    sample = sample_of(MIXED, cut=[RIGHT, WRONG])
    assert (kinds(sample), refused(sample)) == ({"truncated"}, set())
    assert refused(replace(sample, leaves_out_truncated=True)) == {"truncated"}


def test_most_completions_cut_off_is_a_warning_and_few_are_nothing() -> None:
    assert kinds(sample_of([[RIGHT, WRONG, CUT, CUT]] * MIN_PROMPTS, cut=[CUT])) == {"truncated"}
    assert kinds(sample_of([[RIGHT, WRONG, RIGHT, CUT]] * MIN_PROMPTS, cut=[CUT])) == set()


def test_an_end_of_turn_that_does_not_end_is_named() -> None:
    sample = sample_of(MIXED, cut=[RIGHT, WRONG])
    sample = replace(
        sample, completions=[replace(each, special_tokens=("<|im_end|>",)) for each in sample.completions]
    )
    (found,) = examine(sample).findings
    assert "256 of them write '<|im_end|>' and go on: set eos_token to it" in found.text
    few = [
        replace(each, special_tokens=("<|im_end|>",) * (place < 128)) for place, each in enumerate(sample.completions)
    ]
    (found,) = examine(replace(sample, completions=few)).findings
    assert "128 of them" in found.text
    few[0] = replace(few[0], special_tokens=())
    (found,) = examine(replace(sample, completions=few)).findings
    assert "raise max_completion_length" in found.text


# groups


def test_groups_without_variance_are_warned_of_with_their_cause() -> None:
    (found,) = examine(sample_of([[RIGHT] * 4] * MIN_PROMPTS)).findings
    assert (found.kind, found.is_refusal) == ("no_variance", False)
    assert "no group has completions of different reward (32 groups sampled)" in found.text
    assert "too easy" in found.text
    (found,) = examine(sample_of([[RIGHT] * 4] * 28 + [[RIGHT, WRONG] * 2] * 4)).findings
    assert "only 12% of the groups" in found.text
    assert "the rewards do not vary within them" in found.text


def test_only_rewards_with_a_weight_make_a_difference() -> None:
    sample = sample_of([[RIGHT, RIGHT + " "]] * 4)
    varied = [Outcome(float(index % 2), "scored") for index in range(8)]
    assert "no_variance" in kinds(with_reward(sample, "mine", varied, is_weighted=False))
    assert "no_variance" not in kinds(with_reward(sample, "mine", varied))


def test_answers_that_hardly_differ_beside_rewards_that_do_are_told() -> None:
    differ_in_format = [[RIGHT, BARE] * 4] * 28
    (found,) = [
        found
        for found in examine(sample_of([*differ_in_format, *[[RIGHT, WRONG] * 4] * 4])).findings
        if found.kind == "seldom_judged"
    ]
    assert (
        "accuracy_reward gives different values in only 12% of the groups, all rewards together in 100%" in found.text
    )
    assert "seldom_judged" not in kinds(sample_of([*differ_in_format[:16], *[[RIGHT, WRONG] * 4] * 16]))


# rewards that can't score


def test_unscored_above_the_share_is_refused_as_a_failure_of_the_run() -> None:
    outcomes = [Outcome(None, "timeout") if index % 4 else Outcome(1.0, "scored") for index in range(256)]
    checked = examine(with_reward(sample_of(MIXED), "slow", outcomes))
    with pytest.raises(RunError, match=r"slow could not score 75% of the completions \(timeout 192\), more than "
                                       r"max_unscored_share = 50%"):  # fmt: skip
        checked.refuse_hopeless()
    assert not refused(replace(checked.sample, max_unscored_share=0.8))


def test_a_reward_that_has_nothing_to_say_is_no_failure() -> None:
    outcomes = [
        Outcome(None, NOT_APPLICABLE) if index % 4 else Outcome(float(index), "scored") for index in range(256)
    ]
    assert kinds(with_reward(sample_of(MIXED), "code_only", outcomes)) == set()
    silent = [Outcome(None, NOT_APPLICABLE)] * 256
    assert kinds(with_reward(sample_of(MIXED), "silent", silent)) == {"no_value"}


def test_none_everywhere_names_the_file_and_line_and_is_refused_where_no_other_reward_speaks() -> None:
    sample = with_reward(sample_of(MIXED), "own.py:f", [Outcome(None, NOT_APPLICABLE)] * 256)
    sample = replace(sample, specs=sample.specs | {"own.py:f": replace(OWN, place="own.py:3")})
    (found,) = examine(sample).findings
    assert found.text.startswith("own.py:f (own.py:3) gave None to every completion")
    assert not found.is_refusal
    alone = replace(sample, outcomes={"own.py:f": sample.outcomes["own.py:f"]}, weighted=frozenset({"own.py:f"}))
    assert "no_value" in refused(alone)


def test_the_place_of_a_reward_of_the_users_own_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quiet.py").write_text("\ndef f(completions, **columns):\n    return [None for _ in completions]\n")
    assert get_spec("quiet.py:f").place == "quiet.py:2"


def test_golds_that_can_t_be_read_are_listed_and_refused_when_they_are_too_many() -> None:
    few = GoldCheck(100, ((17, "see the figure"),))
    (found,) = examine(replace(sample_of(MIXED), golds=few)).findings
    assert "1 of 100 gold answers checked can't be read, the first in row 17: 'see the figure'" in found.text
    assert not found.is_refusal
    assert refused(replace(sample_of(MIXED[:4]), golds=GoldCheck(100, ((1, "x"),) * 51))) == {"unreadable_golds"}


# format


def test_a_format_that_no_completion_keeps_is_explained() -> None:
    missed = [[BARE, "no"]] * 8
    asked = "Use <think> </think> <answer> </answer>."
    texts = {
        prompt: explain(sample_of(missed, prompt=prompt)) for prompt in ("q", asked, "q <answer>", "q\n<think>\n")
    }
    assert "most often (16 of 16): does_not_start_with_think" in texts["q"]
    assert "Nothing in the prompt asks for <think> </think> <answer> </answer>" in texts["q"]
    assert "asks for <think> </think> </answer>" in texts["q <answer>"]
    assert "The prompt asks for the tags" in texts[asked]
    assert "ends the prompt with <think>, which the completion then lacks" in texts["q\n<think>\n"]


def explain(sample: PolicySample) -> str:
    (found,) = [found for found in examine(sample).findings if found.kind == "format_missed"]
    return found.text


def test_right_answers_that_miss_the_format_are_counted() -> None:
    sample = sample_of([[RIGHT, BARE, BARE, BARE]] * 8)
    assert sample.right_without_format_share == 0.75
    assert kinds(sample) == {"right_without_format"}
    assert sample_of(MIXED).right_without_format_share == 0
    assert sample_of([[WRONG, ""]] * 8).right_without_format_share is None


def test_a_kept_format_without_an_answer_is_told() -> None:
    prose = "<think>\na\n</think>\n<answer>\nI would say that it is about as much as it was before.\n</answer>"
    assert "format_without_answer" in kinds(sample_of([[RIGHT, prose]] * 8))


LOST = {"format_reward": Outcome(0.0, "does_not_start_with_think")}


def test_a_format_that_no_completion_could_keep_is_refused_whatever_the_sample() -> None:
    assert kinds(replace(sample_of(MIXED), best=KEPT, decoded=KEPT)) == set()
    checked = examine(replace(sample_of(MIXED[:2]), best=KEPT, decoded=LOST))
    with pytest.raises(ConfigError, match=r"gets 0\.0 from format_reward \(does_not_start_with_think\) after it went"):
        checked.refuse_hopeless()
    unweighted = replace(sample_of(MIXED[:2]), best=KEPT, decoded=LOST, weighted=frozenset({"accuracy_reward"}))
    assert (kinds(unweighted), refused(unweighted)) == ({"imperfect"}, set())


def test_a_reward_of_the_user_s_own_that_never_changes_is_told() -> None:
    assert kinds(with_reward(sample_of(MIXED), "mine", [Outcome(0.3, "scored")] * 256)) == {"constant"}
    repetition = with_reward(sample_of(MIXED), "repetition_penalty_reward", [Outcome(0.0, "counted")] * 256)
    assert kinds(repetition) == {"constant"}
    assert kinds(replace(repetition, best=KEPT | {"repetition_penalty_reward": Outcome(0.0, "counted")})) == set()


PROGRAMS: list[tuple[Mapping[int, float], set[str]]] = [({0: 0.1}, set()), ({0: -0.1}, {"nothing_right"})]


@pytest.mark.parametrize(("scores", "expected"), PROGRAMS)
def test_a_program_that_passes_a_test_is_right(scores: Mapping[int, float], expected: set[str]) -> None:
    outcomes = [Outcome(scores.get(index, -1.0), "scored") for index in range(256)]
    completions = [PolicyCompletion("q", "x", 1, is_truncated=False)] * 256
    sample = PolicySample(completions, {"cf_code_reward": outcomes}, SPECS, 8, frozenset({"cf_code_reward"}), 50)
    assert refused(sample) == expected


# what is left of it


def test_the_record_is_json_and_holds_an_example_of_each_failure() -> None:
    checked = examine(sample_of([[RIGHT, WRONG, CUT, "no"]] * 4, cut=[CUT]))
    record = json.loads(json.dumps(checked.record()))
    assert record["rewards"]["accuracy_reward"]["histogram"] == [{"from": 0.0, "count": 12}, {"from": 1.0, "count": 4}]
    assert record["rewards"]["accuracy_reward"]["reasons"] == {"correct": 4, "wrong": 8, "no_answer": 4}
    failures = {example["failure"]: example["completion"] for example in record["examples"]}
    assert failures == {
        "accuracy_reward: wrong": WRONG,
        "cut off": CUT,
        "accuracy_reward: no_answer": CUT,
        "format_reward: not_one_close_think_tag": CUT,
        "format_reward: does_not_start_with_think": "no",
    }


def test_the_lines_show_the_table_and_the_end_of_an_example() -> None:
    lines = examine(sample_of([["\x1b[2J" + "x" * 500 + "end"] * 4] * 2)).lines()
    assert lines[0].split()[0] == "reward"
    assert any("accuracy_reward" in line and "0 × 8" in line for line in lines)
    (example,) = {line for line in lines if "for example" in line}
    assert example.startswith("    for example: …'xxx")
    assert example.endswith("xend' (507 tokens)")
    assert "\x1b" not in "".join(lines)


# the limits themselves


def found_in(sample: PolicySample, kind: str) -> list[str]:
    return [found.text for found in examine(sample).findings if found.kind == kind]


@pytest.mark.parametrize(("num_same", "is_found"), [(8, True), (7, False)])
def test_eight_tenths_of_the_groups_without_variance_are_too_many(num_same: int, is_found: bool) -> None:
    sample = sample_of([[WRONG] * 2] * num_same + [[RIGHT, WRONG]] * (10 - num_same))
    assert sample.zero_variance_share == num_same / 10
    assert bool(found_in(sample, "no_variance")) == is_found


@pytest.mark.parametrize(("num_same", "is_found"), [(8, True), (7, False)])
def test_answers_that_differ_in_two_tenths_of_the_groups_seldom_teach(num_same: int, is_found: bool) -> None:
    sample = sample_of([[RIGHT, BARE]] * num_same + [[RIGHT, WRONG]] * (10 - num_same))
    assert sample.zero_variance_of(sample.judges) == num_same / 10
    assert sample.zero_variance_share == 0
    assert bool(found_in(sample, "seldom_judged")) == is_found


PROSE = "<think>\na\n</think>\n<answer>\nI would say that it is about as much as it was before.\n</answer>"


@pytest.mark.parametrize(("num_lost", "is_found"), [(1, False), (2, True)])
def test_more_than_a_tenth_of_the_kept_formats_without_an_answer_are_too_many(num_lost: int, is_found: bool) -> None:
    sample = sample_of([[RIGHT] * (10 - num_lost) + [PROSE] * num_lost])
    (finding, *_) = [found for found in examine(sample).findings if found.kind == "format_without_answer"] or [None]
    assert (finding is not None) == is_found
    if finding is not None:
        assert finding.example == 8
        assert "in 2 of 10 completions that keep the format" in finding.text


@pytest.mark.parametrize(("num_bare", "is_found"), [(4, True), (3, False)])
def test_half_of_the_right_answers_outside_the_format_are_too_many(num_bare: int, is_found: bool) -> None:
    sample = sample_of([[RIGHT] * (8 - num_bare) + [BARE] * num_bare])
    assert bool(found_in(sample, "right_without_format")) == is_found
    assert not found_in(sample_of([[BARE] * 8]), "right_without_format")


def test_as_much_unscored_as_is_allowed_is_a_warning() -> None:
    outcomes = [Outcome(None, "timeout") if place % 2 else Outcome(1.0, "scored") for place in range(256)]
    sample = with_reward(sample_of(MIXED), "slow", outcomes)
    (found,) = [found for found in examine(sample).findings if found.kind == "unscored"]
    assert (found.is_refusal, found.example) == (False, 1)
    assert "more than" not in found.text
    half = replace(sample_of(MIXED), golds=GoldCheck(2, ((1, "x"),)))
    assert "unreadable_golds" in kinds(half) - refused(half)


def test_nothing_right_shows_the_commonest_failure() -> None:
    (found, *_) = [
        found for found in examine(sample_of([["", WRONG, WRONG, WRONG]])).findings if found.kind == "nothing_right"
    ]
    assert found.example == 1
    assert "(wrong 3, no_answer 1)" in found.text
