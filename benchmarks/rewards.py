"""The accuracy reward beside serial math-verify, on one batch of GRPO's size made from MATH-500.

    python benchmarks/rewards.py --data ../shared/data [--output benchmarks/results]

Measures, in one run on one machine: seconds for 64 problems x 16 completions (right, wrong, reformatted, truncated) by
math-verify called one by one with its own signal-based limit, as Open-R1 does, and by `accuracy_reward`, at its first
batch (verifier started in it) and at later ones; how often each is right; and what 8 pathological answers among 1,024
cost each. Nothing is cached between the batches but what a training run would cache too: each has problems of its own.
"""

from __future__ import annotations

import argparse
import datetime
import json
import logging
import os
import platform
import random
import re
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from open_r1.answers.verifier import DEFAULT_LIMIT_S, default_workers
from open_r1.rewards import Verifier, get_accuracy_reward

PROBLEMS, COMPLETIONS = 64, 16
ROUNDS = 6

PATHOLOGICAL = {
    "tower of powers": r"9^{9^{9^9}}",
    "10,000 digits": "9" * 10_000,
    "nested fractions": r"\frac{1}{1+" * 300 + "1" + "}" * 300,
    "huge sum": "+".join(rf"\sqrt{{{n}}}" for n in range(2, 302)),
    "huge matrix": r"\begin{pmatrix}"
    + r"\\".join("&".join(f"x_{{{r}}}^{{{c}}}" for c in range(9)) for r in range(9))
    + r"\end{pmatrix}",
    "megabyte of braces": "{" * 500_000 + "}" * 500_000,
    "huge factorial": r"(10^{8})!",
    "huge power": r"99999999^{9999999}",
}


@dataclass(frozen=True)
class Sample:
    """One completion, its gold, and whether it is right by construction (None: open)."""

    gold: str
    completion: str
    is_right: bool | None


def make_batch(rows: Sequence[dict[str, str]], rng: random.Random) -> list[Sample]:
    """16 completions for each problem: 5 right, 3 reformatted, 5 wrong, 3 truncated."""
    return [sample for row in rows for sample in make_group(row, rng.choice(rows)["answer"], rng)]


def make_group(row: dict[str, str], other: str, rng: random.Random) -> list[Sample]:
    answer, solution = row["answer"], row["solution"]
    is_other_different = other != answer
    wrong = [(other, False if is_other_different else None), (other, False if is_other_different else None)]
    wrong += [(perturb_digit(answer, rng), None), (perturb_digit(answer, rng), None), (f"{answer}+1", None)]
    right = [(answer, True)] * 5
    reformatted = [(respell(answer), True), (respace(answer), True), (rework(answer), None)]
    boxed = [Sample(answer, write(solution, text), verdict) for text, verdict in (*right, *reformatted, *wrong)]
    cuts = [Sample(answer, solution[: rng.randint(0, solution.find("\\boxed"))], False) for _ in range(3)]
    return boxed + cuts


def write(solution: str, answer: str) -> str:
    reasoning = solution[: solution.rfind("\\boxed")].rstrip("$ ")
    return f"<think>\n{reasoning}\n</think>\n<answer>\n$\\boxed{{{answer}}}$\n</answer>"


def respell(answer: str) -> str:
    return answer.replace(r"\frac", r"\dfrac").replace(r"\left", "").replace(r"\right", "")


def respace(answer: str) -> str:
    spaced = re.sub(r",(?! ?[0-9\\])", ", ", answer)
    return f"{spaced.replace('+', ' + ').replace('=', ' = ')} "


def rework(answer: str) -> str:
    """The same value in a form that only algebra can tell, where the answer is a single expression."""
    is_single = not any(mark in answer for mark in (",", "=", "text", "<", ">", "matrix", "%", "_", "in", ":"))
    return rf"\frac{{3({answer})}}{{3}}" if is_single else answer


def perturb_digit(answer: str, rng: random.Random) -> str:
    places = [index for index, character in enumerate(answer) if character.isdigit()]
    if not places:
        return f"{answer}+2"
    place = rng.choice(places)
    return f"{answer[:place]}{(int(answer[place]) + rng.randint(1, 8)) % 9 + 1}{answer[place + 1 :]}"


def spoil(samples: Sequence[Sample]) -> list[Sample]:
    """The batch with 8 pathological answers spread over it."""
    spoiled = list(samples)
    for number, answer in enumerate(PATHOLOGICAL.values()):
        place = number * len(samples) // len(PATHOLOGICAL) + 11
        spoiled[place] = Sample(samples[place].gold, f"So it is $\\boxed{{{answer}}}$.", None)
    return spoiled


def score_with_math_verify(samples: Sequence[Sample]) -> list[float | None]:
    """As CONTRACT describes Open-R1: gold and answer parsed one by one, with math-verify's own limit of time."""
    from latex2sympy2_extended import NormalizationConfig
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify

    normalization = NormalizationConfig(basic_latex=True, units=True, boxed="all", nits=False)
    config = [LatexExtractionConfig(True, 0, normalization)]
    values: list[float | None] = []
    for sample in samples:
        gold = parse(sample.gold, [LatexExtractionConfig(), ExprExtractionConfig()], extraction_mode="first_match")
        if not gold:
            values.append(None)
            continue
        answer = parse(sample.completion, config, extraction_mode="first_match")
        values.append(float(verify(gold, answer)))
    return values


def timed(score: Callable[[Sequence[Sample]], list[float | None]], samples: Sequence[Sample]):
    started = time.perf_counter()
    values = score(samples)
    return time.perf_counter() - started, values


def share_right(samples: Sequence[Sample], values: Sequence[float | None]) -> float:
    """Of the samples whose verdict is known by construction, how many got it."""
    known = [(s.is_right, value) for s, value in zip(samples, values, strict=True) if s.is_right is not None]
    return sum(value == float(is_right) for is_right, value in known) / len(known)


def changed_values(before: Sequence[float | None], after: Sequence[float | None], spoiled: Sequence[Sample]) -> int:
    """How many samples that are not pathological themselves have another value beside those that are."""
    bad = {f"So it is $\\boxed{{{answer}}}$." for answer in PATHOLOGICAL.values()}
    pairs = zip(before, after, spoiled, strict=True)
    return sum(old != new for old, new, sample in pairs if sample.completion not in bad)


def measure(rows: list[dict[str, str]]) -> dict[str, object]:
    rng = random.Random(0)
    rng.shuffle(rows)
    batches = [
        make_batch(rows[start : start + PROBLEMS], rng) for start in range(0, PROBLEMS * (ROUNDS + 1), PROBLEMS)
    ]
    with closing(Verifier()) as verifier:
        score = score_with(verifier)
        first_s, _ = timed(score, batches[0])
        rounds = [measure_round(score, batch) for batch in batches[1:]]
    score_with_math_verify(batches[0][:16])  # its imports and caches
    with closing(Verifier()) as verifier:  # which remembers nothing of these problems
        score = score_with(verifier)
        score(batches[0])
        verifier_pathology = measure_pathology(score, batches[1])
    serial_pathology = measure_pathology(score_with_math_verify, batches[1])
    return {
        "samples": PROBLEMS * COMPLETIONS,
        "first_batch_with_start_s": round(first_s, 3),
        "rounds": rounds,
        "speedup_median": round(statistics.median(r["speedup"] for r in rounds), 1),
        "limit_s": DEFAULT_LIMIT_S,
        "workers": default_workers(),
        "pathological": {"accuracy_reward": verifier_pathology, "math_verify": serial_pathology},
    }


def score_with(verifier: Verifier) -> Callable[[Sequence[Sample]], list[float | None]]:
    reward = get_accuracy_reward(verifier)
    return lambda samples: reward([sample.completion for sample in samples], [sample.gold for sample in samples])


def measure_round(score: Callable[[Sequence[Sample]], list[float | None]], batch: list[Sample]) -> dict[str, float]:
    ours_s, ours = timed(score, batch)
    serial_s, serial = timed(score_with_math_verify, batch)
    return {
        "accuracy_reward_s": round(ours_s, 3),
        "math_verify_s": round(serial_s, 3),
        "speedup": round(serial_s / ours_s, 1),
        "accuracy_reward_right": round(share_right(batch, ours), 4),
        "math_verify_right": round(share_right(batch, serial), 4),
        "values": dict(Counter(map(str, ours))),  # pyright: ignore[reportReturnType]
    }


def measure_pathology(
    score: Callable[[Sequence[Sample]], list[float | None]], batch: list[Sample]
) -> dict[str, float]:
    without_s, without = timed(score, batch)
    spoiled = spoil(batch)
    with_s, with_values = timed(score, spoiled)
    return {
        "without_s": round(without_s, 3),
        "with_8_s": round(with_s, 3),
        "extra_s": round(with_s - without_s, 3),
        "other_values_changed": changed_values(without, with_values, spoiled),
    }


@dataclass(frozen=True)
class Machine:
    """Where a result was measured."""

    date: str
    cores: int
    load_before: float
    processor: str
    system: str
    python: str


def this_machine() -> Machine:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    model = ""
    if (info := Path("/proc/cpuinfo")).exists():
        lines = info.read_text(encoding="utf-8").splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return Machine(
        date=datetime.date.today().isoformat(),
        cores=cores,
        load_before=round(os.getloadavg()[0], 2),
        processor=model or platform.processor(),
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with math500.jsonl")
    parser.add_argument("--output", type=Path, help="folder for rewards.json")
    options = parser.parse_args()
    logging.getLogger("math_verify").setLevel(logging.CRITICAL)
    machine = this_machine()
    with (options.data / "math500.jsonl").open(encoding="utf-8") as lines:
        result = {"machine": asdict(machine), **measure([json.loads(line) for line in lines])}
    shown = json.dumps(result, indent=2)
    print(shown)
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / "rewards.json").write_text(shown + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
