"""One file a reward. A file here that has a `REWARD = RewardSpec(...)` is a reward; nothing else needs editing.

`__all__` of each file names what `open_r1.rewards` exports.
"""
