"""The pre-flight check: what a policy's first completions say about whether training on them can teach anything.

The trainer generates (`training.preflight`); RULES say in sentences what would make training useless.

    sample = PolicySample(completions, outcomes, specs, group_size=8, weighted=frozenset(outcomes), max_tokens=2048)
    checked = examine(sample)
    for line in checked.lines(): print(line)
    checked.refuse_hopeless()

A finding refuses training where nothing is left to learn (no answer right, every completion cut off), where rewards can't
score, and where no completion could satisfy a reward. What only the sample shows is refused where the sample has
MIN_PROMPTS prompts and MIN_COMPLETIONS completions. Everything else is a warning.
"""
