"""Pass rates by a recipe, with the original's flags; the model runs in this process unless --server names one.

    python scripts/pass_rate_filtering/compute_pass_rate.py --config recipes/dataset_filtering/filter_dapo.yaml \\
        --dataset_start_index 0 --dataset_end_index 200

The same as `open-r1 data pass-rate`, whose --help lists every setting. Run again, it continues where it stopped.
"""

import argparse
import sys

from open_r1.cli import _data_pass_rate
from open_r1.cli.main import run_parsed
from open_r1.cli.options import Parser


def measure(arguments: argparse.Namespace) -> int:
    """Pass rates by vLLM in this process, as the original does it, where nothing else is asked for."""
    if not {"server", "backend"} & vars(arguments).keys():
        arguments.backend = "vllm"
    return _data_pass_rate.run(arguments)


if __name__ == "__main__":
    parser = Parser(description=(_data_pass_rate.__doc__ or "").partition("\n\n")[0], fill=_data_pass_rate.add_options)
    parser.set_defaults(run=measure)
    sys.exit(run_parsed(parser.parse_args()))
