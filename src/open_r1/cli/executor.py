"""Check the sandbox of this machine, or serve it to others.

The sandbox that runs a model's programs: check what this machine gives, or serve it to others.

examples:
  open-r1 executor check
  open-r1 executor check --packages numpy --json
  open-r1 executor serve --port 2000
  open-r1 executor serve --host 0.0.0.0 --token_file executor.token
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from open_r1.cli.console import show, show_json, table
from open_r1.cli.options import Parser, add, add_verb
from open_r1.errors import ConfigError, RunError
from open_r1.rundir import write_text

if TYPE_CHECKING:
    from open_r1.execution.programs import Provider
    from open_r1.execution.sandbox.local import LocalProvider

MEASURED_S = 1.5

PAID_SELF_TEST_INTERVAL_S = 600.0
"""Between two self-tests of an account's sandboxes, each of which someone pays for."""

TIER_WORDS = {
    "A": "Tier A: programs run in namespaces of their own, with a root, a network and processes of their own, behind a "
    "filter of system calls. All languages.",
    "B": "Tier B: programs run behind Landlock and a filter of system calls; they can't write files or start processes. "
    "Python only.",
    "": "No tier: this machine can't isolate programs, so none is run.",
}


def add_options(parser: Any) -> None:
    """The actions of `executor`."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    add_verb(actions, "check", run_check.__doc__, add_check_options, run_check)
    add_verb(actions, "serve", run_serve.__doc__, add_serve_options, run_serve)


def add_check_options(parser: Any) -> None:
    """The options of `executor check`."""
    _add_sandbox_options(parser)
    add(parser, "json")


def add_serve_options(parser: Any) -> None:
    """The options of `executor serve`."""
    add(parser, "host", help="address to listen on; any but this machine's own needs a token")
    add(parser, "port", default=2000)
    add(parser, "provider", default="local", help="what runs the programs")
    _add_sandbox_options(parser)
    token = "what clients must show (default: OPEN_R1_EXECUTOR_TOKEN)"
    add(parser, "token_file", type=Path, metavar="FILE", help=token)
    add(parser, "max_request_mb", type=int, metavar="N", help="largest request, in MiB (default: 64)")
    add(parser, "max_queue", type=int, metavar="N", help="most programs that wait (default: 20000)")
    add(parser, "address_file", type=Path, metavar="FILE", help="write host:port there once it is ready")


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


def router_parser(provider: str, port: int) -> Parser:
    """The command line of a router, the service before one account's sandboxes, with the original's flags."""
    parser = Parser(
        description=f"A router before one account of {provider}, which many trainers share. Clients ask POST "
        "/execute_batch; GET /health says whether it works.",
        epilog="Beyond this machine clients must show the token in OPEN_R1_EXECUTOR_TOKEN.",
    )
    add(parser, "host", default=None, help="address to listen on (default: 0.0.0.0 with a token, 127.0.0.1 without)")
    add(parser, "port", default=port)
    add(
        parser,
        "max_num_sandboxes",
        "--num_sandboxes",
        dest="concurrency",
        type=int,
        default=20,
        metavar="N",
        help="sandboxes at once",
    )
    parser.set_defaults(run=run_serve, provider=provider)
    return parser


def run_check(arguments: argparse.Namespace) -> int:
    """Which isolation this machine gives and why, languages, a self-test, programs a second.

    Exit status: 0 all is well; 1 the self-test fails; 2 this machine can't isolate programs.

    Example: open-r1 executor check
    """
    found = check_machine(arguments.concurrency, arguments.packages)
    show_json(found) if arguments.json else show("\n".join(describe_check(found)))
    return 2 if not found["tier"] else int(any(found["self_test"].values()))


def check_machine(workers: int | None, packages: list[str]) -> dict[str, Any]:
    """Find the isolation of this machine, run the self-test and measure the rate of programs.

    `tier` is "" where no program is run; `missing` says by language what to install; `self_test` says by probe what was
    wrong, "" for nothing.
    """
    from open_r1.execution.sandbox import tiers
    from open_r1.execution.sandbox.local import LocalProvider
    from open_r1.execution.service.languages import languages_here, languages_missing
    from open_r1.execution.service.probes import run_probes

    isolation = tiers.detect()
    provider = LocalProvider(check_workers(workers), packages)
    with provider:
        found: dict[str, Any] = {
            "tier": isolation.tier or "",
            "obstacles": isolation.obstacles,
            "languages": {},
            "missing": languages_missing(),
            "workers": provider.workers,
            "self_test": {},
            "programs_per_s": None,
        }
        if isolation.tier:
            provider.check()
            found["languages"] = languages_here(provider)
            found["self_test"] = run_probes(provider, found["languages"])
            if not any(found["self_test"].values()):
                found["programs_per_s"] = measure_rate(provider)
    return found


def check_workers(workers: int | None) -> int | None:
    """The number of workers. ConfigError for one that makes no sense."""
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


def describe_check(found: dict[str, Any]) -> list[str]:
    """What `check` found, as lines."""
    lines = [TIER_WORDS[found["tier"]], *(f"Not tier {tier}: {why}." for tier, why in found["obstacles"].items())]
    if not found["tier"]:
        from open_r1.execution.sandbox.tiers import REMEDY

        return [*lines, REMEDY]
    languages = found["languages"] | {name: f"missing: {remedy}" for name, remedy in found["missing"].items()}
    lines += ["", "Languages", table(languages.items(), indent=2), "", "Self-test"]
    for name, fault in found["self_test"].items():
        lines.append(f"  FAILED  {name}: {fault}" if fault else f"  ok      {name}")
    if found["programs_per_s"] is not None:
        at_once = f"{found['workers']} at once" if found["workers"] > 1 else "one at a time"
        lines += ["", f"{found['programs_per_s']:.0f} trivial Python programs a second, {at_once}."]
    return lines


def run_serve(arguments: argparse.Namespace) -> int:
    """Run programs for trainers here and elsewhere, over HTTP.

    A queue over a provider that many trainers and nodes share. It speaks its own protocol, Piston's and that of Open-R1's
    routers. Without --host, only this machine can ask.

    Example: open-r1 executor serve --host 0.0.0.0 --token_file executor.token
    """
    from open_r1.execution.service.languages import languages_here
    from open_r1.execution.service.probes import SELF_TEST, judge_self_test
    from open_r1.execution.service.server import serve
    from open_r1.execution.service.settings import ServiceSettings, read_token

    taken = ("port", "max_request_mb", "max_queue")
    chosen = {name: value for name in taken if (value := getattr(arguments, name, None)) is not None}
    if arguments.provider != "local":
        chosen["self_test_interval_s"] = PAID_SELF_TEST_INTERVAL_S
    token = read_token(getattr(arguments, "token_file", None))
    host = arguments.host or ("0.0.0.0" if token else "127.0.0.1")
    settings = ServiceSettings(host=host, token=token, **chosen)

    def announce(address: str) -> None:
        if path := getattr(arguments, "address_file", None):
            write_text(path, f"{address}\n")
        shown = ' -H "Authorization: Bearer $OPEN_R1_EXECUTOR_TOKEN"' if token else ""
        request = json.dumps({"programs": [{"source": "print(6 * 7)"}]})
        show(f"serving on http://{address}")
        show(f"curl{shown} -H 'Content-Type: application/json' -d '{request}' http://{address}/v1/executions")

    with make_provider(arguments) as provider:
        provider.check()
        if failure := judge_self_test(provider.execute(SELF_TEST)):
            raise RunError(f"the self-test fails: {failure}. Run: open-r1 executor check.")
        serve(provider, settings, languages_here(provider), announce)
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
