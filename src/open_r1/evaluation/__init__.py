"""Evaluation: sampled completions, scored, with intervals. Needs no torch; the generator may.

Does: pass@1 greedy and over n samples, 95 % intervals clustered by problem, paired differences, every sample kept.
Does not: know where completions come from (`generation`) or what makes an answer right (`rewards`).
"""

from open_r1.evaluation.evaluate import Evaluation, Mode, compare, evaluate, read_evaluation, write_evaluation
from open_r1.evaluation.scoring import score_answers

__all__ = ["Evaluation", "Mode", "compare", "evaluate", "read_evaluation", "score_answers", "write_evaluation"]
