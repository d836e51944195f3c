"""A router before one Morph account, so that many trainers share its sandboxes instead of running into its limit.

    MORPH_API_KEY=… python scripts/morph_router.py --port 8001 --max_num_sandboxes 20

Trainers use it with `--code_provider morph --morph_router_url HOST:8001`.
"""

import argparse
import sys

from open_r1.cli._router import router_parser, run_router
from open_r1.execution.programs import Provider


def make_provider(arguments: argparse.Namespace) -> Provider:
    from open_r1.execution.environment import read_environment
    from open_r1.execution.providers.morph import MorphProvider

    environment = read_environment()
    api_key = arguments.api_key or environment.get("MORPH_API_KEY", "")
    return MorphProvider(api_key, arguments.sandboxes, environment.get("MORPH_BASE_URL", ""))


if __name__ == "__main__":
    parser = router_parser("A router before one Morph account.", "--max_num_sandboxes")
    parser.add_argument("--api_key", help="the account's key (default: MORPH_API_KEY)")
    sys.exit(run_router(parser.parse_args(), make_provider))
