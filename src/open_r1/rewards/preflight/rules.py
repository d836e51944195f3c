"""What can stand in the way of learning, a rule each: Flight -> what it finds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from open_r1.rewards.base import NOT_APPLICABLE
from open_r1.rewards.combination import unscored_share
from open_r1.rewards.functions.format import WELL_FORMED
from open_r1.rewards.preflight.flight import (
    ANSWER_REWARDS,
    FORMAT_REWARDS,
    PROGRAM_REWARDS,
    Flight,
)
from open_r1.text.tags import TAGS, THINK_OPEN

MANY = 0.5
MOST = 0.8
FEW = 0.1
SHOWN_CHARS = 160

SATISFIED = {
    "tag_count_reward": 1.0,
    "reasoning_steps_reward": 1.0,
    "repetition_penalty_reward": 0.0,
    "soft_overlong_punishment_reward": 0.0,
}
"""Values with which a reward has nothing to complain of."""


@dataclass(frozen=True)
class Finding:
    """One thing that stands in the way of learning. `example` is the place of a sample that shows it."""

    kind: str
    text: str
    is_refusal: bool = False
    needs_evidence: bool = True
    example: int | None = None


def find_unscored(flight: Flight) -> Iterator[Finding]:
    """Rewards that could not score: training stops above `max_unscored_share`, and so does the check."""
    for name, outcomes in flight.outcomes.items():
        share = unscored_share(outcomes)
        if not share:
            continue
        unscored = [index for index, outcome in enumerate(outcomes) if not outcome.is_scored]
        failed = [index for index in unscored if outcomes[index].reason != NOT_APPLICABLE]
        reasons = Counter(outcomes[index].reason for index in failed)
        listed = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
        is_too_much = share > flight.max_unscored_share
        limit = f", more than max_unscored_share = {flight.max_unscored_share:.0%}" if is_too_much else ""
        text = f"{name} could not score {share:.0%} of the completions ({listed}){limit}; mend the cause."
        yield Finding("unscored", text, is_refusal=is_too_much, example=failed[0])


def find_imperfect(flight: Flight) -> Iterator[Finding]:
    """A completion written to the format that does not satisfy a format reward: no policy could."""
    for name, outcomes in flight.perfect.items():
        failed = [outcome for outcome in outcomes if outcome.value is None or outcome.value < 1]
        if failed:
            yield Finding(
                "imperfect",
                f"a completion written to the format gets {failed[0].value} from {name} ({failed[0].reason}) after it "
                "went through this tokenizer, so no completion can get more: the tokenizer or chat template swallows "
                f"or writes one of {' '.join(TAGS)}. Make them ordinary tokens, give another chat_template, or take "
                f"{name} out of reward_funcs.",
                is_refusal=name in flight.weighted and len(failed) == len(outcomes),
                needs_evidence=False,
            )


def find_unreadable_golds(flight: Flight) -> Iterator[Finding]:
    golds = flight.golds
    if golds.unreadable:
        row, gold = golds.unreadable[0]
        yield Finding(
            "unreadable_golds",
            f"{len(golds.unreadable)} of {golds.looked_at} gold answers looked at can't be read, the first in row {row}: "
            f"{gold[:SHOWN_CHARS]!r}; their completions stay unscored. Name the column with the answer by "
            "dataset_solution_column, or mend or remove such rows.",
            is_refusal=golds.share > flight.max_unscored_share,
            needs_evidence=False,
        )


def find_truncated(flight: Flight) -> Iterator[Finding]:
    """Completions that are cut off: hopeless where all are, and nothing in them can be learned from."""
    if flight.truncated_share < MANY:
        return
    is_all = flight.truncated_share == 1
    is_nothing_right = bool(flight.judges) and not any(flight.is_right)
    is_useless = flight.leaves_out_truncated or is_nothing_right or flight.zero_variance_share in (None, 1)
    share = "every completion was" if is_all else f"{flight.truncated_share:.0%} of the completions were"
    yield Finding(
        "truncated",
        f"{share} cut off at max_completion_length = {flight.max_tokens} tokens; {_explain_cut(flight)}.",
        is_refusal=is_all and is_useless,
        example=next(index for index, sample in enumerate(flight.samples) if sample.is_truncated),
    )


def _explain_cut(flight: Flight) -> str:
    """A turn may have ended by a token that ends nothing here."""
    cut = [sample for sample in flight.samples if sample.is_truncated]
    for stray, count in Counter(stray for sample in cut for stray in sample.strays).most_common(1):
        if count >= MANY * len(cut):
            return f"{count} of them write {stray!r} and go on: set eos_token to it if that ends a turn"
    return "raise max_completion_length, or start from a model that ends its answers"


def find_nothing_right(flight: Flight) -> Iterator[Finding]:
    """No right answer: the rewards for answers teach nothing, whatever the others do."""
    scored = [name for name in flight.judges if any(outcome.is_scored for outcome in flight.outcomes[name])]
    if not scored or any(flight.is_right):
        return
    name = scored[0]
    reasons = Counter(outcome.reason for outcome in flight.outcomes[name])
    listed = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common(4))
    commonest = reasons.most_common(1)[0][0]
    yield Finding(
        "nothing_right",
        f"none of {len(flight.samples)} completions of {flight.num_prompts} problems is right by {name} ({listed}), so "
        "it has nothing to prefer; take easier problems, or a model that solves some of them (SFT first).",
        is_refusal=True,
        example=next(index for index in flight.places if flight.outcomes[name][index].reason == commonest),
    )


def find_no_variance(flight: Flight) -> Iterator[Finding]:
    """Groups whose samples all have the same rewards, from which nothing is learned."""
    share = flight.zero_variance_share
    if share is None or share < MOST:
        return
    is_easy = bool(flight.judges) and all(flight.is_right)
    cause = "every completion is right: the problems are too easy" if is_easy else "the rewards don't tell them apart"
    which = "no group has" if share == 1 else f"only {1 - share:.0%} of the groups have"
    yield Finding(
        "no_variance",
        f"{which} completions of different reward ({flight.num_prompts} groups looked at), and only differences teach; "
        f"{cause}. Choose problems that are solved now and then, or raise num_generations or temperature.",
    )


def find_seldom_judged(flight: Flight) -> Iterator[Finding]:
    """Answers that hardly ever differ within a group where other rewards do: those will be learned, not the answers."""
    share, of_all = flight.zero_variance_of(flight.judges), flight.zero_variance_share
    if not any(flight.is_right) or all(flight.is_right) or share is None or of_all is None:
        return
    if share >= MOST > of_all:
        names = " and ".join(flight.judges)
        yield Finding(
            "seldom_judged",
            f"{names} tells completions apart in {1 - share:.0%} of the groups only, all rewards together in "
            f"{1 - of_all:.0%}: training will learn the others first. Choose problems that are solved now and then, or "
            "lower the others' weights.",
        )


def find_format_missed(flight: Flight) -> Iterator[Finding]:
    """A format that no completion keeps, with its commonest fault and what in the prompt may explain it."""
    if flight.truncated_share == 1:
        return
    for name in (name for name in flight.outcomes if name in FORMAT_REWARDS):
        reasons = Counter(outcome.reason for outcome in flight.outcomes[name])
        if WELL_FORMED in reasons:
            continue
        reason, count = reasons.most_common(1)[0]
        text = f"no completion satisfies {name}; most often ({count} of {len(flight.samples)}): {reason}"
        index = next(i for i, outcome in enumerate(flight.outcomes[name]) if outcome.reason == reason)
        prompt = flight.samples[index].prompt
        yield Finding("format_missed", f"{text}. {_explain_format(name, prompt)}", example=index)


def _explain_format(name: str, prompt: str) -> str:
    wanted = TAGS[:2] if name == "think_format_reward" else TAGS
    missing = [tag for tag in wanted if tag not in prompt]
    if prompt.rstrip().endswith(THINK_OPEN):
        return f"The chat template ends the prompt with {THINK_OPEN}, which the completion then lacks."
    if missing:
        return f"Nothing in the prompt asks for {' '.join(missing)}: say so in system_prompt, or teach it by SFT."
    return "The prompt asks for the tags; a model that doesn't follow it can be taught by SFT, or by format_graded."


def find_disagreement(flight: Flight) -> Iterator[Finding]:
    """Right answers that miss the format, or a kept format in which no answer is found: the two rewards pull apart."""
    share = flight.right_without_format_share
    if share is not None and share >= MANY and any(flight.keeps_format):
        yield Finding(
            "right_without_format",
            f"{share:.0%} of the right answers miss the format: where accuracy and format differ in weight, one is "
            "learned at the cost of the other.",
        )
    kept = [index for index, is_kept in enumerate(flight.keeps_format) if is_kept]
    name = next((name for name in flight.outcomes if name in ANSWER_REWARDS), None)
    lost = [
        index for index in kept if name and flight.outcomes[name][index].reason in ("no_answer", "unparsable_answer")
    ]
    if kept and len(lost) / len(kept) > FEW:
        yield Finding(
            "format_without_answer",
            f"in {len(lost)} of {len(kept)} completions that keep the format no answer can be read; ask in system_prompt "
            "for the answer alone, or in a \\boxed{}.",
            example=lost[0],
        )


def find_constant(flight: Flight) -> Iterator[Finding]:
    """Weighted rewards that gave every completion the same, or none a value; rules above speak for the others."""
    for name, outcomes in flight.outcomes.items():
        if name not in flight.weighted or name in ANSWER_REWARDS | PROGRAM_REWARDS | FORMAT_REWARDS:
            continue
        values = {outcome.value for outcome in outcomes if outcome.value is not None}
        if all(outcome.reason == NOT_APPLICABLE for outcome in outcomes):
            yield Finding("no_value", f"{name} gave no value to any completion.")
        elif len(values) == 1 and values != {SATISFIED.get(name)}:
            value = f"{values.pop():.3g}"
            yield Finding("constant", f"{name} gave every completion {value}, and teaches nothing while that is so.")


RULES: tuple[Callable[[Flight], Iterable[Finding]], ...] = (
    find_unscored,
    find_imperfect,
    find_unreadable_golds,
    find_truncated,
    find_nothing_right,
    find_no_variance,
    find_seldom_judged,
    find_format_missed,
    find_disagreement,
    find_constant,
)
