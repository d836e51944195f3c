"""What can keep a policy from learning, a rule each: PolicySample -> what it finds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from open_r1.rewards.base import NOT_APPLICABLE
from open_r1.rewards.combination import has_failed, list_reasons, unscored_share
from open_r1.rewards.preflight.sample import NO_ANSWER, PolicySample
from open_r1.rewards.spec import WELL_FORMED, RewardSpec
from open_r1.text.tags import TAGS, THINK_OPEN

MANY = 0.5
MOST = 0.8
FEW = 0.1
SHOWN_CHARS = 160


@dataclass(frozen=True)
class Finding:
    """One thing that keeps the policy from learning.

    Args:
        needs_evidence: Whether a small sample is not enough to refuse training for it.
        example: The place of a completion that shows it.
    """

    kind: str
    text: str
    is_refusal: bool = False
    needs_evidence: bool = True
    example: int | None = None


def find_unscored(sample: PolicySample) -> Iterator[Finding]:
    """Rewards that could not score: training stops above `max_unscored_share`, and so does the check."""
    for name, outcomes in sample.outcomes.items():
        share = unscored_share(outcomes)
        if not share:
            continue
        first = next(place for place, outcome in enumerate(outcomes) if has_failed(outcome))
        is_too_much = share > sample.max_unscored_share
        limit = f", more than max_unscored_share = {sample.max_unscored_share:.0%}" if is_too_much else ""
        reasons = list_reasons(filter(has_failed, outcomes))
        text = f"{name} could not score {share:.0%} of the completions ({reasons}){limit}; fix the cause."
        yield Finding("unscored", text, is_refusal=is_too_much, example=first)


def find_imperfect(sample: PolicySample) -> Iterator[Finding]:
    """An example that satisfies a reward for tags, but not after tokenizer and template: no policy could."""
    for name, outcome in sample.decoded.items():
        best = sample.best[name].value
        if best is not None and (outcome.value is None or outcome.value < best):
            yield Finding(
                "imperfect",
                f"a completion written to the format gets {outcome.value} from {name} ({outcome.reason}) after it went "
                "through this tokenizer, so no completion can get more: the tokenizer or chat template removes or writes "
                f"one of {' '.join(TAGS)}. Make them ordinary tokens, give another chat_template, or remove {name} from "
                "reward_funcs.",
                is_refusal=name in sample.weighted,
                needs_evidence=False,
            )


def find_unreadable_golds(sample: PolicySample) -> Iterator[Finding]:
    """Gold answers that nothing can be compared with."""
    golds = sample.golds
    if golds.unreadable:
        row, gold = golds.unreadable[0]
        yield Finding(
            "unreadable_golds",
            f"{len(golds.unreadable)} of {golds.num_checked} gold answers checked can't be read, the first in row {row}: "
            f"{gold[:SHOWN_CHARS]!r}; their completions stay unscored. Name the column with the answer by "
            "dataset_solution_column, or fix or remove such rows.",
            is_refusal=golds.share > sample.max_unscored_share,
            needs_evidence=False,
        )


def find_truncated(sample: PolicySample) -> Iterator[Finding]:
    """Completions that are cut off: hopeless where all are, and nothing in them can be learned from."""
    if sample.truncated_share < MANY:
        return
    is_all = sample.truncated_share == 1
    is_nothing_right = bool(sample.judges) and not any(sample.is_right)
    is_useless = sample.leaves_out_truncated or is_nothing_right or sample.zero_variance_share in (None, 1)
    share = "every completion was" if is_all else f"{sample.truncated_share:.0%} of the completions were"
    yield Finding(
        "truncated",
        f"{share} cut off at max_completion_length = {sample.max_tokens} tokens; {_explain_cut(sample)}.",
        is_refusal=is_all and is_useless,
        example=next(place for place, completion in enumerate(sample.completions) if completion.is_truncated),
    )


def _explain_cut(sample: PolicySample) -> str:
    """A turn may have ended by a token that ends nothing here."""
    cut = [completion for completion in sample.completions if completion.is_truncated]
    for token, count in Counter(token for completion in cut for token in completion.special_tokens).most_common(1):
        if count >= MANY * len(cut):
            return f"{count} of them write {token!r} and go on: set eos_token to it if that ends a turn"
    return "raise max_completion_length, or start from a model that ends its answers"


def find_nothing_right(sample: PolicySample) -> Iterator[Finding]:
    """No right answer: the rewards for answers teach nothing, whatever the others do."""
    scored = [name for name in sample.judges if any(outcome.is_scored for outcome in sample.outcomes[name])]
    if not scored or any(sample.is_right):
        return
    outcomes = sample.outcomes[scored[0]]
    commonest = Counter(outcome.reason for outcome in outcomes).most_common(1)[0][0]
    yield Finding(
        "nothing_right",
        f"none of {len(sample.completions)} completions of {sample.num_prompts} problems is right by {scored[0]} "
        f"({list_reasons(outcomes, 4)}), so it has nothing to prefer; take easier problems, or a model that solves some "
        "of them (SFT first).",
        is_refusal=True,
        example=next(place for place, outcome in enumerate(outcomes) if outcome.reason == commonest),
    )


def find_no_variance(sample: PolicySample) -> Iterator[Finding]:
    """Groups whose completions all have the same rewards, from which nothing is learned."""
    share = sample.zero_variance_share
    if share is None or share < MOST:
        return
    is_easy = bool(sample.judges) and all(sample.is_right)
    cause = (
        "every completion is right: the problems are too easy" if is_easy else "the rewards do not vary within them"
    )
    which = "no group has" if share == 1 else f"only {1 - share:.0%} of the groups have"
    yield Finding(
        "no_variance",
        f"{which} completions of different reward ({sample.num_prompts} groups sampled), and only differences teach; "
        f"{cause}. Choose problems that are solved sometimes, or raise num_generations or temperature.",
    )


def find_seldom_judged(sample: PolicySample) -> Iterator[Finding]:
    """Answers that hardly ever differ within a group where other rewards do: those will be learned, not the answers."""
    share, of_all = sample.zero_variance_of(sample.judges), sample.zero_variance_share
    if not any(sample.is_right) or all(sample.is_right) or share is None or of_all is None:
        return
    if share >= MOST > of_all:
        yield Finding(
            "seldom_judged",
            f"{' and '.join(sample.judges)} gives different values in only {1 - share:.0%} of the groups, all rewards "
            f"together in {1 - of_all:.0%}: training will learn the others first. Choose problems that are solved "
            "sometimes, or lower the others' weights.",
        )


def find_format_missed(sample: PolicySample) -> Iterator[Finding]:
    """A format that no completion keeps, with its commonest fault and what in the prompt may explain it."""
    if sample.truncated_share == 1:
        return
    for name in sample.of_kind("format"):
        outcomes = sample.outcomes[name]
        reasons = Counter(outcome.reason for outcome in outcomes)
        if WELL_FORMED in reasons:
            continue
        reason, count = reasons.most_common(1)[0]
        text = f"no completion satisfies {name}; most often ({count} of {len(outcomes)}): {reason}"
        place = next(place for place, outcome in enumerate(outcomes) if outcome.reason == reason)
        explanation = _explain_format(sample.specs[name], sample.completions[place].prompt)
        yield Finding("format_missed", f"{text}. {explanation}", example=place)


def _explain_format(spec: RewardSpec, prompt: str) -> str:
    wanted = [tag for tag in TAGS if spec.example is None or tag in spec.example.completion]
    missing = [tag for tag in wanted if tag not in prompt]
    if prompt.rstrip().endswith(THINK_OPEN):
        return f"The chat template ends the prompt with {THINK_OPEN}, which the completion then lacks."
    if missing:
        return f"Nothing in the prompt asks for {' '.join(missing)}: ask for it in system_prompt, or teach it by SFT."
    return (
        "The prompt asks for the tags; SFT teaches them to a model that does not follow it, or a graded reward does."
    )


def find_disagreement(sample: PolicySample) -> Iterator[Finding]:
    """Right answers that miss the format, or a kept format in which no answer is found: the two rewards pull apart."""
    share = sample.right_without_format_share
    if share is not None and share >= MANY and any(sample.keeps_format):
        yield Finding(
            "right_without_format",
            f"{share:.0%} of the right answers miss the format: where the rewards for answer and format differ in weight, "
            "one is learned at the cost of the other.",
        )
    kept = [place for place, is_kept in enumerate(sample.keeps_format) if is_kept]
    for name in sample.of_kind("answer")[:1]:
        lost = [place for place in kept if sample.outcomes[name][place].reason in NO_ANSWER]
        if kept and len(lost) / len(kept) > FEW:
            yield Finding(
                "format_without_answer",
                f"in {len(lost)} of {len(kept)} completions that keep the format no answer can be read; ask in "
                "system_prompt for the answer alone, or in a \\boxed{}.",
                example=lost[0],
            )


def find_constant(sample: PolicySample) -> Iterator[Finding]:
    """Weighted rewards that gave every completion the same, or none a value; rules above speak for the others."""
    reasons = {name: {outcome.reason for outcome in sample.outcomes[name]} for name in sample.weighted}
    applied = [name for name, given in reasons.items() if given != {NOT_APPLICABLE}]
    for name, outcomes in sample.outcomes.items():
        spec = sample.specs[name]
        if name not in sample.weighted or spec.is_judge or spec.kind == "format":
            continue
        values = {outcome.value for outcome in outcomes if outcome.value is not None}
        if name not in applied:
            where = f"{name} ({spec.place})" if spec.place else name
            yield Finding(
                "no_value",
                f"{where} gave None to every completion, which says that it doesn't apply; return a number.",
                is_refusal=not applied,
            )
        elif len(values) == 1 and not (name in sample.best and values == {sample.best[name].value}):
            value = f"{values.pop():.3g}"
            yield Finding("constant", f"{name} gave every completion {value}, and teaches nothing while that is so.")


RULES: tuple[Callable[[PolicySample], Iterable[Finding]], ...] = (
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
