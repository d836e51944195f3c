"""Entry point of the guide: `accelerate launch … src/open_r1/grpo.py --config recipe.yaml [--key value …]`.

The same as `open-r1 grpo`: parse, run, exit status.
"""

import sys

from open_r1.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["grpo", *sys.argv[1:]]))
