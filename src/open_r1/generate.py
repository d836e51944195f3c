"""Entry point of the original: `python src/open_r1/generate.py --hf-dataset ID --model NAME --vllm-server-url URL …`.

The same as `open-r1 data generate`, and a push to the Hub: see `cli/_generation_scripts.py`.
"""

import sys

from open_r1.cli._generation_scripts import run_generate

if __name__ == "__main__":
    sys.exit(run_generate())
