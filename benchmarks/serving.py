"""One trained model, evaluated greedily by every way there is: in this process, and behind `open-r1 serve`.

    python benchmarks/serving.py runs/tiny/grpo --problems runs/tiny/problems/held_out.jsonl --write

All ways are loaded first and answer a few problems; then each answers all problems in turn, round by round. Prints samples
and tokens a second (median and range over the rounds), the accuracy with its 95 % interval, how many completions are those
of transformers in this process (up to an opening tag that a server's client puts back), and the first that differ.
`--write` keeps the table in benchmarks/results/serving.md. Rows of vLLM need it installed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from demo import describe_machine

from open_r1.estimates import estimate_share
from open_r1.evaluation.scoring import score_answers
from open_r1.generation import Generator, Sampling
from open_r1.generation.in_process import TransformersGenerator
from open_r1.generation.openai_server import OpenAIServer
from open_r1.generation.server_settings import ServerSettings
from open_r1.generation.vllm_in_process import VLLMGenerator
from open_r1.pipeline.kinds.problems import read_problems
from open_r1.records import Completion, Problem
from open_r1.serving.backends import Backend, ServeOptions, has_vllm
from open_r1.serving.server import served_in_background
from open_r1.text.thinking import restore_opening

RESULTS = Path(__file__).parent / "results" / "serving.md"
STARTUP_LIMIT_S = 600.0
WARM_UP = 4
SHOWN_DIFFERENCES = 3


@dataclass
class Way:
    """A way to complete prompts, and what it has shown."""

    name: str
    generator: Generator
    seconds: list[float] = field(default_factory=list)
    completed: list[Completion] = field(default_factory=list)

    def answer(self, prompts: Sequence[str], sampling: Sampling) -> None:
        started = time.monotonic()
        completed = self.generator.generate(prompts, sampling)
        self.seconds.append(time.monotonic() - started)
        self.completed = [completions[0] for completions in completed]

    def texts(self) -> list[str]:
        """As the client of a server sees them: a missing `<think>` put back, without half a character at the end."""
        return [restore_opening(completed.text).strip().rstrip("\ufffd") for completed in self.completed]


@contextmanager
def behind_a_server(backend: Backend, arguments: argparse.Namespace) -> Iterator[Generator]:
    extra = tuple(arguments.vllm_flags.split()) if backend == "vllm" else ()
    options = ServeOptions(arguments.model, backend=backend, dtype=arguments.dtype, extra=extra)
    with served_in_background(options, backend, STARTUP_LIMIT_S) as (url, key):
        os.environ[f"OPEN_R1_BENCHMARK_KEY_{backend}"] = key
        settings = ServerSettings(
            arguments.model,
            (url,),
            api_key_env=f"OPEN_R1_BENCHMARK_KEY_{backend}",
            concurrency=arguments.concurrency,
            extra_body={"separate_reasoning": False, "seed": None},
        )
        yield OpenAIServer(settings)


def open_ways(arguments: argparse.Namespace, stack: ExitStack) -> list[Way]:
    """The servers first: a process that has loaded an engine is a bad one to start others from."""
    servers = [
        Way(f"open-r1 serve, {backend}", stack.enter_context(behind_a_server(backend, arguments)))
        for backend in (("transformers", "vllm") if has_vllm() else ("transformers",))
    ]
    in_process = TransformersGenerator.from_folder(arguments.model, batch_size=arguments.concurrency)
    ways = [Way("transformers in process", in_process), *servers]
    if not has_vllm():
        print("vLLM is not installed: its rows are missing", file=sys.stderr)
        return ways
    engine = VLLMGenerator(
        arguments.model, dtype=arguments.dtype, max_num_seqs=arguments.concurrency, enforce_eager=True
    )
    return [*ways, Way("vLLM in process", engine)]


def table(ways: Sequence[Way], problems: Sequence[Problem]) -> Iterator[str]:
    yield "| way | samples/s | tokens/s | accuracy, % | same as the first |"
    yield "|---|---|---|---|---|"
    expected = ways[0].texts()
    for way in ways:
        rates = sorted(len(way.completed) / seconds for seconds in way.seconds)
        tokens = sum(completion.num_tokens for completion in way.completed) / statistics.median(way.seconds)
        outcomes = score_answers([completion.text for completion in way.completed], problems)
        estimate = estimate_share([outcome.value or 0.0 for outcome in outcomes])
        same = sum(one == other for one, other in zip(way.texts(), expected, strict=True))
        yield (
            f"| {way.name} | {statistics.median(rates):.1f} [{rates[0]:.1f}–{rates[-1]:.1f}] | {tokens:,.0f} "
            f"| {100 * estimate.value:.1f} [{100 * estimate.low:.1f}–{100 * estimate.high:.1f}] "
            f"| {same} of {len(expected)} |"
        )


def differences(ways: Sequence[Way], problems: Sequence[Problem]) -> Iterator[str]:
    """The first few completions of each way that are not those of the first way."""
    for way in ways[1:]:
        rows = zip(problems, ways[0].texts(), way.texts(), strict=True)
        for problem, one, other in [row for row in rows if row[1] != row[2]][:SHOWN_DIFFERENCES]:
            yield f"{problem.prompt!r}: {ways[0].name} {one!r}, {way.name} {other!r}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--problems", type=Path, required=True, help="a pipeline's held_out.jsonl")
    parser.add_argument("--max_problems", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--concurrency", type=int, default=64, help="requests at once, sequences a batch in process")
    parser.add_argument("--max_new_tokens", type=int, default=64)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--vllm_flags", default="--enforce-eager", help="flags for vLLM's server")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    problems = read_problems(arguments.problems)[: arguments.max_problems]
    prompts = [problem.prompt for problem in problems]
    sampling = Sampling(max_new_tokens=arguments.max_new_tokens)
    with ExitStack() as stack:
        ways = open_ways(arguments, stack)
        for way in ways:
            way.generator.generate(prompts[:WARM_UP], sampling)
        for _ in range(arguments.rounds):
            for way in ways:
                way.answer(prompts, sampling)
    heading = f"{describe_machine()}; `benchmarks/serving.py {' '.join(sys.argv[1:])}`; {len(problems)} problems"
    shown = "\n".join([heading, "", *table(ways, problems), "", *differences(ways, problems)])
    print(shown)
    if arguments.write:
        how = f"Greedy; {arguments.dtype}; vLLM in eager mode."
        RESULTS.write_text(f"# One model by every way\n\n{how}\n\n{shown.rstrip()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
