"""How fast traces are sampled, and whether kills lose any: `open-r1 data generate` beside what a server can serve.

    .venv/bin/python benchmarks/generation.py --write
    .venv/bin/python benchmarks/generation.py --kills 20 --server http://localhost:8000/v1 --model NAME

The first runs a server in a process of its own that answers after 50 ms: the package's fake, a FastAPI application run by
uvicorn, which is what vLLM and `transformers serve` put before their engines. A load generator that sends one prepared
request over and over on 1,000 connections, and reads nothing but where replies end, measures what it can serve (and wrk,
where it is installed); then the command samples traces with 1,000 requests in flight; in turns. Each waits for a quiet
machine. What others used of it meanwhile is measured from the kernel's counters: a measurement with more than
`MOST_FOREIGN` of a core gone to others is repeated, up to `--tries` times. The best of the rounds counts, since a neighbour
can only slow things down.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

from demo import REPO, describe_machine

IN_FLIGHT = 1000
LATENCY_S = 0.05
SAMPLES = 20_000
PROBLEM = "Solve {} x + 7 = 11. Think it over with care, show each step, and put the answer into a box."
BODY = json.dumps(
    {
        "model": "fake",
        "messages": [{"role": "user", "content": PROBLEM.format(3)}],
        "max_tokens": 64,
        "temperature": 0.6,
        "top_p": 0.95,
        "seed": 12345,
    }
).encode()


FAKE_SERVER = Path(__file__).parents[1] / "tests" / "fake_server.py"


def server_command(port: int) -> list[str]:
    words = [str(FAKE_SERVER), "--port", str(port), "--latency", str(LATENCY_S)]
    return [sys.executable, *words]


MOST_FOREIGN = 0.15
"""Cores that others may use while something is measured."""

TICKS = os.sysconf("SC_CLK_TCK")

Measured = TypeVar("Measured")


def busy_seconds() -> float:
    """Processor time of the whole machine that was not idle, since it started."""
    words = Path("/proc/stat").read_text(encoding="utf-8").split("\n")[0].split()[1:]
    counts = [int(word) for word in words[:8]]
    return (sum(counts) - counts[3] - counts[4]) / TICKS


def own_seconds(server: int) -> float:
    """Processor time of this process, its ended children, and the server."""
    fields = Path(f"/proc/{server}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return sum(os.times()[:4]) + (int(fields[11]) + int(fields[12])) / TICKS


def wait_for_quiet(limit_s: float) -> None:
    """Until others leave the machine alone for a second, or the limit is over."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        before = busy_seconds()
        time.sleep(1)
        if busy_seconds() - before < MOST_FOREIGN:
            return


class Disturbed:
    """Measures when nobody disturbs, and remembers the share of cores that others had all the same."""

    def __init__(self, tries: int, patience_s: float) -> None:
        self.tries, self.patience_s = tries, patience_s

    def measure(self, server: int, work: Callable[[], Measured]) -> tuple[Measured, float]:
        """What was measured, and the cores that others used on the least disturbed try."""
        tried = []
        for _ in range(self.tries):
            wait_for_quiet(self.patience_s)
            busy, own, started = busy_seconds(), own_seconds(server), time.monotonic()
            value = work()
            seconds = time.monotonic() - started
            foreign = (busy_seconds() - busy - own_seconds(server) + own) / seconds
            tried.append((foreign, value))
            print(f"  {value}, others {foreign:.2f} cores", file=sys.stderr)
            if foreign <= MOST_FOREIGN:
                break
        foreign, value = min(tried, key=lambda pair: pair[0])
        return value, foreign


@contextmanager
def serving() -> Iterator[tuple[int, int]]:
    """A server in a process of its own: its port and process."""
    port = free_port()
    process = subprocess.Popen(server_command(port), stdout=subprocess.DEVNULL, cwd=REPO)
    try:
        wait_for_port(port)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(timeout=30)


def free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


def wait_for_port(port: int, limit_s: float = 60) -> None:
    import socket

    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"nothing listens on port {port} after {limit_s:g} s")


class Loader(asyncio.Protocol):
    """Sends the same request for ever; a reply ends where its content length says."""

    answers = 0

    def __init__(self, request: bytes) -> None:
        self.request = request

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.expected = 0
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        if not self.expected:
            head, _, body = data.partition(b"\r\n\r\n")
            length = head.lower().split(b"content-length:")[1].split(b"\r\n")[0]
            self.expected, data = int(length), body
        self.expected -= len(data)
        if not self.expected:
            Loader.answers += 1
            self.transport.write(self.request)


async def load(port: int, seconds: float) -> float:
    """Answers a second with `IN_FLIGHT` connections, the first second left out."""
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: "
    request = f"{head}{len(BODY)}\r\n\r\n".encode() + BODY
    loop = asyncio.get_running_loop()
    for start in range(0, IN_FLIGHT, 100):
        opening = (
            loop.create_connection(lambda: Loader(request), "127.0.0.1", port) for _ in range(start, start + 100)
        )
        await asyncio.gather(*opening)
    await asyncio.sleep(1)
    answers, started = Loader.answers, time.monotonic()
    await asyncio.sleep(seconds)
    return (Loader.answers - answers) / (time.monotonic() - started)


def measure_load(port: int, seconds: float) -> float:
    command = [sys.executable, __file__, "--load", str(port), "--seconds", str(seconds)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True, cwd=REPO).stdout)


def measure_wrk(port: int, seconds: float) -> float | None:
    if shutil.which("wrk") is None:
        return None
    with tempfile.NamedTemporaryFile("w", suffix=".lua", encoding="utf-8") as script:
        script.write(
            f"wrk.method = 'POST'\nwrk.headers['Content-Type'] = 'application/json'\nwrk.body = [[{BODY.decode()}]]"
        )
        script.flush()
        url = f"http://127.0.0.1:{port}/v1/chat/completions"
        words = ["wrk", "-t1", f"-c{IN_FLIGHT}", f"-d{max(2, round(seconds))}", "-s", script.name, url]
        said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return float(said.split("Requests/sec:")[1].split()[0])


def write_problems(path: Path, count: int) -> Path:
    with path.open("w", encoding="utf-8") as file:
        for index in range(count):
            file.write(json.dumps({"problem": PROBLEM.format(index), "answer": str(index)}) + "\n")
    return path


def generate_command(source: Path, url: str, folder: Path, *more: str) -> list[str]:
    words = ["data", "generate", str(source), "--server", url, "--output_dir", str(folder), *more]
    return [sys.executable, "-m", "open_r1.cli.main", *words]


def measure_ours(port: int, folder: Path, samples: int) -> tuple[float, float, float]:
    """Traces a second as the command's own summary has it, processor time a trace in µs, most memory in MiB."""
    source = write_problems(folder / "problems.jsonl", samples // 4)
    out = folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    more = ["--num_samples", "4", "--concurrency", str(IN_FLIGHT), "--max_new_tokens", "64"]
    command = generate_command(source, f"http://127.0.0.1:{port}/v1", out, *more)
    process = subprocess.Popen(command, cwd=REPO, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed with status {status}")
    last = json.loads((out / "summary.json").read_text())["last_run"]
    if last["samples"] != samples:
        raise SystemExit(f"{last['samples']} of {samples} traces were sampled")
    return last["samples"] / last["seconds"], 1e6 * (usage.ru_utime + usage.ru_stime) / samples, usage.ru_maxrss / 1024


def compare_rates(rounds: int, seconds: float, disturbed: Disturbed) -> str:
    lines = [
        "| the server serves, a second | by wrk | ours, a second | share | CPU a trace, µs | memory, MiB | others, cores |",
        "|---|---|---|---|---|---|---|",
    ]
    loads, wrks, ours = [], [], []
    with serving() as (port, server), tempfile.TemporaryDirectory() as temporary:
        draw = partial(measure_ours, port, Path(temporary), SAMPLES)
        for number in range(rounds):
            print(f"round {number + 1} of {rounds}", file=sys.stderr)
            loads.append(disturbed.measure(server, partial(measure_load, port, seconds))[0])
            wrks.append(disturbed.measure(server, partial(measure_wrk, port, seconds))[0])
            ours.append(disturbed.measure(server, draw))
    served, ((rate, cpu, memory), foreign) = max(loads), max(ours)
    by_wrk = max((rate for rate in wrks if rate), default=None)
    best = max(served, by_wrk or 0)
    shown = f"{by_wrk:,.0f}" if by_wrk else "absent"
    cells = [
        f"{served:,.0f}",
        shown,
        f"{rate:,.0f}",
        f"{rate / best:.0%}",
        f"{cpu:.0f}",
        f"{memory:.0f}",
        f"{foreign:.2f}",
    ]
    lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def compare_memory() -> str:
    """Most memory for few traces and for many: it must not grow with them."""
    rows = ["| traces | memory, MiB |", "|---|---|"]
    with serving() as (port, _), tempfile.TemporaryDirectory() as temporary:
        for samples in (8_000, 80_000, 400_000):
            _, _, memory = measure_ours(port, Path(temporary), samples)
            rows.append(f"| {samples:,} | {memory:.0f} |")
    return "\n".join(rows)


def kill_and_go_on(server: str, model: str | None, problems: int, samples: int, kills: int, more: list[str]) -> str:
    """Kill the command `kills` times at random moments of its work, let it end, and count what there is."""
    rng = random.Random(kills)
    with tempfile.TemporaryDirectory() as temporary:
        source, out = write_problems(Path(temporary) / "problems.jsonl", problems), Path(temporary) / "out"
        words = ["--num_samples", str(samples), *(["--model", model] if model else []), *more]
        command = generate_command(source, server, out, *words)
        started, held = time.monotonic(), []
        for _ in range(kills):
            process = subprocess.Popen(command, cwd=REPO, stderr=subprocess.DEVNULL, start_new_session=True)
            target = count_lines(out) + rng.uniform(0.2, 0.9) * problems * samples / (kills + 1)
            while count_lines(out) < target and process.poll() is None:
                time.sleep(0.01)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            held.append(count_lines(out))
            print(f"killed at {held[-1]} ({len(held)}/{kills})", file=sys.stderr)
        status = subprocess.run(command, cwd=REPO, check=False).returncode
        rows = [json.loads(line) for line in (out / "traces.jsonl").read_bytes().splitlines()]
        summary = json.loads((out / "summary.json").read_text())
    keys = {(row["problem_id"], row["sample"]) for row in rows}
    return "\n".join(
        [
            f"{problems:,} problems × {samples} samples of {summary['model']}; SIGKILL at "
            + ", ".join(f"{count:,}" for count in held)
            + f" traces; {time.monotonic() - started:.0f} s in all.",
            "",
            f"Exit status {status}; {len(rows):,} rows, {len(keys):,} of them different, "
            f"{problems * samples - len(keys):,} missing; {summary['completion_tokens']:,} tokens.",
        ]
    )


def count_lines(out: Path) -> int:
    path = out / "traces.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="length of a load measurement")
    parser.add_argument("--tries", type=int, default=3, help="for a measurement that others disturb (default: 3)")
    parser.add_argument("--quiet", type=float, default=30.0, help="seconds to wait for a quiet machine (default: 30)")
    parser.add_argument("--memory", action="store_true", help="measure the memory for 8,000 to 400,000 traces, too")
    parser.add_argument("--kills", type=int, help="kill the command so often at work on --server instead")
    parser.add_argument("--server", help="with --kills: the server")
    parser.add_argument("--model", help="with --kills: its model")
    parser.add_argument("--problems", type=int, default=2000)
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--options", default="", help="with --kills: further options of `data generate`")
    parser.add_argument("--write", action="store_true", help="append the output to benchmarks/results/generation.md")
    parser.add_argument("--load", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.load:
        print(asyncio.run(load(arguments.load, arguments.seconds)))
        return 0
    if arguments.kills:
        more = arguments.options.split()
        text = kill_and_go_on(
            arguments.server, arguments.model, arguments.problems, arguments.samples, arguments.kills, more
        )
    else:
        disturbed = Disturbed(arguments.tries, arguments.quiet)
        text = compare_rates(arguments.rounds, arguments.seconds, disturbed)
        if arguments.memory:
            text += "\n\n" + compare_memory()
    words = [word for word in sys.argv[1:] if word != "--write"]
    text = f"{describe_machine()}; `{' '.join(['benchmarks/generation.py', *words])}`" + f"\n\n{text}"
    print(text)
    if arguments.write:
        with (REPO / "benchmarks" / "results" / "generation.md").open("a", encoding="utf-8") as file:
            file.write(f"\n{text}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
