"""Supervised fine-tuning on reasoning traces, by TRL's SFTTrainer.

open-r1 sft --config recipes/tiny/sft.yaml --model_name_or_path DIR --dataset_name traces.jsonl --output_dir OUT
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from datasets import DatasetDict, Features
from transformers.trainer_pt_utils import LengthGroupedSampler
from trl import SFTTrainer

from open_r1.data import get_dataset, to_conversations
from open_r1.errors import DataError, ModelError
from open_r1.rundir import RunDir
from open_r1.text.tags import THINK_OPEN
from open_r1.training.callbacks import Report
from open_r1.training.labelled_positions import LabelledPositionsTrainer
from open_r1.training.lengths import MEASURED, fit_lengths, leave_out_refused
from open_r1.training.models import align_model, get_model, get_tokenizer, new_adapter, report_trainable
from open_r1.training.packing import EpochLengthSampler, describe_packing, describe_padding, refuse_contamination
from open_r1.training.parse import StageArguments
from open_r1.training.phases import PhaseTrainer
from open_r1.training.resuming import ResumableTrainer
from open_r1.training.stage import FinishedStage, prepare_trainer, run_stage


def run_sft(arguments: StageArguments, report: Report, identity: dict[str, Any] | None = None) -> FinishedStage:
    """Carry out an SFT stage; a stage that is already done is left as it is."""
    return run_stage(arguments, build_trainer, report, identity)


class TraceTrainer(ResumableTrainer, PhaseTrainer, LabelledPositionsTrainer, SFTTrainer):
    """TRL's SFTTrainer, resumable, that logs where its time goes and keeps packed samples apart."""

    def check_before_training(self) -> None:
        """Refuse packing where the model lets samples see each other."""
        settings: Any = self.args
        if settings.packing and settings.packing_strategy != "wrapped":
            refuse_contamination(self)

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        sampler = super()._get_train_sampler(train_dataset)
        if isinstance(sampler, LengthGroupedSampler):
            sampler.__class__, sampler.seed = EpochLengthSampler, self.args.seed  # type: ignore[attr-defined]
        return sampler


def build_trainer(arguments: StageArguments, run: RunDir, report: Report) -> tuple[TraceTrainer, Any]:
    """TRL's trainer over our data, model and tokenizer."""
    script, training = arguments.script, arguments.training
    tokenizer = get_tokenizer(arguments.model, training)
    conversations = leave_out_refused(load_conversations(arguments), tokenizer, report)
    conversations = fit_lengths(conversations, tokenizer, training, report)
    data = choose_loss(conversations, tokenizer, arguments, report)
    model = get_model(arguments.model, training)
    align_model(model, tokenizer, arguments.model)
    train_rows = data[script.dataset_train_split]
    report(f"{len(train_rows)} samples, {model.num_parameters():,} parameters")
    trainer = TraceTrainer(
        model=model,
        args=training,
        train_dataset=train_rows,
        eval_dataset=pick_eval_split(data, arguments),
        processing_class=tokenizer,
        peft_config=new_adapter(model, arguments.model),
    )
    report_trainable(trainer.model, report)
    kept: Any = trainer.train_dataset
    if "seq_lengths" in kept.column_names:
        report(describe_packing(kept, training.max_length))
    elif padding := describe_padding([len(ids) for ids in kept[: 2 * MEASURED]["input_ids"]], training):
        report(padding)
    if not training.packing and len(kept) < len(train_rows):
        report(
            f"left out {len(train_rows) - len(kept):,} samples: max_length = {training.max_length:,} ends before the answer"
        )
    prepare_trainer(trainer, arguments, run, report)
    audit = audit_training(trainer, tokenizer, has_thinking=THINK_OPEN in str(train_rows[0]))
    report(f"loss on {audit.num_trained} of {audit.num_tokens} tokens of a sample: {audit.as_text()!r}")
    return trainer, tokenizer


def load_conversations(arguments: StageArguments) -> Any:
    """Every split as conversations, the training split cut to `max_samples`."""
    script, training = arguments.script, arguments.training
    options = (training.system_prompt, training.dataset_num_proc, training.dataset_text_field)
    data = {name: to_conversations(rows, script, *options) for name, rows in get_dataset(script).items()}
    return cut_training_split(DatasetDict(data), script)


def dry_run_sft(arguments: StageArguments, report: Report) -> Any:
    """The splits that training would load, with every check made that needs no model."""
    data = load_conversations(arguments)
    pick_eval_split(data, arguments)
    check_local_tokenizer(arguments)
    return data


def check_local_tokenizer(arguments: StageArguments, trains_on_thinking: bool = True) -> None:
    """ModelError for a template or a token that can't be used, of a model in a folder; the Hub isn't asked for another."""
    if Path(str(arguments.model.model_name_or_path)).is_dir():
        get_tokenizer(arguments.model, arguments.training, trains_on_thinking)


def cut_training_split(splits: Any, script: Any) -> Any:
    """The splits, the training one no longer than `max_samples`."""
    if script.max_samples is not None:
        train = splits[script.dataset_train_split]
        splits[script.dataset_train_split] = train.select(range(min(script.max_samples, len(train))))
    return splits


def choose_loss(data: Any, tokenizer: Any, arguments: StageArguments, report: Report) -> Any:
    """Loss on the assistant's turns wherever the data are conversations, by whatever way the template allows.

    A template with generation markers, or one that TRL knows how to mark, gives loss on every assistant's turn.
    Otherwise each conversation is split before its last turn, and that one carries the loss.
    """
    training = arguments.training
    columns = data[arguments.script.dataset_train_split].column_names
    is_conversational = "messages" in columns
    if "tools" in columns and "tools" not in (tokenizer.chat_template or ""):
        raise DataError(
            "the data have a column 'tools', which the model's chat template doesn't show; leave that column out, or give "
            "a chat_template that shows tools."
        )
    if training.assistant_only_loss is None:
        training.assistant_only_loss = is_conversational
    if not (is_conversational and training.assistant_only_loss) or can_mark_turns(tokenizer):
        return data
    report("the chat template has no generation markers: loss on the last turn of each conversation only")
    training.assistant_only_loss, training.completion_only_loss = False, True

    def split_turns(row: dict[str, Any]) -> dict[str, Any]:
        return {"prompt": row["messages"][:-1], "completion": row["messages"][-1:]}

    found = data[arguments.script.dataset_train_split].features
    kept = {name: kind for name, kind in found.items() if name != "messages"}
    features = Features({**kept, "prompt": found["messages"], "completion": found["messages"]})
    return data.map(split_turns, remove_columns=["messages"], features=features)


def can_mark_turns(tokenizer: Any) -> bool:
    """Whether the template marks what the assistant generates, or TRL can make it."""
    from trl.chat_template_utils import get_training_chat_template, has_generation_markers

    if has_generation_markers(tokenizer.chat_template):
        return True
    try:
        get_training_chat_template(tokenizer)
    except ValueError:
        return False
    return True


def pick_eval_split(data: Any, arguments: StageArguments) -> Any:
    """The evaluation split when evaluation is on; DataError names the splits when it isn't there."""
    if arguments.training.eval_strategy == "no":
        return None
    split, strategy = arguments.script.dataset_test_split, arguments.training.eval_strategy
    if split not in data:
        raise DataError(
            f"eval_strategy is {strategy.value!r} but there is no split '{split}' "
            f"(found: {', '.join(data)}); set dataset_test_split, or test_split_size in a mixture, or eval_strategy no."
        )
    return data[split]


AUDITED = 100
"""Samples among which the audit looks for one that isn't cut off."""


def audit_training(trainer: TraceTrainer, tokenizer: Any, has_thinking: bool) -> SampleAudit:
    """The first sample that isn't cut off, as the trainer will see it, checked.

    ModelError when the mask can't teach, or when every one of the first samples is cut off at `max_length`.
    """
    settings: Any = trainer.args
    rows: Any = trainer.train_dataset
    has_mask = settings.assistant_only_loss or settings.completion_only_loss
    for index in range(min(AUDITED, len(rows))):
        batch = trainer.data_collator([rows[index]])
        ids, is_trained = batch["input_ids"][0].tolist(), (batch["labels"][0] != -100).tolist()
        audit = audit_sample(ids, is_trained, tokenizer.decode)
        if settings.packing or not has_mask:
            check_mask(audit, may_be_everything=not settings.packing)
            return audit
        if settings.max_length is None or len(ids) < settings.max_length:
            check_mask(audit)
            check_end(audit, tokenizer.eos_token, has_thinking)
            return audit
    raise ModelError(
        f"each of the first {min(AUDITED, len(rows))} samples has max_length = {settings.max_length} tokens or more and is "
        "cut off before its end, so the model would not learn to stop; raise max_length or leave long samples out."
    )


@dataclass(frozen=True)
class SampleAudit:
    """One sample as alternating stretches of (is_trained, text), and its counts of tokens."""

    stretches: tuple[tuple[bool, str], ...]
    num_tokens: int
    num_trained: int

    def as_text(self) -> str:
        """The sample with its supervised stretches between ⟦ and ⟧."""
        return "".join(f"⟦{text}⟧" if is_trained else text for is_trained, text in self.stretches)


def audit_sample(
    token_ids: Sequence[int], is_trained: Sequence[bool], decode: Callable[[Sequence[int]], str]
) -> SampleAudit:
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
