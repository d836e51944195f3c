"""Group relative policy optimisation from verifiable rewards, by TRL's GRPOTrainer.

Does: load prompts, rewards and model; train; keep every rollout with each reward or the reason it has none; resume;
save. Does not: define rewards (`rewards`) or evaluate (`evaluation`).

    open-r1 grpo --config recipes/tiny/grpo.yaml --model_name_or_path DIR --dataset_name problems.jsonl --output_dir OUT
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any

from trl import GRPOTrainer, get_peft_config
from trl.trainer.utils import RepeatSampler

from open_r1.configs.parse import StageArguments
from open_r1.data import get_dataset, to_prompts
from open_r1.errors import ConfigError, DataError
from open_r1.rewards import RewardFunction, get_reward_funcs, required_columns
from open_r1.rundir import RunDir, atomic_file
from open_r1.training.callbacks import Report
from open_r1.training.models import align_model, get_model, get_tokenizer
from open_r1.training.running import FinishedStage, prepare_trainer, run_stage
from open_r1.training.sft import pick_eval_split


class ExplainedReward:
    """A reward as TRL calls it, which also tells the rollout records why each value is what it is."""

    def __init__(self, reward: RewardFunction) -> None:
        self.reward = reward
        self.__name__ = reward.__name__

    def __call__(self, **columns: Any) -> list[float | None]:
        outcomes = self.reward.score(**columns)
        columns["log_extra"](f"{self.__name__}_reason", [outcome.reason for outcome in outcomes])
        return [outcome.value for outcome in outcomes]


class EpochSampler(RepeatSampler):
    """TRL's sampler with an order that depends on the epoch alone.

    TRL draws each epoch's order from where the last one left its generator, so a run resumed in its second epoch would
    see the first epoch's order again and end elsewhere than an unbroken one.
    """

    def set_epoch(self, epoch: int) -> None:
        if self.shuffle:
            self.generator.manual_seed((self.seed or 0) + epoch)


class RolloutTrainer(GRPOTrainer):
    """TRL's GRPOTrainer that keeps its rollouts, one Parquet file per generation, and resumes in any epoch.

    Leans on private things of TRL 1.16: `_logs` and `_metrics` of the last generation batch, `_get_train_sampler`;
    `tests/contract/test_trl_internals.py` fails when they move.
    """

    run: RunDir

    def _get_train_sampler(self, dataset: Any = None) -> EpochSampler:
        sampler: Any = super()._get_train_sampler(dataset)
        return EpochSampler(
            sampler.data_source,
            sampler.mini_repeat_count,
            sampler.batch_size,
            sampler.repeat_count,
            sampler.shuffle,
            sampler.seed,
        )

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        output = super()._generate_and_score_completions(inputs)
        mode = "train" if self.model is not None and self.model.training else "eval"
        group = (self.num_generations if mode == "train" else self.num_generations_eval) or self.num_generations
        self._metrics[mode]["frac_reward_zero_std"][-1] = zero_variance_share(self._logs["rewards"], group)
        if self.model is not None and self.model.training and self.accelerator.is_main_process:
            write_rollouts(self.run, self.state.global_step + 1, self._logs)
        return output


def zero_variance_share(rewards: Mapping[str, Sequence[float]], group: int) -> float:
    """Share of groups whose samples all have the same rewards, and so teach nothing.

    Counted on the rewards themselves: TRL looks at the weighted sum, where rounding hides a variance of zero.
    """
    samples = [tuple(none_if_nan(value) for value in values) for values in zip(*rewards.values(), strict=True)]
    groups = [samples[start : start + group] for start in range(0, len(samples), group)]
    return sum(len(set(members)) == 1 for members in groups) / len(groups)


def write_rollouts(run: RunDir, step: int, logs: dict[str, Any]) -> None:
    """The last generation batch as Parquet: prompt, completion, each reward or its reason, advantage."""
    import pyarrow
    import pyarrow.parquet

    size = len(logs["advantages"])
    table = {
        "step": [step] * size,
        "prompt": [last_content(prompt) for prompt in logs["prompt"]],
        "completion": [last_content(completion) for completion in logs["completion"]],
        **{name: [none_if_nan(value) for value in values] for name, values in logs["rewards"].items()},
        **{name: list(values) for name, values in logs["extra"].items() if len(values) == size},
        "advantage": list(logs["advantages"]),
    }
    with atomic_file(run.rollout_file(step)) as file:
        pyarrow.parquet.write_table(pyarrow.table(table), file)


def last_content(conversation: Any) -> str:
    return conversation if isinstance(conversation, str) else str(conversation[-1]["content"])


def none_if_nan(value: float) -> float | None:
    return None if value != value else value


def run_grpo(arguments: StageArguments, report: Report, identity: dict[str, Any] | None = None) -> FinishedStage:
    """Carry out a GRPO stage; a stage that is already done is left as it is."""
    return run_stage(arguments, build_trainer, report, identity)


def build_trainer(arguments: StageArguments, run: RunDir, report: Report) -> tuple[RolloutTrainer, Any]:
    """TRL's trainer over our prompts, rewards, model and tokenizer."""
    script, training = arguments.script, arguments.training
    if training.use_vllm and importlib.util.find_spec("vllm") is None:
        raise ConfigError("use_vllm is true but vllm isn't installed here; run: pip install 'open-r1[vllm]'.")
    data = load_prompts(arguments)
    rewards = [ExplainedReward(reward) for reward in get_reward_funcs(script)]
    tokenizer = get_tokenizer(arguments.model, training)
    data = drop_long_prompts(data, tokenizer, training.max_prompt_length, report)
    model = get_model(arguments.model, training)
    align_model(model, tokenizer)
    train_rows = data[script.dataset_train_split]
    report(
        f"{len(train_rows)} problems, {model.num_parameters():,} parameters, rewards {', '.join(script.reward_funcs)}"
    )
    trainer = RolloutTrainer(
        model=model,
        reward_funcs=rewards,  # type: ignore[arg-type]
        args=training,
        train_dataset=train_rows,
        eval_dataset=pick_eval_split(data, arguments),
        peft_config=get_peft_config(arguments.model),
        processing_class=tokenizer,
    )
    trainer.run = run
    prepare_trainer(trainer, run, report)
    return trainer, tokenizer


def load_prompts(arguments: StageArguments) -> Any:
    """Every split as prompts, checked for the columns that the rewards need."""
    from datasets import DatasetDict

    script, training = arguments.script, arguments.training
    data = get_dataset(script)
    splits = {name: to_prompts(rows, script, training.system_prompt) for name, rows in data.items()}
    train = script.dataset_train_split
    check_reward_columns(splits[train].column_names, script)
    if script.max_samples is not None:
        splits[train] = splits[train].select(range(min(script.max_samples, len(splits[train]))))
    training.remove_unused_columns = False
    return DatasetDict(splits)


def check_reward_columns(found: Sequence[str], script: Any) -> None:
    """DataError when a reward needs a column that the data lack."""
    for reward, columns in required_columns(script.reward_funcs).items():
        for column in columns:
            if column not in found:
                raise DataError(
                    f"reward '{reward}' needs the column '{column}', which '{script.dataset_name or 'the mixture'}' "
                    f"does not have. Found: {', '.join(found)}; name it with dataset_solution_column, "
                    "or leave that reward out."
                )


def drop_long_prompts(data: Any, tokenizer: Any, max_tokens: int | None, report: Report) -> Any:
    """Leave out problems whose prompt is longer than `max_tokens`; says how many."""
    if max_tokens is None:
        return data

    def fits(row: dict[str, Any]) -> bool:
        encoded = tokenizer.apply_chat_template(row["prompt"], add_generation_prompt=True, return_dict=True)
        return len(encoded["input_ids"]) <= max_tokens

    kept = data.filter(fits)
    for split, rows in kept.items():
        dropped = len(data[split]) - len(rows)
        if dropped:
            report(f"left out {dropped} of {len(data[split])} problems of '{split}': prompt over {max_tokens} tokens")
        if not len(rows):
            raise DataError(
                f"no problem of split '{split}' has a prompt within max_prompt_length = {max_tokens} tokens."
            )
    return kept
