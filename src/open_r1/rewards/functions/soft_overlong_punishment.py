"""soft_overlong_punishment: a slope down to -1 before the limit of length, so that the cut doesn't come from nowhere."""

from __future__ import annotations

from open_r1.errors import ConfigError
from open_r1.records import Outcome
from open_r1.rewards.base import Columns, RewardFunction, RewardSpec, setting


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


REWARD = RewardSpec(
    name="soft_overlong_punishment",
    function_name="soft_overlong_punishment_reward",
    build=lambda settings: get_soft_overlong_punishment(
        max_completion_len=setting(settings, "max_completion_len", 16384),
        soft_punish_cache=setting(settings, "soft_punish_cache", 4096),
    ),
    summary="0 up to a length, then linear down to -1, counted in tokens",
    formula="r = 0 if |y| ≤ L - c;  (L - c - |y|) / c if L - c < |y| ≤ L;  -1 if |y| > L",
    source="DAPO (arXiv:2503.14476), equation 13",
    needs_columns=("completion_ids",),
    options=("max_completion_len", "soft_punish_cache"),
)
