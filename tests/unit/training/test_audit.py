"""The audit of one sample: what is trained, and whether it teaches the model to stop and to think."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from open_r1.errors import ModelError
from open_r1.training.sft import audit_sample, check_end, check_mask

WORDS = ["<user>", "question", "<assistant>", "<think>", "thought", "</think>", "answer", "<end>", "\n"]
EOS = 7


def decode(ids: Sequence[int]) -> str:
    return "".join(WORDS[i] for i in ids)


def check(mask: str, ids: Sequence[int] = range(9), has_thinking: bool = True) -> None:
    trained = [mark == "x" for mark in mask]
    audit = audit_sample(ids, trained, decode)
    check_mask(audit)
    check_end(audit, WORDS[EOS], has_thinking)


def test_the_audit_shows_what_carries_loss() -> None:
    audit = audit_sample(range(9), [False] * 3 + [True] * 5 + [False], decode)
    assert audit.as_text() == "<user>question<assistant>⟦<think>thought</think>answer<end>⟧\n"
    assert (audit.num_tokens, audit.num_trained) == (9, 5)


def test_loss_on_the_whole_assistants_turn_passes() -> None:
    check("...xxxxx.")


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (".........", "no token of the sample carries loss"),
        ("xxxxxxxxx", "the prompt too"),
        ("...xxxx..", "does not end the turn"),
        ("......xx.", "is not in what is trained"),
    ],
)
def test_masks_that_cannot_teach_are_refused(mask: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        check(mask)


def test_white_space_after_the_turns_end_may_carry_loss() -> None:
    check("...xxxxxx")


def test_plain_text_may_carry_loss_everywhere() -> None:
    check_mask(audit_sample(range(3), [True] * 3, decode), may_be_everything=True)
