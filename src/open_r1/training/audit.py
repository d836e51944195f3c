"""The audit of one training sample: what the model sees, what it is trained on, and whether that can teach it to stop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

from open_r1.errors import ModelError
from open_r1.text.tags import THINK_OPEN

Decode = Callable[[Sequence[int]], str]


@dataclass(frozen=True)
class SampleAudit:
    """One sample as alternating stretches of (is_trained, text), and its counts of tokens."""

    stretches: tuple[tuple[bool, str], ...]
    num_tokens: int
    num_trained: int

    def as_text(self) -> str:
        """The sample with its supervised stretches between ⟦ and ⟧."""
        return "".join(f"⟦{text}⟧" if is_trained else text for is_trained, text in self.stretches)


def audit_sample(token_ids: Sequence[int], is_trained: Sequence[bool], decode: Decode) -> SampleAudit:
    """Group a sample's tokens by whether they carry loss."""
    grouped = groupby(zip(is_trained, token_ids, strict=True), key=lambda pair: pair[0])
    shown = tuple((trained, decode([token for _, token in pairs])) for trained, pairs in grouped)
    return SampleAudit(shown, len(token_ids), sum(map(bool, is_trained)))


def check_mask(audit: SampleAudit, may_be_everything: bool = False) -> None:
    """ModelError when no token carries loss, or, unless that is meant, every token does."""
    if audit.num_trained == 0:
        raise ModelError("no token of the sample carries loss: it may be cut off before the answer; raise max_length.")
    if audit.num_trained == audit.num_tokens and audit.num_tokens > 1 and not may_be_everything:
        raise ModelError(
            "every token of the sample carries loss, the prompt too; "
            "set assistant_only_loss true, or use a chat template with generation markers."
        )


def check_end(audit: SampleAudit, eos_token: str, has_thinking: bool) -> None:
    """ModelError when the turn's end isn't trained, or the thinking got lost. White space may follow the end."""
    trained = "".join(text for carries_loss, text in audit.stretches if carries_loss)
    if not trained.rstrip().endswith(eos_token):
        raise ModelError(
            "the last supervised token of the sample does not end the turn, so the model would not learn to stop: "
            f"it ends in {audit.stretches[-1][1][-40:]!r}; set eos_token to what the chat template ends a turn with."
        )
    if has_thinking and THINK_OPEN not in trained:
        raise ModelError(f"the sample's {THINK_OPEN} is not in what is trained; fix the chat template.")
