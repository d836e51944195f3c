"""Completions of a data set's problems into a JSONL file, with the original's flags; started again, it goes on.

    python scripts/generate_reasoning.py --dataset-name AI-MO/NuminaMath-1.5 --output-file generations.jsonl \\
        --prompt-column problem --uuid-column problem --api-addr NODE:8000 --num-generations 2 --max-concurrent 200

Every sample is kept, a line a sample, in `<output-file>.traces`; see `open-r1 data generate`.
"""

import sys

from open_r1.cli._generation_scripts import run_generate_reasoning

if __name__ == "__main__":
    sys.exit(run_generate_reasoning())
