"""A router before one E2B account, so that many trainers share its sandboxes instead of running into its limit.

    E2B_API_KEY=… python scripts/e2b_router.py --port 8000 --max_num_sandboxes 20

Trainers use it with `--code_provider e2b --e2b_router_url HOST:8000`.
"""

import sys

from open_r1.cli.executor import router_parser
from open_r1.cli.main import run_parsed

if __name__ == "__main__":
    sys.exit(run_parsed(router_parser("e2b", 8000).parse_args()))
