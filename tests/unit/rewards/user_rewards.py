"""Rewards of a user's own, in every shape that may be named in a recipe."""

from __future__ import annotations

import asyncio

from open_r1.records import Outcome
from open_r1.rewards import RewardFunction


def plain(completions, **columns):
    return [float(len(completion)) for completion in completions]


async def slow(completions, **columns):
    await asyncio.sleep(0)
    return [1.0 for _ in completions]


class Counting:
    needs_columns = ("bonus",)

    def __call__(self, completions, bonus, **columns):
        return [None if value is None else value + 1 for value in bonus]


def unscored(completions, **columns):
    return [None for _ in completions]


def too_few(completions, **columns):
    return []


explained = RewardFunction("explained", lambda texts, columns: [])
not_a_reward = 3


def diverging(completions, **columns):
    return [float("nan"), float("-inf"), Outcome(float("inf"), "mine"), 1]
