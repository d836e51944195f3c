"""A router before one E2B account, so that many trainers share its sandboxes instead of running into its limit.

    E2B_API_KEY=… python scripts/e2b_router.py --port 8001 --num_sandboxes 20

Trainers use it with `--code_provider e2b --e2b_router_url HOST:8001`.
"""

import argparse
import sys

from open_r1.cli._router import router_parser, run_router
from open_r1.execution.programs import Provider


def make_provider(arguments: argparse.Namespace) -> Provider:
    from open_r1.execution.environment import read_environment
    from open_r1.execution.providers.e2b import E2BProvider

    environment = read_environment()
    return E2BProvider(environment.get("E2B_API_KEY", ""), arguments.sandboxes, environment.get("E2B_DOMAIN", ""))


if __name__ == "__main__":
    arguments = router_parser("A router before one E2B account.", "--num_sandboxes").parse_args()
    sys.exit(run_router(arguments, make_provider))
