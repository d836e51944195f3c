"""What `scripts/e2b_router.py` and `scripts/morph_router.py` share: one account's sandboxes, served to many trainers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from open_r1.cli.console import fail
from open_r1.cli.main import quieten_libraries
from open_r1.errors import OpenR1Error
from open_r1.execution.programs import Provider

DEFAULT_PORT = 8001
DEFAULT_SANDBOXES = 20

Make = Callable[[argparse.Namespace], Provider]


def router_parser(description: str, sandboxes_flag: str) -> argparse.ArgumentParser:
    """The flags of both routers; `sandboxes_flag` says how many sandboxes of the account may be open at once."""
    parser = argparse.ArgumentParser(
        description=f"{description} Clients ask POST /execute_batch; GET /health says whether it works.",
        epilog="Beyond this machine clients must show the token in OPEN_R1_EXECUTOR_TOKEN.",
    )
    parser.add_argument("--host", help="address to listen on (default: 0.0.0.0 with a token, 127.0.0.1 without)")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help=f"default: {DEFAULT_PORT}; 0 takes a free one")
    parser.add_argument(
        sandboxes_flag, dest="sandboxes", type=int, default=DEFAULT_SANDBOXES, metavar="N",
        help=f"sandboxes at once (default: {DEFAULT_SANDBOXES})",
    )  # fmt: skip
    return parser


def run_router(arguments: argparse.Namespace, make_provider: Make) -> int:
    """Serve until stopped; the exit status."""
    quieten_libraries()
    try:
        serve_router(arguments, make_provider)
    except OpenR1Error as error:
        return fail(str(error), error.exit_status)
    return 0


def serve_router(arguments: argparse.Namespace, make_provider: Make) -> None:
    from open_r1.errors import ConfigError
    from open_r1.execution.service.languages import languages_here
    from open_r1.execution.service.server import serve
    from open_r1.execution.service.settings import ServiceSettings, read_token

    if arguments.sandboxes < 1:
        raise ConfigError(f"at least one sandbox is needed; got {arguments.sandboxes}.")
    token = read_token(None)
    host = arguments.host or ("0.0.0.0" if token else "127.0.0.1")
    if not arguments.host and not token:
        print("no OPEN_R1_EXECUTOR_TOKEN is set, so only this machine can ask (--host 127.0.0.1)", file=sys.stderr)
    settings = ServiceSettings(host=host, port=arguments.port, token=token, self_test_interval_s=SELF_TEST_INTERVAL_S)
    with make_provider(arguments) as provider:
        provider.check()
        serve(provider, settings, languages_here(provider), lambda address: print(f"http://{address}", flush=True))


SELF_TEST_INTERVAL_S = 600.0
"""Each test is a sandbox that someone pays for."""
