"""`open-r1 executor check | serve`: the sandbox that runs a model's programs, here and as a service for others."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from open_r1.cli.console import show, show_json, table
from open_r1.cli.options import Parser, add, add_verb
from open_r1.errors import ConfigError, RunError
from open_r1.rundir import write_text

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

PAID_SELF_TEST_INTERVAL_S = 600.0
"""Between two self-tests of an account's sandboxes, each of which someone pays for."""

TIER_WORDS = {
    "A": "Tier A: programs run in namespaces of their own, with a root, a network and processes of their own, behind a "
    "filter of system calls. All languages.",
    "B": "Tier B: programs run behind Landlock and a filter of system calls; they can't write files or start processes. "
    "Python only.",
}
NO_TIER = "No tier: this machine can't isolate programs, so none is run."


def add_parser(subparsers: Any) -> None:
    description = "The sandbox that runs a model's programs: check what this machine gives, or serve it to others."
    parser = add_verb(
        subparsers, "executor", "check the sandbox of this machine, or serve it to others", EXAMPLE, description
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    checking = add_verb(
        actions,
        "check",
        "which isolation this machine gives and why, languages, a self-test, programs a second",
        "Example: open-r1 executor check",
        "Exit status: 0 all is well; 1 the self-test fails; 2 this machine can't isolate programs.",
    )
    _add_sandbox_options(checking)
    add(checking, "json")
    checking.set_defaults(run=run_check)
    serving = add_verb(
        actions,
        "serve",
        "run programs for trainers here and elsewhere, over HTTP",
        "Example: open-r1 executor serve --host 0.0.0.0 --token_file executor.token",
        "A queue over a provider that many trainers and nodes share. It speaks its own protocol, Piston's and that of "
        "Open-R1's routers. Without --host, only this machine can ask.",
    )
    add(serving, "host", help="address to listen on; any but this machine's own needs a token")
    add(serving, "port", default=2000)
    add(serving, "provider", default="local", help="what runs the programs")
    _add_sandbox_options(serving)
    add(
        serving,
        "token_file",
        type=Path,
        metavar="FILE",
        help="what clients must show (default: OPEN_R1_EXECUTOR_TOKEN)",
    )
    add(serving, "max_request_mb", type=int, metavar="N", help="largest request, in MiB (default: 64)")
    add(serving, "max_queue", type=int, metavar="N", help="most programs that wait (default: 20000)")
    add(serving, "address_file", type=Path, metavar="FILE", help="write host:port there once it is ready")
    serving.set_defaults(run=run_serve)


def _add_sandbox_options(parser: Parser) -> None:
    add(parser, "concurrency", "--workers", help="programs at once (default: one a core)")
    add(
        parser,
        "packages",
        nargs="+",
        default=[],
        metavar="NAME",
        help="installed packages that Python programs may import",
    )


def router_parser(provider: str, sandboxes: str) -> Parser:
    """The command line of a router: the service before one account's sandboxes, `sandboxes` of them at once."""
    parser = Parser(
        description=f"A router before one account of {provider}, which many trainers share. Clients ask POST "
        "/execute_batch; GET /health says whether it works.",
        epilog="Beyond this machine clients must show the token in OPEN_R1_EXECUTOR_TOKEN.",
    )
    add(parser, "host", default=None, help="address to listen on (default: 0.0.0.0 with a token, 127.0.0.1 without)")
    add(parser, "port", default=8001)
    add(parser, sandboxes, dest="concurrency", type=int, default=20, metavar="N", help="sandboxes at once")
    parser.set_defaults(run=run_serve, provider=provider)
    return parser


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
        show_json(asdict(found))
    else:
        show("\n".join(describe_check(found)))
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
    missing = {name: f"missing: {remedy}" for name, remedy in found.missing.items()}
    lines += [table((found.languages | missing).items(), indent=2), "", "Self-test"]
    lines += [
        f"  FAILED  {name}: {fault}" if fault else f"  ok      {name}" for name, fault in found.self_test.items()
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

    taken = ("port", "max_request_mb", "max_queue")
    chosen = {name: value for name in taken if (value := getattr(arguments, name, None)) is not None}
    if arguments.provider != "local":
        chosen["self_test_interval_s"] = PAID_SELF_TEST_INTERVAL_S
    token = read_token(getattr(arguments, "token_file", None))
    host = arguments.host or ("0.0.0.0" if token else "127.0.0.1")
    settings = ServiceSettings(host=host, token=token, **chosen)
    with make_provider(arguments) as provider:
        provider.check()
        if failure := run_self_test(provider):
            raise RunError(f"the self-test fails: {failure}. Run: open-r1 executor check.")
        serve(provider, settings, languages_here(provider), on_ready=announcer(arguments, bool(token)))
    return 0


def make_provider(arguments: argparse.Namespace) -> Provider:
    """The provider that was named; --concurrency is the sandboxes of an account at once too."""
    concurrency = check_workers(arguments.concurrency)
    if arguments.provider == "local":
        from open_r1.execution.sandbox.local import LocalProvider

        return LocalProvider(concurrency, arguments.packages)
    from open_r1.execution.providers import get_provider

    given = {} if concurrency is None else {"parallel_code_exec_per_proc": concurrency}
    return get_provider(arguments.provider, argparse.Namespace(**given))


def announcer(arguments: argparse.Namespace, has_token: bool) -> Callable[[str], None]:
    """Says where the service is, with a line to try it by."""

    def announce(address: str) -> None:
        if path := getattr(arguments, "address_file", None):
            write_text(path, f"{address}\n")
        shown = ' -H "Authorization: Bearer $OPEN_R1_EXECUTOR_TOKEN"' if has_token else ""
        request = json.dumps({"programs": [{"source": "print(6 * 7)"}]})
        show(f"serving on http://{address}")
        show(f"curl{shown} -H 'Content-Type: application/json' -d '{request}' http://{address}/v1/executions")

    return announce
