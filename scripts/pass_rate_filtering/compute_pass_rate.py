"""Pass rates by a recipe, with the original's flags; the model runs in this process unless --server names one.

    python scripts/pass_rate_filtering/compute_pass_rate.py --config recipes/dataset_filtering/filter_dapo.yaml \\
        --dataset_start_index 0 --dataset_end_index 200

The same as `open-r1 data pass-rate`, whose --help lists every setting. Run again, it goes on where it stopped.
"""

import sys

from open_r1.cli.main import main


def with_backend(words: list[str]) -> list[str]:
    """vLLM in this process, as the original does it, where nothing else is asked for."""
    is_chosen = any(word.partition("=")[0] in ("--server", "--backend", "--help", "-h") for word in words)
    return words if is_chosen else [*words, "--backend", "vllm"]


if __name__ == "__main__":
    sys.exit(main(["data", "pass-rate", *with_backend(sys.argv[1:])]))
