"""soft_overlong_punishment: a slope down to -1 before the limit of length, so that a policy notices it before the cut."""

from __future__ import annotations

from open_r1.configs.ranges import COUNT
from open_r1.errors import ConfigError
from open_r1.records import Outcome
from open_r1.rewards.base import Columns, RewardFunction
from open_r1.rewards.spec import Curve, Example, RewardSetting, RewardSpec, Setup

__all__ = ["get_soft_overlong_punishment"]


def get_soft_overlong_punishment(max_completion_len: int, soft_punish_cache: int) -> RewardFunction:
    """DAPO's soft overlong punishment (arXiv:2503.14476, eq. 13), in tokens; its column is `completion_ids`.

    0 up to max_completion_len - soft_punish_cache, then linear down to -1 at max_completion_len, -1 beyond.
    """
    if not 0 < soft_punish_cache <= max_completion_len:
        raise ConfigError(
            f"soft_punish_cache must be between 1 and max_completion_len ({max_completion_len}) tokens, "
            f"got {soft_punish_cache}."
        )

    def score(texts: list[str], columns: Columns) -> list[Outcome]:
        lengths = [len(ids) for ids in columns["completion_ids"]]
        return [_outcome(length, max_completion_len, soft_punish_cache) for length in lengths]

    return RewardFunction(
        "soft_overlong_punishment_reward", score, needs_columns=("completion_ids",), needs_completions=False
    )


def _outcome(length: int, max_len: int, cache: int) -> Outcome:
    free = max_len - cache
    if length <= free:
        return Outcome(0.0, "within")
    if length <= max_len:
        return Outcome((free - length) / cache, "near_limit")
    return Outcome(-1.0, "over_limit")


def _find_too_late(setup: Setup) -> str | None:
    max_len, cache = setup.settings.max_completion_len, setup.settings.soft_punish_cache
    if max_len - cache < setup.max_completion_length:
        return None
    return (
        f"soft_overlong_punishment begins at {max_len - cache} tokens (max_completion_len {max_len} less "
        f"soft_punish_cache {cache}), but completions end at max_completion_length = {setup.max_completion_length}; "
        f"set max_completion_len {setup.max_completion_length} and a smaller soft_punish_cache."
    )


REWARD = RewardSpec(
    name="soft_overlong_punishment",
    build=lambda settings: get_soft_overlong_punishment(settings.max_completion_len, settings.soft_punish_cache),
    kind="shape",
    summary="0 up to a length, then linear down to -1, counted in tokens",
    formula="r = 0 if |y| ≤ L - c;  (L - c - |y|) / c if L - c < |y| ≤ L;  -1 if |y| > L",
    source="DAPO (arXiv:2503.14476), equation 13",
    needs_columns=("completion_ids",),
    settings=(
        RewardSetting("max_completion_len", 16384, "L, tokens from which the penalty is -1", COUNT),
        RewardSetting("soft_punish_cache", 4096, "c, tokens before the limit where it begins"),
    ),
    example=Example("", {"completion_ids": range(1)}),
    curve=Curve(
        "length in tokens (max_completion_len 16384, soft_punish_cache 4096)",
        range(0, 20000, 50),
        {"": lambda length: Example("", {"completion_ids": range(length)})},
    ),
    find_idle=_find_too_late,
)
