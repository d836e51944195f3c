"""Programming contests: IOI subtasks and Codeforces problems, judged on any provider, from the published columns."""
