"""Evaluation: sampled completions, scored, with intervals. Needs no torch; the generator may.

    evaluate     problems at hand, greedily and from samples: a pipeline's stage, `open-r1 eval --problems`
    run          a benchmark (`benchmarks/`), durably and resumably: `open-r1 eval --benchmarks`
    table        several results, and published ones, side by side

Does: pass@1, pass@k and maj@k over n samples, 95 % intervals clustered by problem, paired differences, every sample kept.
Does not: know where completions come from (`generation`) or what makes an answer right (`rewards`).
"""

from open_r1.evaluation.evaluate import Evaluation, Mode, compare, evaluate, read_evaluation, write_evaluation
from open_r1.evaluation.scoring import score_answers

__all__ = ["Evaluation", "Mode", "compare", "evaluate", "read_evaluation", "score_answers", "write_evaluation"]
