"""Which rewards, and what they can be told, in recipes and in the shell; apart from TRL's dataclasses, which need torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from open_r1.configs.fields import setting
from open_r1.configs.ranges import COUNT


@dataclass
class RewardSettings:
    """The rewards, and the settings of all that ship: each names those it reads in its `RewardSpec.options`."""

    reward_funcs: list[str] = setting(
        ["accuracy", "format", "tag_count"], "Rewards by name, or 'module:function' for one of your own."
    )
    cosine_min_value_wrong: float = setting(-1.0, "cosine: value of the shortest wrong answer.")
    cosine_max_value_wrong: float = setting(-0.5, "cosine: value of the longest wrong answer.")
    cosine_min_value_correct: float = setting(0.5, "cosine: value of the longest correct answer.")
    cosine_max_value_correct: float = setting(1.0, "cosine: value of the shortest correct answer.")
    cosine_max_len: int = setting(1000, "cosine: length, in characters, at which the schedule ends.", COUNT)
    repetition_n_grams: int = setting(3, "repetition_penalty: words in an n-gram.", COUNT)
    repetition_max_penalty: float = setting(-1.0, "repetition_penalty: value of pure repetition, at most 0.")
    repetition_language: Literal["en", "zh"] = setting("en", "repetition_penalty: language that splits the words.")
    code_language: str = setting("python", "code_format, cf_code: language of the program.")
    code_eval_test_batch_size: int = setting(
        1, "binary_code, ioi_code, cf_code: tests run together before looking at their results; -1: all."
    )
    code_eval_scoring_mode: Literal["pass_fail", "partial", "weighted_sum"] = setting(
        "weighted_sum", "cf_code: score."
    )
    parallel_code_exec_per_proc: int = setting(
        2, "e2b, morph without a router: programs run at once per training process."
    )
    e2b_router_url: str | None = setting(None, "URL of an E2B router.")
    morph_router_url: str | None = setting(None, "URL of a Morph router.")
    code_provider: Literal["local", "e2b", "morph", "piston", "sandbox_fusion", "executor"] = setting(
        "local", "Where the model's programs run."
    )
    code_packages: list[str] = setting(
        [], "Installed packages that Python programs may import in the local sandbox, such as numpy."
    )
    ioi_provider: Literal["local", "e2b", "morph", "piston", "sandbox_fusion", "executor"] = setting(
        "local", "Where programs for IOI problems run."
    )
    max_completion_len: int = setting(16384, "soft_overlong_punishment: tokens from which the penalty is -1.", COUNT)
    soft_punish_cache: int = setting(4096, "soft_overlong_punishment: tokens before the limit where it begins.")
