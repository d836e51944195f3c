"""The stage `pretrain`: a base model for reinforcement learning, trained on plain text until it is sometimes right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from open_r1.configs.fields import setting
from open_r1.configs.ranges import COUNT, POSITIVE
from open_r1.data.columns import completion_of, read_chat
from open_r1.data.problems import read_problem_file
from open_r1.data.sources import open_rows
from open_r1.errors import ConfigError, DataError
from open_r1.pipeline.stage import WEIGHTS, Context, Stage, StageName, naming_stage, require_messages


@dataclass(frozen=True)
class PretrainStage(Stage):
    """Trains a small model on the traces as plain text, without tags or chat template, until it is right at times.

    Its samples at temperature 1 are measured on problems that the text does not contain. Training ends at the first
    measurement within `accuracy`, and fails when there is none.
    """

    kind: ClassVar[str] = "pretrain"
    makes: ClassVar[tuple[str, ...]] = (WEIGHTS, "tokenizer.json")
    inputs: ClassVar[tuple[str, ...]] = ("model", "traces", "problems")
    reads: ClassVar[Mapping[str, str]] = {"model": WEIGHTS, "traces": "traces.jsonl", "problems": "rl.jsonl"}
    resumes: ClassVar[bool] = True

    model: StageName = setting(StageName("model"), "The stage with the small model, or its folder.")
    traces: StageName = setting(StageName("traces"), "The stage with the traces, or a file.")
    problems: StageName = setting(StageName("problems"), "The stage with the problems to measure by, or a file.")
    accuracy: list[float] = setting([0.1, 0.3], "Lowest and highest share of right samples to stop at.")
    max_steps: int = setting(3000, "Most steps.", COUNT)
    batch_size: int = setting(16, "Texts a step.", COUNT)
    learning_rate: float = setting(3e-3, "Rate, constant after 40 steps of warm-up.", POSITIVE)
    measure_every: int = setting(20, "Steps from one measurement to the next.", COUNT)
    measured: int = setting(256, "Problems of a measurement.", COUNT)
    max_new_tokens: int = setting(64, "Most tokens of a sample.", COUNT)

    def check(self) -> None:
        """ConfigError for an accuracy that is not a range of shares."""
        if len(self.accuracy) != 2 or not 0 < self.accuracy[0] < self.accuracy[1] <= 1:
            raise ConfigError(
                f"stage '{self.name}': accuracy must be [lowest, highest] above 0 and at most 1, but is {self.accuracy}."
            )

    def check_inputs(self, before: Mapping[str, Stage]) -> None:
        """DataError, too, for traces without conversations."""
        super().check_inputs(before)
        if columns := self.columns_of(self.traces, before):
            require_messages(columns, self.traces)

    def prepare(self, root: Path, seed: int) -> None:
        """DataError for problems of the user's own that have no answers."""
        if self.problems not in self.needs():
            with naming_stage(self.name):
                read_problem_file(self.place(self.problems, root))

    def run(self, context: Context) -> dict[str, Any]:
        """Train until the measured accuracy is in its range; returns steps, tokens and the accuracy."""
        from open_r1.training.pretrain import Pretraining, PretrainSettings

        names = ("max_steps", "batch_size", "learning_rate", "measure_every", "max_new_tokens")
        settings = PretrainSettings(
            (self.accuracy[0], self.accuracy[1]), seed=context.seed, **{name: getattr(self, name) for name in names}
        )
        pairs = read_pairs(self.place(self.traces, context.root, "traces.jsonl"))
        asked = {prompt for prompt, _ in pairs}
        known = read_problem_file(self.place(self.problems, context.root, "rl.jsonl"))
        problems = [problem for problem in known if problem.prompt not in asked][: self.measured]
        if not problems:
            raise DataError(f"stage '{self.name}': every problem is in the text; give others to measure by.")
        training = Pretraining(Path(self.place(self.model, context.root)), pairs, settings, context.run)
        return training.train(problems, context.report)


def read_pairs(source: str) -> list[tuple[str, str]]:
    """The problem and the solution of each conversation. DataError for a row without both."""
    pairs = []
    for number, row in enumerate(open_rows(source).read(), start=1):
        chat, answer = read_chat(row.get("messages")), completion_of(row, "messages")
        if not chat or not answer:
            raise DataError(f"row {number} of '{source}' has no conversation in 'messages'; give traces with one.")
        pairs.append(("\n".join(turn["content"] for turn in chat[:-1]), answer))
    return pairs
