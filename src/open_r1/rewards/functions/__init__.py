"""One file a reward. A file here that ends in a `REWARD = RewardSpec(...)` is a reward; nothing else needs editing."""
