"""A router before one Morph account, so that many trainers share its sandboxes instead of running into its limit.

    MORPH_API_KEY=… python scripts/morph_router.py --port 8001 --max_num_sandboxes 20

Trainers use it with `--code_provider morph --morph_router_url HOST:8001`.
"""

import os
import sys

from open_r1.cli.executor import router_parser
from open_r1.cli.main import run_parsed

if __name__ == "__main__":
    parser = router_parser("morph", 8001)
    parser.add_argument("--api_key", help="the account's key (default: MORPH_API_KEY)")
    arguments = parser.parse_args()
    if arguments.api_key:
        os.environ["MORPH_API_KEY"] = arguments.api_key
    sys.exit(run_parsed(arguments))
