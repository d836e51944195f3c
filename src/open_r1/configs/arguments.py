"""The settings of `sft` and `grpo`: TRL's dataclasses with what Open R1 adds, those of rewards aside.

Whatever TRL's own SFTConfig, GRPOConfig and ModelConfig offer is a key here too and means what TRL says it means.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, cast

import trl
from trl import ModelConfig

from open_r1.configs.datasets import DatasetMixtureConfig
from open_r1.configs.fields import setting
from open_r1.configs.ranges import COUNT, SHARE, Range
from open_r1.errors import ConfigError

__all__ = ["GRPOConfig", "ModelConfig", "PresetName", "SFTConfig", "ScriptArguments"]

PresetName = Literal["grpo", "dapo", "dr_grpo", "gspo", "cispo"]


@dataclass
class ScriptArguments(trl.ScriptArguments):
    """What to train on, for either stage. `dataset_mixture` is a `DatasetMixtureConfig` once it is made."""

    dataset_mixture: dict[str, Any] | None = setting(
        None,
        "Mixture of data sets: {datasets: [{id, config, split, columns, weight, revision, column_map}], seed, "
        "test_split_size, tokens, tokenizer}.",
    )
    dataset_revision: str | None = setting(None, "The Hub's branch, tag or commit of dataset_name.")
    dataset_column_map: dict[str, str] | None = setting(None, "Columns to rename, as {found name: wanted name}.")
    dataset_prompt_column: str = setting("prompt", "Column with the problem.")
    dataset_solution_column: str | None = setting(
        None, "Column with the reference solution or answer; by default 'solution', else 'answer'."
    )
    dataset_response_column: str | None = setting(
        None, "SFT on a set without 'messages': column with what to answer; by default 'completion', 'solution' …"
    )
    dataset_response_format: Literal["plain", "r1"] = setting(
        "plain", "plain: the response as it is; r1: worked steps become the thinking, the final answer goes in a box."
    )
    env: dict[str, str] | None = setting(
        None, "Environment variables to set before anything is loaded, as in TRL's recipes."
    )
    max_samples: int | None = setting(None, "Use only the first so many rows of the training split.", COUNT)

    def __post_init__(self) -> None:
        if not self.dataset_name and not self.dataset_mixture:
            raise ConfigError(
                "Either `dataset_name` or `dataset_mixture` must be provided: name a Hub id, a local file or a folder."
            )
        if self.dataset_mixture:
            self.dataset_mixture = cast(Any, DatasetMixtureConfig.from_mapping(self.dataset_mixture))

    @property
    def mixture(self) -> DatasetMixtureConfig | None:
        """`dataset_mixture` as it is once the dataclass is made."""
        return cast("DatasetMixtureConfig | None", self.dataset_mixture)


@dataclass
class StageSettings:
    """What Open R1 adds to the training settings of either stage."""

    benchmarks: list[str] = setting([], "Benchmarks to run when training ends; all: those of Open-R1.")
    callbacks: list[str] = setting(
        [],
        "Trainer callbacks: push_to_hub_revision (each checkpoint goes to a branch of its own, "
        "`<hub_model_revision>-step-<step>`), or 'module:Class' for one of your own.",
    )
    chat_template: str | None = setting(None, "Jinja chat template to use instead of the tokenizer's own.")
    system_prompt: str | None = setting(None, "System prompt put before every conversation that has none.")
    hub_model_revision: str = setting("main", "Hub branch that push_to_hub_revision pushes to.")
    overwrite_hub_revision: bool = setting(False, "Push even though the Hub branch already exists.")
    push_to_hub_revision: bool = setting(False, "Push the finished model to `hub_model_revision` of `hub_model_id`.")
    wandb_entity: str | None = setting(None, "Weights & Biases entity.")
    wandb_project: str | None = setting(None, "Weights & Biases project.")
    wandb_run_group: str | None = setting(None, "Weights & Biases run group.")
    guards: Literal["warn", "stop", "off"] = setting(
        "warn",
        "What an alarm of the logged numbers does (loss spike, KL, entropy, reward up while held-out accuracy is flat …): "
        "report it, also end the run where it means ruin, or nothing.",
    )
    early_stopping_patience: int | None = setting(
        None, "Stop when metric_for_best_model has not improved for so many evaluations.", COUNT
    )
    overwrite_output_dir: bool = setting(False, "Start over in a folder that contains a run: remove the old one.")


@dataclass
class SFTConfig(StageSettings, trl.SFTConfig):
    """TRL's SFTConfig with Open R1's settings."""

    assistant_only_loss: bool | None = setting(  # type: ignore[assignment]
        None, "Loss on the assistant's turns only; by default whenever the data are conversations."
    )
    overlong_samples: Literal["truncate", "drop"] = setting(
        "truncate", "What becomes of samples of more than max_length tokens."
    )

    def __post_init__(self) -> None:
        if self.early_stopping_patience:
            self.metric_for_best_model = self.metric_for_best_model or "loss"
        super().__post_init__()


@dataclass
class GRPOConfig(StageSettings, trl.GRPOConfig):
    """TRL's GRPOConfig with Open R1's settings."""

    preset: PresetName | None = setting(
        None,
        "The settings of a paper's algorithm: loss, clipping, KL, reward scale. grpo: arXiv:2402.03300; dapo: "
        "arXiv:2503.14476; dr_grpo: arXiv:2503.20783; gspo: arXiv:2507.18071; cispo: arXiv:2506.13585. Keys that are given "
        "beside it win.",
    )
    wandb_log_unique_prompts: bool = setting(True, "Log each prompt once in the table of completions.")
    max_unscored_share: float = setting(
        0.5, "Stop when a reward could not score more than this share of recent samples.", SHARE
    )
    preflight_prompts: int = setting(
        8,
        "Before training, sample completions of this many problems, and refuse what can't learn; 0: no such check.",
        Range(0),
    )
    max_prompt_length: int | None = setting(None, "Leave out problems whose prompt has more tokens than this.", COUNT)
    dynamic_sampling: bool = setting(
        False, "Replace groups whose samples all earn the same by groups of further problems (DAPO)."
    )
    dynamic_sampling_max_rounds: int = setting(
        10, "Rounds of sampling for one generation at most; verl's max_num_gen_batches.", Range(2)
    )
    difficulty_pools: bool = setting(
        False, "Sample easy and hard problems, by the pass rate measured last, in few epochs only."
    )
    easy_threshold: float = setting(1.0, "difficulty_pools: problems from this pass rate on are easy.", SHARE)
    hard_threshold: float = setting(0.0, "difficulty_pools: problems up to this pass rate are hard.", SHARE)
    pool_fraction: float = setting(
        0.1, "difficulty_pools: the share of epochs in which an easy or hard problem is sampled.", SHARE
    )
    no_positive_resampling: bool = setting(
        False, "Leave problems that training has solved, at a pass rate of 0.9 or more, out of later epochs (ScaleRL)."
    )
    num_completions_to_print: int | None = setting(0, "Completions shown in the terminal at each logged step.")

    def __post_init__(self) -> None:
        if self.load_best_model_at_end or self.early_stopping_patience:
            self.metric_for_best_model = self.metric_for_best_model or "accuracy"
        super().__post_init__()
        self.log_unique_prompts = self.log_unique_prompts or self.wandb_log_unique_prompts
        self.log_completions = self.log_completions or bool(self.num_completions_to_print)
