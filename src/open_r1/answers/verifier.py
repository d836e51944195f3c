"""Checking answers by algebra in processes that can be killed.

Pairs of canonical answers go to a pool of workers, each with a limit of processor time and memory. The same from any
thread, inside an event loop, in a forked or spawned process, with torch loaded or not (see `processes.pool`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module

from open_r1.answers.reasons import Reason
from open_r1.processes import ranks
from open_r1.processes.pool import Limits, Pool

ALGEBRA_CHECKER = "open_r1.answers.algebra:check_pair"
DEFAULT_LIMIT_S = 3.0
MEMORY_LIMIT_BYTES = 2 << 30
MAX_WORKERS = 8

WARM_UP = (
    (r"\frac{\sqrt{2}}{2}", r"\frac{1}{\sqrt{2}}"),
    (r"-\frac{3}{4}x^{2}-2x+1", r"(x+1)\cdot(x-2)"),
    (r"(2,\infty)", r"[-1,3)\cup(4,5]"),
    (r"\{1,2\}", r"(1,-2,\frac{3}{2})"),
    (r"\begin{pmatrix}1\\x^{2}\end{pmatrix}", r"\begin{pmatrix}1/2&0\\-3&4\end{pmatrix}"),
    (r"y=-2x+1", r"-1\le x<3"),
    (r"x^{2}+y^{2}=9", r"|x-1|"),
    (r"-2+7i", r"e^{2x}\sin x+\cos(2x)"),
    (r"\frac{\pi}{6}", r"2\pi r^{2}"),
    (r"\log_{2}8", r"\binom{5}{2}+5!"),
    (r"1.25", r"\frac{3\cdot(-\sqrt[3]{3})}{3}"),
    (r"\frac{11+9a}{20}", r"12^{1/7}"),
)
"""Pairs that take the parser through its grammar: it learns as it goes, and what is learnt here all children have."""


@dataclass(frozen=True)
class Pair:
    """Two canonical answers to be compared; `ordered` when the order of a bare list matters."""

    gold: str
    answer: str
    ordered: bool = False


@dataclass
class CheckPair:
    """The work of a worker; `checker` is where to find the function that decides a pair."""

    checker: str
    check: Callable[[str, str, bool], Reason] | None = field(default=None, init=False)

    def prepare(self) -> None:
        """Load the checker and warm it up: what it loads at first use must not be paid by every worker."""
        module, _, name = self.checker.partition(":")
        self.check = getattr(import_module(module), name)
        for gold, answer in WARM_UP:
            self(Pair(gold, answer))

    def __call__(self, pair: Pair) -> Reason:
        assert self.check is not None
        return self.check(pair.gold, pair.answer, pair.ordered)


class Verifier:
    """A pool of workers that decide pairs, started at first use.

    Args:
        workers: How many pairs are checked at once; by default one a core that this process may use, shared among the
            processes of a multi-GPU run (LOCAL_WORLD_SIZE), eight at most.
        limit_s: Processor seconds for one pair; then its verdict is "timeout". A busy machine doesn't shorten it.
        checker: Where to find the function that decides a pair, `module:function`.
    """

    def __init__(
        self, workers: int | None = None, limit_s: float = DEFAULT_LIMIT_S, checker: str = ALGEBRA_CHECKER
    ) -> None:
        self.workers = ranks.default_workers(MAX_WORKERS) if workers is None else workers
        self._work = CheckPair(checker)
        limits = Limits(wall_s=limit_s, processor_s=limit_s, memory_bytes=MEMORY_LIMIT_BYTES)
        self.pool = Pool(self._work, self.workers, limits)
        self._last: dict[Pair, Reason] = {}
        """The last batch: the next reward of a step asks for the same pairs."""
        self._lock = threading.Lock()

    def check(self, pairs: Sequence[Pair]) -> list[Reason]:
        """A verdict for each pair, in order. Equal pairs are checked once. RunError when no worker can be started."""
        distinct = list(dict.fromkeys(pairs))
        with self._lock:
            verdicts: dict[Pair, Reason] = {pair: self._last[pair] for pair in distinct if pair in self._last}
            left = [pair for pair in distinct if pair not in verdicts]
            jobs = self.pool.map(left, ahead=None) if left else []
            for pair, job in zip(left, jobs, strict=True):
                verdicts[pair] = job.value if job.kind == "done" else "timeout" if job.kind == "timeout" else "error"
            self._last = {pair: reason for pair, reason in verdicts.items() if reason != "error"}
        return [verdicts[pair] for pair in pairs]

    def close(self) -> None:
        """End the workers. The next check starts others."""
        self.pool.close()


@lru_cache(maxsize=1)
def default_verifier() -> Verifier:
    """The verifier that this process shares."""
    return Verifier()
