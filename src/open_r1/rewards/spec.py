"""What a reward declares about itself, beside its function; everything else that knows of rewards reads it.

The registry, the settings of recipes, `rewards list`, the pre-flight check, the documentation's page, the report and
the data engine have no list of rewards of their own. A reward that ships and one of the user's own declare the same:

    REWARD = RewardSpec(
        name="shorter",
        build=lambda settings: get_shorter_reward(settings.shorter_scale),
        kind="shape",
        summary="less for every character",
        formula="r = -len / scale",
        settings=(RewardSetting("shorter_scale", 1000, "characters that cost 1", COUNT),),
        example=Example(""),
    )
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Literal, get_args

from open_r1.configs.ranges import Range
from open_r1.records import Outcome
from open_r1.rewards.base import RewardFunction

Kind = Literal["program", "contest", "task", "answer", "format", "tags", "shape", "own"]
"""What a reward looks at, in the order in which the data engine asks those that can verify a trace:

program, contest   the completion's program, by tests or by a contest's rules
task               the answer, by a scorer that the problem brings along
answer             the answer against the gold answer, by the answer layer, whose reasons it gives
format             the whole format: its reason is `WELL_FORMED` where the format is kept
tags               the format's tags, one by one
shape              length, repetition, style
own                a reward of the user's own that declares nothing else
"""

WELL_FORMED = "well_formed"
"""The reason of a reward for the format where a completion keeps it."""

KINDS: tuple[Kind, ...] = get_args(Kind)
JUDGING_KINDS = frozenset({"program", "contest", "task", "answer"})
"""Kinds of rewards that separate right answers from wrong ones."""


@dataclass(frozen=True)
class RewardSetting:
    """A key of recipes that a reward reads; several rewards may read one, and declare it alike.

    `type` is the annotation that values must fit, by default the default's own type.
    """

    key: str
    default: Any
    help: str
    range: Range | None = None
    type: Any = None

    @property
    def annotation(self) -> Any:
        """The type that values must fit."""
        return self.type or type(self.default)


@dataclass(frozen=True)
class Example:
    """A completion with the columns beside it, for one sample."""

    completion: str
    columns: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def score(self, reward: RewardFunction) -> Outcome:
        """What the reward gives this example."""
        return score_examples(reward, [self])[0]


def score_examples(reward: RewardFunction, examples: Sequence[Example]) -> list[Outcome]:
    """The outcomes of examples that have the same columns, scored together."""
    columns = {name: [example.columns[name] for example in examples] for name in examples[0].columns}
    return reward.score(completions=[example.completion for example in examples], **columns)


@dataclass(frozen=True)
class Curve:
    """Examples over a quantity, for a plot on the documentation's page: label -> the example at each value."""

    x_label: str
    xs: Sequence[float]
    lines: Mapping[str, Callable[[Any], Example]]


@dataclass(frozen=True)
class Setup:
    """The training that a reward is used in, as far as it can make the reward idle; lengths are in tokens."""

    settings: Any
    max_completion_length: int
    num_generations: int
    completions_per_process: int


@dataclass(frozen=True)
class RewardSpec:
    """A reward as everything else knows it.

    Args:
        build: The settings, all those declared among their attributes -> the reward.
        function_name: The function's `__name__`, as metrics and rollouts call it; by default NAME_reward.
        formula, source: The value as a formula or in words, and where that is from.
        needs_columns: The columns without which it can't be computed, of the data or from the trainer.
        settings: The keys of recipes that `build` reads.
        example: What satisfies it: no completion is worth more, up to its length.
        cases, curve: Completions that show what it gives, for the documentation's page.
        find_idle: What in a training keeps it from having an effect, as a sentence with the remedy; None where nothing.
        scores_alone: Whether a sample's outcome depends on that sample alone and takes long, so that it is worth scoring
            while other samples are still being generated.
        place: File and line of a reward of the user's own.
        verifies: Columns of a set of traces any of which lets `data verify` and `data pass-rate` choose it.
    """

    name: str
    build: Callable[[Any], RewardFunction] = field(repr=False)
    kind: Kind
    function_name: str = ""
    summary: str = ""
    formula: str = ""
    source: str = ""
    needs_columns: tuple[str, ...] = ()
    settings: tuple[RewardSetting, ...] = ()
    example: Example | None = None
    cases: Mapping[str, Example] = field(default_factory=dict, hash=False)
    curve: Curve | None = None
    find_idle: Callable[[Setup], str | None] = lambda setup: None
    scores_alone: bool = False
    is_default: bool = False
    verifies: tuple[str, ...] = ()
    place: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "function_name", self.function_name or f"{self.name}_reward")

    def make(self, settings: Any = None) -> RewardFunction:
        """The reward for these settings: any object with some of the attributes declared; the others have defaults."""
        given = {setting.key: getattr(settings, setting.key, setting.default) for setting in self.settings}
        return self.build(SimpleNamespace(**getattr(settings, "__dict__", {}) | given))

    @property
    def options(self) -> tuple[str, ...]:
        """The keys of recipes that the reward reads."""
        return tuple(setting.key for setting in self.settings)

    @property
    def is_judge(self) -> bool:
        """Whether it separates right answers from wrong ones."""
        return self.kind in JUDGING_KINDS

    def is_right(self, outcome: Outcome) -> bool:
        """Whether a judge found the answer right, or something of a program or a task's answer right."""
        if self.kind == "answer" and outcome.reason != "scored":
            return outcome.reason == "correct"
        return outcome.value is not None and outcome.value > 0
