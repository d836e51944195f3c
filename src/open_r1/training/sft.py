"""Supervised fine-tuning on reasoning traces, by TRL's SFTTrainer.

Does: load data and model, bring template and special tokens in line, audit one sample with its loss mask, train,
resume, save. Does not: generate or verify traces (`data`), evaluate (`evaluation`).

    open-r1 sft --config recipes/tiny/sft.yaml --model_name_or_path DIR --dataset_name traces.jsonl --output_dir OUT
"""

from __future__ import annotations

from typing import Any

from trl import SFTTrainer, get_peft_config

from open_r1.configs.parse import StageArguments
from open_r1.data import get_dataset, to_conversations
from open_r1.errors import DataError, ModelError
from open_r1.rundir import RunDir
from open_r1.text.tags import THINK_OPEN
from open_r1.training.audit import SampleAudit, audit_sample, check_sample
from open_r1.training.callbacks import Report
from open_r1.training.models import align_model, get_model, get_tokenizer
from open_r1.training.running import FinishedStage, prepare_trainer, run_stage


def run_sft(arguments: StageArguments, report: Report, identity: dict[str, Any] | None = None) -> FinishedStage:
    """Carry out an SFT stage; a stage that is already done is left as it is."""
    return run_stage(arguments, build_trainer, report, identity)


def build_trainer(arguments: StageArguments, run: RunDir, report: Report) -> tuple[SFTTrainer, Any]:
    """TRL's trainer over our data, model and tokenizer."""
    script, training = arguments.script, arguments.training
    tokenizer = get_tokenizer(arguments.model, training)
    data = load_conversations(arguments)
    model = get_model(arguments.model, training)
    align_model(model, tokenizer)
    train_rows = data[script.dataset_train_split]
    report(f"{len(train_rows)} samples, {model.num_parameters():,} parameters")
    trainer = SFTTrainer(
        model=model,
        args=training,
        train_dataset=train_rows,
        eval_dataset=pick_eval_split(data, arguments),
        processing_class=tokenizer,
        peft_config=get_peft_config(arguments.model),
    )
    prepare_trainer(trainer, run, report)
    audit = audit_first_sample(trainer, tokenizer)
    report(f"loss on {audit.num_trained} of {audit.num_tokens} tokens of the first sample: {audit.as_text()!r}")
    return trainer, tokenizer


def load_conversations(arguments: StageArguments) -> Any:
    """Every split as conversations, the training split cut to `max_samples`; sets the loss mask's default."""
    from datasets import DatasetDict

    script, training = arguments.script, arguments.training
    data = get_dataset(script)
    splits = {name: to_conversations(rows, script, training.system_prompt) for name, rows in data.items()}
    train = script.dataset_train_split
    if script.max_samples is not None:
        splits[train] = splits[train].select(range(min(script.max_samples, len(splits[train]))))
    if training.assistant_only_loss is None:
        training.assistant_only_loss = "messages" in splits[train].column_names
    return DatasetDict(splits)


def pick_eval_split(data: Any, arguments: StageArguments) -> Any:
    """The evaluation split when evaluation is on; DataError names the splits when it isn't there."""
    if arguments.training.eval_strategy == "no":
        return None
    split = arguments.script.dataset_test_split
    if split not in data:
        raise DataError(
            f"eval_strategy is {arguments.training.eval_strategy.value!r} but there is no split '{split}' "
            f"(found: {', '.join(data)}); set dataset_test_split, or test_split_size in a mixture, or eval_strategy no."
        )
    return data[split]


def audit_first_sample(trainer: SFTTrainer, tokenizer: Any) -> SampleAudit:
    """The first training sample as the trainer will see it, checked."""
    batch = trainer.data_collator([trainer.train_dataset[0]])  # type: ignore[index]
    ids, labels = batch["input_ids"][0].tolist(), batch["labels"][0].tolist()
    is_trained = [label != -100 for label in labels]
    audit = audit_sample(ids, is_trained, tokenizer.decode)
    if trainer.args.assistant_only_loss:  # type: ignore[attr-defined]
        has_thinking = THINK_OPEN in tokenizer.decode(ids)
        check_sample(ids, is_trained, tokenizer.eos_token_id, audit, has_thinking)
    elif audit.num_trained == 0:
        raise ModelError("no token of the first sample carries loss; raise max_length or mend the data.")
    return audit
