"""A router before one E2B account, so that many trainers share its sandboxes instead of running into its limit.

    E2B_API_KEY=… python scripts/e2b_router.py --port 8001 --num_sandboxes 20

Trainers use it with `--code_provider e2b --e2b_router_url HOST:8001`.
"""

import sys

from open_r1.cli.executor import router_parser
from open_r1.cli.main import run_parsed

if __name__ == "__main__":
    sys.exit(run_parsed(router_parser("e2b", "num_sandboxes").parse_args()))
