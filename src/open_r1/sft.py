"""Entry point of the guide: `accelerate launch … src/open_r1/sft.py --config recipe.yaml [--key value …]`.

The same as `open-r1 sft`: parse, run, exit status.
"""

import sys

from open_r1.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["sft", *sys.argv[1:]]))
