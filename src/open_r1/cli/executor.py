"""`open-r1 executor check | serve`: the sandbox that runs a model's programs, here and as a service for others."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from open_r1.cli.console import show
from open_r1.cli.options import add

if TYPE_CHECKING:
    from open_r1.execution.programs import Provider
    from open_r1.execution.sandbox.local import LocalProvider

EXAMPLE = """examples:
  open-r1 executor check
  open-r1 executor check --packages numpy --json
  open-r1 executor serve --port 2000
  open-r1 executor serve --host 0.0.0.0 --token_file executor.token
"""

MEASURED_S = 1.5

TIER_WORDS = {
    "A": "Tier A: programs run in namespaces of their own, with a root, a network and processes of their own, behind a "
    "filter of system calls. All languages.",
    "B": "Tier B: programs run behind Landlock and a filter of system calls; they can't write files or start processes. "
    "Python only.",
}
NO_TIER = "No tier: this machine can't isolate programs, so none is run."


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    parser = subparsers.add_parser(
        "executor",
        help="check the sandbox of this machine, or serve it to others",
        description="The sandbox that runs a model's programs: check what this machine gives, or serve it to others.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _add_check_parser(actions)
    _add_serve_parser(actions)


def _add_check_parser(actions: argparse._SubParsersAction) -> None:
    checking = actions.add_parser(
        "check",
        help="which isolation this machine gives and why, languages, a self-test, programs a second",
        description="Exit status: 0 all is well; 1 the self-test fails; 2 this machine can't isolate programs.",
        epilog="Example: open-r1 executor check",
    )
    _add_sandbox_options(checking)
    add(checking, "json")
    checking.set_defaults(run=run_check)


def _add_serve_parser(actions: argparse._SubParsersAction) -> None:
    serving = actions.add_parser(
        "serve",
        help="run programs for trainers here and elsewhere, over HTTP",
        description="A queue over a provider that many trainers and nodes share. Speaks its own protocol, Piston's and "
        "that of Open-R1's routers. Without --host, only this machine can ask.",
        epilog="Example: open-r1 executor serve --host 0.0.0.0 --token_file executor.token",
    )
    serving.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1); others need a token"
    )
    serving.add_argument("--port", type=int, default=2000, help="default: 2000; 0 takes a free one and prints it")
    serving.add_argument("--provider", default="local", help="what runs the programs (default: local)")
    _add_sandbox_options(serving)
    serving.add_argument(
        "--token_file", type=Path, metavar="FILE", help="what clients must show (default: OPEN_R1_EXECUTOR_TOKEN)"
    )
    serving.add_argument("--max_request_mb", type=int, metavar="N", help="largest request, in MiB (default: 64)")
    serving.add_argument("--max_queue", type=int, metavar="N", help="most programs that wait (default: 20000)")
    serving.add_argument("--address_file", type=Path, metavar="FILE", help="write host:port there once it is ready")
    serving.set_defaults(run=run_serve)


def _add_sandbox_options(parser: argparse.ArgumentParser) -> None:
    add(parser, "concurrency", "--workers", help="programs at once (default: one a core)")
    add(
        parser, "packages", nargs="+", default=[], metavar="NAME", help="installed packages that Python programs may import"
    )  # fmt: skip


@dataclass(frozen=True)
class Check:
    """What `check` found.

    Args:
        tier: "A", "B", or "" for none.
        obstacles: Why each better tier isn't available.
        languages: Name -> version of those that run here.
        missing: Name -> what to install for those that don't.
        self_test: What each probe shows -> what was wrong, "" for nothing.
        programs_per_s: Trivial Python programs; None if they weren't tried.
    """

    tier: str
    obstacles: dict[str, str]
    languages: dict[str, str]
    missing: dict[str, str]
    workers: int
    self_test: dict[str, str]
    programs_per_s: float | None

    @property
    def exit_status(self) -> int:
        return 2 if not self.tier else int(any(self.self_test.values()))


def run_check(arguments: argparse.Namespace) -> int:
    found = check_machine(arguments.concurrency, arguments.packages)
    if arguments.json:
        print(json.dumps(asdict(found), indent=2))
    else:
        for line in describe_check(found):
            show(line)
    return found.exit_status


def check_machine(workers: int | None, packages: list[str]) -> Check:
    from open_r1.execution.sandbox import tiers
    from open_r1.execution.sandbox.local import LocalProvider
    from open_r1.execution.service.languages import languages_here, languages_missing
    from open_r1.execution.service.probes import run_probes

    isolation = tiers.detect()
    missing = languages_missing()
    provider = LocalProvider(check_workers(workers), packages)
    with provider:
        if not isolation.tier:
            return Check("", isolation.obstacles, {}, missing, provider.workers, {}, None)
        provider.check()
        languages = languages_here(provider)
        self_test = run_probes(provider, languages)
        rate = None if any(self_test.values()) else measure_rate(provider)
        return Check(isolation.tier, isolation.obstacles, languages, missing, provider.workers, self_test, rate)


def check_workers(workers: int | None) -> int | None:
    from open_r1.errors import ConfigError

    if workers is not None and not 1 <= workers <= 1024:
        raise ConfigError(f"--concurrency must be between 1 and 1024; got {workers}.")
    return workers


def measure_rate(provider: LocalProvider) -> float:
    """Trivial Python programs a second, all slots busy, over a second or two."""
    from open_r1.execution.programs import Program

    programs = [Program("print(1)")] * (8 * provider.concurrency)
    started, count = time.monotonic(), 0
    while time.monotonic() - started < MEASURED_S:
        count += sum(execution.succeeded for execution in provider.run(programs))
    return round(count / (time.monotonic() - started), 1)


def describe_check(found: Check) -> list[str]:
    lines = [TIER_WORDS.get(found.tier, NO_TIER)]
    lines += [f"Not tier {tier}: {cause}." for tier, cause in found.obstacles.items()]
    if not found.tier:
        from open_r1.execution.sandbox.tiers import REMEDY

        return [*lines, REMEDY]
    lines += ["", "Languages"]
    width = max(map(len, [*found.languages, *found.missing]))
    lines += [f"  {name:<{width}}  {version}" for name, version in found.languages.items()]
    lines += [f"  {name:<{width}}  missing: {remedy}" for name, remedy in found.missing.items()]
    lines += ["", "Self-test"]
    lines += [
        f"  {'FAILED' if fault else 'ok':<6}  {name}{f': {fault}' if fault else ''}"
        for name, fault in found.self_test.items()
    ]
    if found.programs_per_s is not None:
        at_once = f"{found.workers} at once" if found.workers > 1 else "one at a time"
        lines += ["", f"{found.programs_per_s:.0f} trivial Python programs a second, {at_once}."]
    return lines


def run_serve(arguments: argparse.Namespace) -> int:
    from open_r1.execution.service.health import run_self_test
    from open_r1.execution.service.languages import languages_here
    from open_r1.execution.service.server import serve
    from open_r1.execution.service.settings import ServiceSettings, read_token

    chosen = {
        name: getattr(arguments, name)
        for name in ("max_request_mb", "max_queue")
        if getattr(arguments, name) is not None
    }
    token = read_token(arguments.token_file)
    settings = ServiceSettings(host=arguments.host, port=arguments.port, token=token, **chosen)
    with make_provider(arguments) as provider:
        provider.check()
        if failure := run_self_test(provider):
            from open_r1.errors import RunError

            raise RunError(f"the self-test fails: {failure}. Run: open-r1 executor check.")
        serve(provider, settings, languages_here(provider), on_ready=announcer(arguments, bool(token)))
    return 0


def make_provider(arguments: argparse.Namespace) -> Provider:
    if arguments.provider == "local":
        from open_r1.execution.sandbox.local import LocalProvider

        return LocalProvider(check_workers(arguments.concurrency), arguments.packages)
    from open_r1.execution.providers import get_provider

    return get_provider(arguments.provider)


def announcer(arguments: argparse.Namespace, has_token: bool) -> Callable[[str], None]:
    """Says where the service is, with a line to try it by."""

    def announce(address: str) -> None:
        if arguments.address_file:
            from open_r1.rundir import write_text

            write_text(arguments.address_file, f"{address}\n")
        shown = ' -H "Authorization: Bearer $OPEN_R1_EXECUTOR_TOKEN"' if has_token else ""
        request = json.dumps({"programs": [{"source": "print(6 * 7)"}]})
        print(f"serving on http://{address}")
        print(
            f"curl{shown} -H 'Content-Type: application/json' -d '{request}' http://{address}/v1/executions",
            flush=True,
        )

    return announce
