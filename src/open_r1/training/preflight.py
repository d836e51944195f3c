"""The pre-flight check before GRPO: a few completions by the trainer's own path, scored, before anything is learned.

Completions are sampled as in a training step, and everything is put back as it was, random states included; what is wrong
is decided in `rewards.preflight`. It leans on GRPOTrainer's `_generate` and `_metrics`, see tests/contract.
"""

from __future__ import annotations

import copy
import math
import random
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import numpy
import torch
from accelerate.utils import broadcast_object_list, gather_object

from open_r1.answers.check import check_answers
from open_r1.records import Outcome
from open_r1.rewards.base import RewardFunction, text_of
from open_r1.rewards.model_rewards import scores_open_rows
from open_r1.rewards.preflight.check import Preflight, examine
from open_r1.rewards.preflight.rules import Finding
from open_r1.rewards.preflight.sample import MIN_PROMPTS, GoldCheck, PolicyCompletion, PolicySample
from open_r1.rewards.spec import RewardSpec, Setup
from open_r1.text.tags import THINK_CLOSE, THINK_OPEN

NUM_GOLDS = 100
"""Gold answers checked, evenly spread over the data."""

Row = Mapping[str, Any]


def check_before_training(trainer: Any) -> Preflight | None:
    """The pre-flight check of a GRPO trainer that is ready to train; every process of a launch takes part.

    None where it isn't wanted, or where this run passed it before it was interrupted.
    """
    opened = trainer.opened
    has_passed = [opened is not None and opened.folder.preflight.exists() and not opened.starts_over()]
    if not trainer.args.preflight_prompts or broadcast_object_list(has_passed)[0]:  # the first process decides for all
        return None
    started = time.monotonic()
    with undisturbed(trainer):
        checked = sample_policy(trainer)
    trainer.report(
        f"pre-flight: {checked.sample.num_prompts} problems x {trainer.num_generations} completions in "
        f"{time.monotonic() - started:.1f} s"
    )
    for line in checked.lines():
        trainer.report(line)
    return checked


def sample_policy(trainer: Any) -> Preflight:
    """The check of some problems' completions, and of up to MIN_PROMPTS where the first show nothing to learn from."""
    settings, rewards = trainer.args, [adapter.reward for adapter in trainer.adapters]
    specs = dict(zip((reward.__name__ for reward in rewards), trainer.specs, strict=True))
    wanted = settings.preflight_prompts
    rows = choose_rows(trainer.train_dataset, max(wanted, MIN_PROMPTS), settings.seed)
    best, decoded = score_examples(trainer, rewards, specs, rows[0]["prompt"])
    started, group = time.monotonic(), trainer.num_generations
    trainer.report(f"pre-flight: sampling {group} completions of each of {len(rows[:wanted])} problems")
    sample = PolicySample(
        **complete_all(trainer, rewards, rows[:wanted]),
        specs=specs,
        group_size=trainer.num_generations,
        weighted=frozenset(
            adapter.__name__
            for adapter, schedule in zip(trainer.adapters, trainer.weights.schedules, strict=True)
            if any(schedule.values)
        ),
        max_tokens=settings.max_completion_length,
        leaves_out_truncated=settings.mask_truncated_completions,
        max_unscored_share=settings.max_unscored_share,
        golds=check_golds(trainer.train_dataset, list(specs.values())),
        best=best,
        decoded=decoded,
        num_problems=len(trainer.train_dataset),
    )
    notes = list(find_idle_rewards(trainer, list(specs.values())))
    checked = examine(sample, notes)
    if checked.doubts and rows[wanted:]:
        seconds = (time.monotonic() - started) / len(rows[:wanted]) * len(rows[wanted:])
        trainer.report(
            f"pre-flight: {checked.doubts[0].text} To be sure, {len(rows[wanted:])} more problems are sampled, which takes "
            f"about {seconds:.0f} s; preflight_prompts 0 leaves the check out"
        )
        checked = examine(sample.joined(**complete_all(trainer, rewards, rows[wanted:])), notes)
    return checked


def choose_rows(data: Any, count: int, seed: int) -> list[Row]:
    """At most `count` rows sampled by a generator of their own, the same in every process."""
    chosen = random.Random(seed).sample(range(len(data)), min(count, len(data)))
    return [data[index] for index in chosen]


@contextmanager
def undisturbed(trainer: Any) -> Iterator[None]:
    """Restores whatever sampling changes: random states, the model's mode, what is counted and logged."""
    python, of_numpy = random.getstate(), numpy.random.get_state()
    was_training, report_to = trainer.model.training, trainer.args.report_to
    metrics, tokens = copy.deepcopy(trainer._metrics), trainer.state.num_input_tokens_seen
    device = trainer.accelerator.device
    indices = [] if device.type == "cpu" else [device.index or 0]
    trainer.model.train()  # as in a training step: TRL samples num_generations completions then
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


def complete_all(trainer: Any, rewards: Sequence[RewardFunction], rows: Sequence[Row]) -> dict[str, Any]:
    """The completions and outcomes of `num_generations` completions for each row, the same in every process."""
    records: list[Any] = []
    started = time.monotonic()
    for batch in generation_batches(trainer, rows):
        records += gather_object(complete(trainer, rewards, batch))
        if (done := len(records) // trainer.num_generations) < len(rows):
            trainer.report(f"pre-flight: {done} of {len(rows)} problems, {time.monotonic() - started:.0f} s")
    kept = records[: len(rows) * trainer.num_generations]
    outcomes = {reward.__name__: [found[number] for _, found in kept] for number, reward in enumerate(rewards)}
    return {"completions": [completion for completion, _ in kept], "outcomes": outcomes}


def generation_batches(trainer: Any, rows: Sequence[Row]) -> Iterator[list[Row]]:
    """This process's share of each round: no round is larger than a generation of training, each has whole groups.

    The last round is filled up with rows from the beginning, which `complete_all` drops again.
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
) -> list[tuple[PolicyCompletion, list[Outcome]]]:
    """One completion for each row, with every reward's outcome, as a training step makes and scores them."""
    prompts = [row["prompt"] for row in batch]
    prompt_ids, completion_ids, _, completions, *_ = trainer._generate(prompts)
    keys = [key for key in batch[0] if key not in ("prompt", "completion", "completion_ids")]  # as TRL leaves out
    columns = {key: [row[key] for row in batch] for key in keys}
    columns |= {"prompts": prompts, "completions": completions, "completion_ids": completion_ids}
    ignore = lambda *_: None  # noqa: E731 - what a reward logs of its own belongs to no step here
    columns |= {"trainer_state": trainer.state, "log_extra": ignore, "log_metric": ignore}
    with ThreadPoolExecutor(len(rewards)) as threads:  # off the main thread and all at once, as in training
        outcomes = list(threads.map(lambda reward: reward.score(**columns), rewards))
    described = [describe(trainer, *made) for made in zip(prompt_ids, completions, completion_ids, strict=True)]
    return list(zip(described, map(list, zip(*outcomes, strict=True)), strict=True))


def describe(trainer: Any, prompt_ids: list[int], completion: Any, completion_ids: list[int]) -> PolicyCompletion:
    """A completion as the check reads it; `prompt_ids` and `completion_ids` are its tokens, without padding."""
    tokenizer = trainer.processing_class
    ends = {*trainer.eos_token_ids, tokenizer.pad_token_id}
    special = sorted(set(completion_ids) & set(tokenizer.all_special_ids) - ends)
    return PolicyCompletion(
        prompt=tokenizer.decode(prompt_ids),
        text=text_of(completion),
        num_tokens=len(completion_ids),
        is_truncated=not completion_ids or completion_ids[-1] not in ends,
        special_tokens=tuple(tokenizer.convert_ids_to_tokens(special)),
    )


def check_golds(data: Any, specs: Collection[RewardSpec]) -> GoldCheck:
    """Which of some gold answers can't be read, where a reward compares answers with them."""
    if not any(spec.kind == "answer" and "solution" in spec.needs_columns for spec in specs):
        return GoldCheck()
    places = range(0, len(data), max(1, len(data) // NUM_GOLDS))[:NUM_GOLDS]
    if any(scores_open_rows(spec.name) for spec in specs):
        places = [place for place in places if data[place]["solution"]]
    golds = [data[place]["solution"] for place in places]
    verdicts = zip(places, golds, check_answers(golds, [r"\boxed{1}"] * len(golds)), strict=True)
    unreadable = tuple((place, str(gold)) for place, gold, verdict in verdicts if verdict.reason == "unparsable_gold")
    return GoldCheck(len(golds), unreadable)


def score_examples(
    trainer: Any, rewards: Sequence[RewardFunction], specs: Mapping[str, RewardSpec], prompt: Any
) -> tuple[dict[str, Outcome], dict[str, Outcome]]:
    """What rewards for tags and shape give their own examples; those for tags also after tokenizer and template.

    The policy's completions are decoded without special tokens: tags that are such tokens would never reach a reward.
    What the chat template writes for the model is left out, for the completion begins after it.
    """
    best: dict[str, Outcome] = {}
    decoded: dict[str, Outcome] = {}
    tokenizer, written = trainer.processing_class, generation_prompt(trainer, prompt)
    for reward in rewards:
        spec = specs[reward.__name__]
        if spec.example is None or spec.kind not in ("format", "tags", "shape"):
            continue
        best[reward.__name__] = spec.example.score(reward)
        if spec.kind != "shape":
            ids = tokenizer(without_prefill(spec.example.completion, written), add_special_tokens=False)["input_ids"]
            example = replace(spec.example, completion=tokenizer.decode(ids, skip_special_tokens=True))
            decoded[reward.__name__] = example.score(reward)
    return best, decoded


def generation_prompt(trainer: Any, messages: Any) -> str:
    """What the chat template writes between the last message and the completion."""
    options = {"tokenize": False, "chat_template": trainer.chat_template, **trainer.chat_template_kwargs}
    render = partial(trainer.processing_class.apply_chat_template, messages, **options)
    return render(add_generation_prompt=True).removeprefix(render(add_generation_prompt=False))


def without_prefill(text: str, written: str) -> str:
    """A completion without the tags of thinking that the chat template has written already."""
    if THINK_CLOSE in written:
        return text.partition(THINK_CLOSE)[2]
    return text.removeprefix(THINK_OPEN) if THINK_OPEN in written else text


def find_idle_rewards(trainer: Any, specs: Iterable[RewardSpec]) -> Iterator[Finding]:
    """Rewards that can have no effect, or another one than meant, beside the settings of the training."""
    settings = trainer.args
    a_device = settings.per_device_train_batch_size * settings.steps_per_generation
    setup = Setup(trainer.arguments.script, settings.max_completion_length, trainer.num_generations, a_device)
    for spec in specs:
        if sentence := spec.find_idle(setup):
            yield Finding("idle_setting", sentence)
