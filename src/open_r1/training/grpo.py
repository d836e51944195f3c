"""Group relative policy optimisation from verifiable rewards, by TRL's GRPOTrainer with `token_budget`'s update.

open-r1 grpo --config recipes/tiny/grpo.yaml --model_name_or_path DIR --dataset_name problems.jsonl --output_dir OUT
"""

from __future__ import annotations

import copy
import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow
import torch
import transformers
from datasets import DatasetDict
from trl.trainer.utils import RepeatSampler

from open_r1.data import get_dataset, to_prompts
from open_r1.errors import ConfigError, DataError
from open_r1.processes.ranks import is_main_process
from open_r1.records import Outcome
from open_r1.rewards.base import RewardFunction
from open_r1.rewards.combination import RewardWeights, zero_variance_share
from open_r1.rewards.preflight.check import Preflight
from open_r1.rewards.registry import get_reward_funcs, get_spec, required_columns
from open_r1.rewards.spec import RewardSpec
from open_r1.rundir import RunDir, write_json
from open_r1.rundir.rollouts import rollout_table, write_rollouts
from open_r1.training.callbacks import Report
from open_r1.training.dynamic_sampling import DynamicSamplingTrainer
from open_r1.training.held_out import HeldOutTrainer, check_held_out
from open_r1.training.lengths import drop_long_prompts, leave_out_refused
from open_r1.training.library_checks import NO_VLLM, lacks_vllm
from open_r1.training.models import align_model, get_model, get_tokenizer, new_adapter, report_trainable
from open_r1.training.parse import StageArguments
from open_r1.training.phases import PhaseTrainer
from open_r1.training.preflight import check_before_training
from open_r1.training.prompt_stream import make_stream, pass_rate_of
from open_r1.training.resuming import ResumableTrainer
from open_r1.training.reward_adapter import RewardAdapter, add_metrics, reward_metrics
from open_r1.training.sft import check_local_tokenizer, cut_training_split, pick_eval_split
from open_r1.training.slot_rollouts import SlotRolloutTrainer
from open_r1.training.stage import FinishedStage, OpenRun, prepare_trainer, run_stage
from open_r1.training.token_budget import TokenBudgetTrainer
from open_r1.training.vllm_on_cpu import check_server_model, dtype_name, reaching_vllm, wants_own_server

OpenServer = Callable[[str, str, StageArguments], str]
"""Starts a vLLM server of a model, in a dtype, for a stage; it takes new weights as it runs. Gives its address."""


class EpochSampler(RepeatSampler):
    """TRL's sampler with an order that depends on the epoch alone.

    TRL takes each epoch's order from where the last one left its generator, so a run resumed in its second epoch would
    see the first epoch's order again and end elsewhere than an unbroken one.
    """

    def set_epoch(self, epoch: int) -> None:
        """Make the order of this epoch depend on the seed and the epoch alone."""
        if self.shuffle:
            self.generator.manual_seed((self.seed or 0) + epoch)


class RolloutTrainer(
    ResumableTrainer, PhaseTrainer, HeldOutTrainer, DynamicSamplingTrainer, TokenBudgetTrainer, SlotRolloutTrainer
):
    """TRL's GRPOTrainer that keeps its rollouts, leaves unscored samples out, and resumes in any epoch.

    Leans on private things of TRL 1.16: `_logs` and `_metrics` of the last generation batch, `_calculate_rewards`,
    `_get_train_sampler`; `tests/contract/test_trl_internals.py` fails when they move.
    """

    adapters: Sequence[RewardAdapter] = ()
    specs: Sequence[RewardSpec] = ()
    weights: RewardWeights
    rollouts: Sequence[pyarrow.Table] = ()
    rollout_step: int | None = None
    """The step that `rollouts` are of."""
    preflight: Preflight | None = None

    def check_before_training(self) -> None:
        """Run the pre-flight check; an error where it finds that training can't succeed."""
        self.preflight = check_before_training(self)
        if self.preflight is not None and self.opened is not None:
            self.preflight.refuse_hopeless()

    def begin(self, opened: OpenRun) -> None:
        """Begin the run, and write the result of the pre-flight check into its folder."""
        super().begin(opened)
        if self.preflight is not None:
            write_json(self.run.preflight, self.preflight.record())
        if getattr(self.args, "log_completions", False):
            (self.run.path / "completions").mkdir(exist_ok=True)  # TRL's own may have gone with the run before

    def _get_train_sampler(self, dataset: Any = None) -> EpochSampler:
        sampler: Any = super()._get_train_sampler(dataset)
        sampler.__class__ = EpochSampler
        return sampler

    def _calculate_rewards(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """TRL's rewards, shape (samples of all processes, rewards), with the rows that a reward failed on all NaN.

        TRL would count a reward that could not be computed as 0 as soon as another one was: a verifier that is down
        would then teach format alone. A row of NaN is left out of its group's mean and has no advantage.
        """
        rewards = super()._calculate_rewards(*args, **kwargs)
        if self.sampled is not None:  # these were scored before
            return rewards
        for adapter in self.adapters:
            adapter.log()
        failed = [any(of_sample) for of_sample in zip(*(adapter.has_failed for adapter in self.adapters), strict=True)]
        if not failed:
            return rewards
        everywhere: Any = self.accelerator.gather(torch.tensor(failed, device=rewards.device))
        return rewards.masked_fill(everywhere.unsqueeze(1), torch.nan)

    def on_completed(self, place: int, ids: Sequence[int]) -> None:
        """Score a completion by the rewards that take long and need no other, while the others are sampled."""
        adapters = [one for one, spec in zip(self.adapters, self.specs, strict=True) if spec.scores_alone]
        if not (adapters and self.rows_sampled) or has_response_template(self.processing_class):
            return
        row = self.rows_sampled[place]
        tokenizer: Any = self.processing_class
        text = tokenizer.decode(list(ids), skip_special_tokens=True)  # as TRL, which then makes the same chat
        sample = {**row, "prompts": row["prompt"], "completions": [{"role": "assistant", "content": text}]}
        del sample["prompt"]
        for adapter in adapters:
            adapter.score_early(place, {**sample, "completion_ids": list(ids)})

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        if self.model is not None and self.model.training:
            self.weigh_rewards(self.state.global_step / self.state.max_steps)
        output = super()._generate_and_score_completions(inputs)
        if self.model is not None and self.model.training:
            held, group = self._metrics["train"], int(self.num_generations or 1)
            held["frac_reward_zero_std"][-1] = zero_variance_share(reward_tuples(self._logs["rewards"]), group)
            add_metrics(held, reward_metrics(self._logs, group), generations=len(held["frac_reward_zero_std"]))
            if self.accelerator.is_main_process:
                self.keep_rollouts(self.state.global_step + 1)
        return output

    def weigh_rewards(self, progress: float) -> None:
        """Set the rewards' weights for this moment of training; logged where they change."""
        if self.weights.are_constant:
            return
        now = self.weights.at(progress)
        self.reward_weights = torch.tensor(now, dtype=torch.float32)
        for adapter, weight in zip(self.adapters, now, strict=True):
            self._metrics["train"][f"rewards/{adapter.__name__}/weight"].append(weight)

    def keep_rollouts(self, step: int) -> None:
        """Write the generation's rollouts under its step; a step may need several generations."""
        if step != self.rollout_step:
            self.rollout_step, self.rollouts = step, ()
        self.rollouts = [*self.rollouts, to_rollouts(step, self._logs)]
        write_rollouts(self.run.rollout_file(step), self.rollouts)


def has_response_template(tokenizer: Any) -> bool:
    """Whether TRL reads completions by a template of the tokenizer's, as for tool calls, rather than as text."""
    return any(getattr(tokenizer, name, None) is not None for name in ("response_template", "response_schema"))


def reward_tuples(rewards: Mapping[str, Sequence[float]]) -> list[tuple[float | None, ...]]:
    """Each sample's rewards, None for one without a value.

    Groups without variance are counted by them: TRL looks at the weighted sum, where rounding hides a variance of zero.
    """
    samples = zip(*rewards.values(), strict=True)
    return [tuple(None if math.isnan(value) else value for value in values) for values in samples]


def to_rollouts(step: int, logs: Mapping[str, Any]) -> pyarrow.Table:
    """The last generation batch from TRL's `_logs`, whose lists have one item a sample of all processes."""
    size = len(logs["advantages"])

    def last_content(conversation: Any) -> str:
        return conversation if isinstance(conversation, str) else str(conversation[-1]["content"])

    return rollout_table(
        step,
        prompts=[last_content(prompt) for prompt in logs["prompt"]],
        completions=[last_content(completion) for completion in logs["completion"]],
        rewards=logs["rewards"],
        more={name: values for name, values in logs["extra"].items() if len(values) == size},
        advantages=logs["advantages"],
    )


def run_grpo(
    arguments: StageArguments,
    report: Report,
    identity: dict[str, Any] | None = None,
    open_server: OpenServer | None = None,
) -> FinishedStage:
    """Carry out a GRPO stage; a stage that is already done is left as it is."""
    return run_stage(arguments, partial(build_trainer, open_server=open_server), report, identity)


def preflight_grpo(arguments: StageArguments, report: Report, open_server: OpenServer | None = None) -> Preflight:
    """The pre-flight check alone, as training would begin with it; nothing is trained, and nothing left behind."""
    if not arguments.training.preflight_prompts:
        raise ConfigError("preflight_prompts is 0, so there is nothing to check; give it, for example 8.")
    with tempfile.TemporaryDirectory(prefix="open-r1-preflight-") as folder:
        arguments.training.output_dir = folder
        transformers.set_seed(arguments.training.seed)
        trainer, _ = build_trainer(arguments, RunDir(Path(folder)), report, open_server)
        trainer.state.max_steps = max(1, arguments.training.max_steps)
        trainer._prepare_for_training(trainer.state.max_steps, trainer.get_train_dataloader(), None)
    assert trainer.preflight is not None
    return trainer.preflight


def build_trainer(
    arguments: StageArguments, run: RunDir, report: Report, open_server: OpenServer | None = None
) -> tuple[RolloutTrainer, Any]:
    """TRL's trainer over our prompts, rewards, model and tokenizer."""
    script, training = arguments.script, arguments.training
    if lacks_vllm(training):
        raise ConfigError(NO_VLLM)
    data = load_prompts(arguments)
    functions = get_reward_funcs(script)
    check_prompts(data, functions, arguments)
    rewards = [RewardAdapter(reward, training.max_unscored_share) for reward in functions]
    tokenizer = get_tokenizer(arguments.model, training, trains_on_thinking=False)
    data = leave_out_refused(data, tokenizer, report)
    data = drop_long_prompts(data, tokenizer, training.max_prompt_length, report)
    model = get_model(arguments.model, training)
    align_model(model, tokenizer, arguments.model)
    adapter = new_adapter(model, arguments.model)
    train_rows = data[script.dataset_train_split]
    stream = make_stream(train_rows, training)
    check_generations(len(train_rows), training, report, leaves_out=stream is None)
    names = ", ".join(script.reward_funcs)
    report(f"{len(train_rows)} problems, {model.num_parameters():,} parameters, rewards {names}")
    weights = RewardWeights.read(training.reward_weights, script.reward_funcs)
    trl_settings = copy.copy(training)  # TRL takes numbers; the settings of the run keep their schedules
    trl_settings.reward_weights = weights.at(0.0)
    specs = [get_spec(name) for name in script.reward_funcs]
    if wants_own_server(training) and open_server is not None and is_main_process():
        trl_settings.vllm_server_base_url = open_server(model.name_or_path, dtype_name(model), arguments)
    with reaching_vllm(training, model):
        trainer = RolloutTrainer(
            model=model,
            reward_funcs=rewards,  # type: ignore[arg-type]
            args=trl_settings,
            train_dataset=train_rows,
            eval_dataset=pick_eval_split(data, arguments),
            peft_config=adapter,
            processing_class=tokenizer,
        )
    check_server_model(trainer, model.name_or_path)
    report_trainable(trainer.model, report)
    trainer.adapters, trainer.weights = rewards, weights
    trainer.specs = specs
    trainer.stream = stream
    trainer.max_rounds = training.dynamic_sampling_max_rounds if training.dynamic_sampling else 1
    trainer.rate_of = partial(pass_rate_of, [spec.function_name for spec in specs if spec.is_judge])
    prepare_trainer(trainer, arguments, run, report)
    return trainer, tokenizer


def check_prompts(data: Any, functions: Sequence[RewardFunction], arguments: StageArguments) -> None:
    """What of the data can be checked without the model: that rewards can score them, and the evaluation's split.

    DataError or ConfigError says what is missing.
    """
    script = arguments.script
    rows = data[script.dataset_train_split]
    check_scorable(rows, functions, script)
    check_held_out(arguments.training, [get_spec(name) for name in script.reward_funcs], rows.column_names)
    pick_eval_split(data, arguments)


def dry_run_grpo(arguments: StageArguments, report: Report) -> Any:
    """The splits that training would load, with every check made that needs no model."""
    data = load_prompts(arguments)
    check_prompts(data, get_reward_funcs(arguments.script), arguments)
    check_generations(len(data[arguments.script.dataset_train_split]), arguments.training, report)
    check_local_tokenizer(arguments, trains_on_thinking=False)
    return data


def check_generations(num_problems: int, training: Any, report: Report, leaves_out: bool = True) -> None:
    """DataError where the problems don't fill one generation.

    TRL leaves incomplete ones out (`leaves_out`), and would train nothing.
    """
    batch, group = training.generation_batch_size, training.num_generations
    taken = batch // group
    if num_problems < taken:
        raise DataError(
            f"a generation takes {taken} problems ({batch} completions, {group} a problem), but there are {num_problems}; "
            f"give more problems, or a generation_batch_size of at most {num_problems * group}."
        )
    if (left := num_problems % taken) and leaves_out:
        report(f"a generation takes {taken} problems: each epoch leaves out {left} of {num_problems}")


def load_prompts(arguments: StageArguments) -> Any:
    """Every split as prompts, checked for the columns that the rewards need."""
    script, training = arguments.script, arguments.training
    splits = {name: to_prompts(rows, script, training.system_prompt) for name, rows in get_dataset(script).items()}
    check_reward_columns(splits[script.dataset_train_split].column_names, script)
    training.remove_unused_columns = False
    return cut_training_split(DatasetDict(splits), script)


def check_reward_columns(found: Sequence[str], script: Any) -> None:
    """DataError when a reward needs a column that the data lack."""
    needed = [(reward, c) for reward, columns in required_columns(script.reward_funcs).items() for c in columns]
    for reward, column in needed:
        if column not in found:
            is_gold = column == "solution"
            remedy = "name it with dataset_solution_column" if is_gold else "rename the data's column to that"
            raise DataError(
                f"reward '{reward}' needs the column '{column}', which '{script.dataset_name or 'the mixture'}' "
                f"does not have. Found: {', '.join(found)}; {remedy}, or leave that reward out."
            )


def check_scorable(rows: Any, rewards: Sequence[RewardFunction], script: Any) -> None:
    """DataError when a reward for programs can score no row of the data; the first that it can ends the search.

    An empty completion shows it without running anything: it has no program, which is a score where the tests are read.
    """
    empty = [[{"role": "assistant", "content": ""}]]
    for name, reward in zip(script.reward_funcs, rewards, strict=True):
        if get_spec(name).kind not in ("program", "contest"):
            continue
        unscored: dict[str, list[Outcome]] = {}
        for row in rows:
            (outcome,) = reward.score(completions=empty, **{column: [value] for column, value in row.items()})
            if outcome.is_scored:
                break
            unscored.setdefault(outcome.reason, []).append(outcome)
        else:
            counts = ", ".join(f"{len(outcomes)} {reason}" for reason, outcomes in unscored.items())
            problem = next((o.details["problem"] for o in chain(*unscored.values()) if "problem" in o.details), "")
            raise DataError(
                f"reward '{name}' can score none of the {len(rows)} problems ({counts}). {problem} Its columns are "
                f"{', '.join(get_spec(name).needs_columns)}; docs/guides/code-execution.md says what they contain."
            )
