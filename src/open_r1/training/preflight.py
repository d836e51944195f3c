"""The pre-flight check before GRPO: a few completions by the trainer's own path, scored, before anything is learned.

Does: draw completions as a training step would (transformers or vLLM, under any launcher, every process its share),
score them by the recipe's rewards, have them examined (`rewards.preflight`), and put everything back as it was, random
states included, so that training ends where it would have ended without. Does not: decide what is wrong, or write.

Where the first look finds nothing to learn from, MIN_PROMPTS problems in all are looked at before training is refused.

It leans on GRPOTrainer's `_generate` and `_metrics`; `tests/contract/test_trl_internals.py` fails when they move.
"""

from __future__ import annotations

import copy
import math
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy
import torch
from accelerate.utils import broadcast_object_list, gather_object

from open_r1.records import Outcome
from open_r1.rewards import check_answers, extract_gold
from open_r1.rewards.base import RewardFunction, text_of
from open_r1.rewards.preflight import MIN_PROMPTS, Finding, Flight, GoldLook, PolicySample, Preflight, examine
from open_r1.rewards.preflight.flight import ANSWER_REWARDS, TAG_REWARDS
from open_r1.text.tags import ANSWER_CLOSE, ANSWER_OPEN, THINK_CLOSE, THINK_OPEN, render_completion

NUM_GOLDS = 100
"""Gold answers looked at, evenly spread over the data."""

Row = Mapping[str, Any]


def check_before_training(trainer: Any) -> Preflight | None:
    """The pre-flight check of a GRPO trainer that is ready to train; every process of a launch takes part.

    None where it isn't wanted, or where this run passed it before it was interrupted.
    """
    if not trainer.args.preflight_prompts or has_passed(trainer):
        return None
    started = time.monotonic()
    with undisturbed(trainer):
        checked = look(trainer)
    trainer.report(
        f"pre-flight: {checked.flight.num_prompts} problems x {trainer.num_generations} completions in "
        f"{time.monotonic() - started:.1f} s"
    )
    for line in checked.lines():
        trainer.report(line)
    return checked


def has_passed(trainer: Any) -> bool:
    """Whether the folder holds the record of this run's check; the first process decides for all."""
    opened = trainer.opened
    found = [opened is not None and opened.folder.preflight.exists() and not opened.starts_over()]
    return broadcast_object_list(found)[0]


def look(trainer: Any) -> Preflight:
    """Some problems, and up to MIN_PROMPTS where they show nothing to learn from."""
    settings, rewards = trainer.args, [explained.reward for explained in trainer.explained]
    wanted = settings.preflight_prompts
    rows = choose_rows(trainer.train_dataset, max(wanted, MIN_PROMPTS), settings.seed)
    flight = Flight(
        **fly(trainer, rewards, rows[:wanted]),
        group_size=trainer.num_generations,
        weighted=weighted_names(trainer),
        max_tokens=settings.max_completion_length,
        leaves_out_truncated=settings.mask_truncated_completions,
        max_unscored_share=settings.max_unscored_share,
        golds=look_at_golds(trainer.train_dataset, rewards),
        perfect=score_perfect(trainer, rewards, rows[:wanted]),
        num_problems=len(trainer.train_dataset),
    )
    notes = list(find_idle_settings(trainer))
    checked = examine(flight, notes)
    if checked.wants_more and rows[wanted:]:
        checked = examine(flight.joined(**fly(trainer, rewards, rows[wanted:])), notes)
    return checked


def weighted_names(trainer: Any) -> frozenset[str]:
    """The rewards whose weight is other than 0 at some time of training."""
    schedules = zip(trainer.explained, trainer.weights.schedules, strict=True)
    return frozenset(explained.__name__ for explained, schedule in schedules if any(schedule.values))


def choose_rows(data: Any, count: int, seed: int) -> list[Row]:
    """At most `count` rows drawn by a generator of their own, the same in every process."""
    chosen = random.Random(seed).sample(range(len(data)), min(count, len(data)))
    return [data[index] for index in chosen]


@contextmanager
def undisturbed(trainer: Any) -> Iterator[None]:
    """Whatever drawing completions changes is as before: random states, the model's mode, what is counted and logged."""
    python, of_numpy = random.getstate(), numpy.random.get_state()
    was_training, report_to = trainer.model.training, trainer.args.report_to
    metrics, tokens = copy.deepcopy(trainer._metrics), trainer.state.num_input_tokens_seen
    device = trainer.accelerator.device
    indices = [] if device.type == "cpu" else [device.index or 0]
    trainer.model.train()  # as in a training step: TRL draws num_generations completions then
    trainer.args.report_to = []  # trackers have not been started yet
    try:
        with torch.random.fork_rng(indices, device_type="cuda" if device.type == "cpu" else device.type):
            yield
    finally:
        trainer.model.train(was_training)
        trainer.args.report_to = report_to
        trainer._metrics, trainer.state.num_input_tokens_seen = metrics, tokens
        random.setstate(python)
        numpy.random.set_state(of_numpy)


# --- completions ----------------------------------------------------------------------------------------------------


def fly(trainer: Any, rewards: Sequence[RewardFunction], rows: Sequence[Row]) -> dict[str, Any]:
    """The samples and outcomes of `num_generations` completions for each row, the same in every process."""
    records = [
        record
        for batch in generation_batches(trainer, rows)
        for record in gather_object(complete(trainer, rewards, batch))
    ]
    kept = records[: len(rows) * trainer.num_generations]
    outcomes = {reward.__name__: [found[number] for _, found in kept] for number, reward in enumerate(rewards)}
    return {"samples": [sample for sample, _ in kept], "outcomes": outcomes}


def generation_batches(trainer: Any, rows: Sequence[Row]) -> Iterator[list[Row]]:
    """This process's share of each round: no round is larger than a generation of training, each holds whole groups.

    The last round is filled up with rows from the beginning, which `fly` drops again.
    """
    group, processes = trainer.num_generations, trainer.accelerator.num_processes
    unit = math.lcm(group, processes) // processes
    largest = trainer.args.per_device_train_batch_size * trainer.args.steps_per_generation
    left = list(rows)
    while left:
        share = min(largest, unit * math.ceil(len(left) * group / (unit * processes)))
        num_prompts = share * processes // group
        prompts = [left[index] if index < len(left) else rows[index % len(rows)] for index in range(num_prompts)]
        everyone = [row for row in prompts for _ in range(group)]
        start = trainer.accelerator.process_index * share
        yield everyone[start : start + share]
        left = left[num_prompts:]


def complete(
    trainer: Any, rewards: Sequence[RewardFunction], batch: Sequence[Row]
) -> list[tuple[PolicySample, list[Outcome]]]:
    """One completion for each row, with every reward's outcome, as a training step makes and scores them."""
    prompt_ids, completion_ids, _, completions, *_ = trainer._generate([row["prompt"] for row in batch])
    columns = columns_of(batch) | {
        "prompts": [row["prompt"] for row in batch],
        "completions": completions,
        "completion_ids": completion_ids,
        "trainer_state": trainer.state,
        "log_extra": ignore,
        "log_metric": ignore,
    }
    with ThreadPoolExecutor(len(rewards)) as threads:  # off the main thread and all at once, as in training
        outcomes = list(threads.map(lambda reward: reward.score(**columns), rewards))
    samples = [describe(trainer, *made) for made in zip(prompt_ids, completions, completion_ids, strict=True)]
    return list(zip(samples, map(list, zip(*outcomes, strict=True)), strict=True))


def columns_of(batch: Sequence[Row]) -> dict[str, list[Any]]:
    """The data's columns as TRL hands them to rewards."""
    keys = [key for key in batch[0] if key not in ("prompt", "completion", "completion_ids")]
    return {key: [row[key] for row in batch] for key in keys}


def ignore(*_: Any) -> None:
    """What a reward logs of its own doesn't belong to any step."""


def describe(trainer: Any, prompt_ids: list[int], completion: Any, completion_ids: list[int]) -> PolicySample:
    tokenizer = trainer.processing_class
    ends = {*trainer.eos_token_ids, tokenizer.pad_token_id}
    special = sorted(set(completion_ids) & set(tokenizer.all_special_ids) - ends)
    return PolicySample(
        prompt=tokenizer.decode(prompt_ids),
        completion=text_of(completion),
        num_tokens=len(completion_ids),
        is_truncated=not completion_ids or completion_ids[-1] not in ends,
        strays=tuple(tokenizer.convert_ids_to_tokens(special)),
    )


# --- what can be told without the policy ------------------------------------------------------------------------------


def look_at_golds(data: Any, rewards: Sequence[RewardFunction]) -> GoldLook:
    """Which of some gold answers can't be read, where a reward of ours compares with them."""
    if not any(reward.__name__ in ANSWER_REWARDS for reward in rewards):
        return GoldLook()
    step = max(1, len(data) // NUM_GOLDS)
    places = range(0, len(data), step)[:NUM_GOLDS]
    golds = [data[place]["solution"] for place in places]
    verdicts = check_answers(golds, [r"\boxed{1}"] * len(golds))
    unreadable = [
        (place, str(gold))
        for place, gold, verdict in zip(places, golds, verdicts, strict=True)
        if verdict.reason == "unparsable_gold"
    ]
    return GoldLook(len(golds), tuple(unreadable))


def score_perfect(trainer: Any, rewards: Sequence[RewardFunction], rows: Sequence[Row]) -> dict[str, list[Outcome]]:
    """What the rewards for tags give to completions written to the format, which went through the tokenizer.

    The policy's completions are decoded without special tokens: tags that are such tokens would never reach a reward.
    What the chat template writes for the model is taken off, for the completion begins after it.
    """
    looked_at = [reward for reward in rewards if reward.__name__ in TAG_REWARDS]
    if not looked_at:
        return {}
    tokenizer, written = trainer.processing_class, generation_prompt(trainer, rows[0]["prompt"])
    wants_code = any(reward.__name__ == "code_format_reward" for reward in looked_at)
    language = trainer.arguments.script.code_language if wants_code else None
    texts = [without_prefill(write_perfect(row, language), written) for row in rows]
    ids = tokenizer(texts, add_special_tokens=False)["input_ids"]
    columns = columns_of(rows) | {"completions": tokenizer.batch_decode(ids, skip_special_tokens=True)}
    return {reward.__name__: reward.score(**columns) for reward in looked_at}


def write_perfect(row: Row, code_language: str | None) -> str:
    """A completion that keeps the format: thinking, then the gold answer in a box, or a fenced block of code."""
    if code_language is None:
        return render_completion("some steps", extract_gold(str(row.get("solution"))) or "0")
    before, _, _ = render_completion("some steps", "").partition(ANSWER_OPEN)
    fence = f"```{row.get('language') or code_language}\nsome code\n```"
    return f"{before}{ANSWER_OPEN}\n{fence}\n{ANSWER_CLOSE}"


def generation_prompt(trainer: Any, messages: Any) -> str:
    """What the chat template writes between the last message and the completion."""
    render = partial(
        trainer.processing_class.apply_chat_template,
        messages,
        tokenize=False,
        chat_template=trainer.chat_template,
        **trainer.chat_template_kwargs,
    )
    return render(add_generation_prompt=True).removeprefix(render(add_generation_prompt=False))


def without_prefill(text: str, written: str) -> str:
    """A completion without the tags of thinking that the chat template has written already."""
    if THINK_CLOSE in written:
        return text.partition(THINK_CLOSE)[2]
    return text.removeprefix(THINK_OPEN) if THINK_OPEN in written else text


def find_idle_settings(trainer: Any) -> Iterator[Finding]:
    """Settings of rewards that have no effect, or another one than meant, beside those of the training."""
    names = {explained.__name__ for explained in trainer.explained}
    settings, script = trainer.args, trainer.arguments.script
    limit, begins = settings.max_completion_length, script.max_completion_len - script.soft_punish_cache
    if "soft_overlong_punishment_reward" in names and begins >= limit:
        yield Finding(
            "idle_setting",
            f"soft_overlong_punishment begins at {begins} tokens (max_completion_len {script.max_completion_len} less "
            f"soft_punish_cache {script.soft_punish_cache}), but completions end at max_completion_length = {limit}; "
            f"set max_completion_len {limit} and a smaller soft_punish_cache.",
        )
    share = settings.per_device_train_batch_size * settings.steps_per_generation
    if "len_reward" in names and share % trainer.num_generations:
        yield Finding(
            "split_groups",
            f"length compares the completions of a prompt, but a process holds {share} and a prompt has "
            f"{trainer.num_generations}, so that some prompts are split between processes and compared in part; choose "
            "per_device_train_batch_size so that num_generations divides a process's share.",
        )
