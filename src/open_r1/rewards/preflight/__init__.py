"""The pre-flight check: what a policy's first completions say about whether training on them can teach anything.

Does: judge a few completions and the outcomes that a recipe's rewards gave them; say in sentences what would make
training useless, with an example of each failure, and which of it means that training can't work. Does not: generate
(`training.preflight`, by the trainer's own path) or score (`RewardFunction.score`).

    checked = examine(Flight(samples, outcomes, group_size=8, weighted=frozenset(outcomes), max_tokens=2048))
    for line in checked.lines(): print(line)
    checked.refuse_hopeless()

What is a refusal, and what a warning: a refusal is what leaves nothing to learn (no answer right, every completion cut
off), what can't be scored, and what no completion could satisfy. What is told from a sample is refused only where the
sample holds MIN_PROMPTS prompts and MIN_COMPLETIONS completions. Everything else is a warning.
"""

from open_r1.rewards.preflight.check import Preflight, examine
from open_r1.rewards.preflight.flight import MIN_COMPLETIONS, MIN_PROMPTS, Flight, GoldLook, PolicySample
from open_r1.rewards.preflight.rules import Finding

__all__ = ["MIN_COMPLETIONS", "MIN_PROMPTS", "Finding", "Flight", "GoldLook", "PolicySample", "Preflight", "examine"]
