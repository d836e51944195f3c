"""How many GPUs vLLM can share a model's layers among: the largest part of those at hand that divides its attention heads.

    python scripts/get_tensor_parallel_size.py --model_name Qwen/Qwen2.5-1.5B-Instruct --default_tp 8

prints 4, since the model has 12 heads. Slurm scripts read it.
"""

import math
import sys
from argparse import Namespace

from open_r1.cli.console import show
from open_r1.cli.main import run_parsed
from open_r1.cli.options import Parser, add
from open_r1.errors import ConfigError, ModelError
from open_r1.hub.folders import check_model_path


def get_tensor_parallel_size(model_name: str, revision: str | None = None, default_tp: int = 8) -> int:
    """The largest divisor of `default_tp` that divides the model's attention heads. ModelError where it has no config."""
    from transformers import AutoConfig

    if default_tp < 1:
        raise ConfigError(f"--default_tp must be at least 1, but is {default_tp}; give the number of GPUs.")
    check_model_path(model_name)
    try:
        config = AutoConfig.from_pretrained(model_name, revision=revision)
    except (OSError, ValueError) as error:
        raise ModelError(f"'{model_name}' has no config that can be read: {' '.join(str(error).split())}") from None
    heads = getattr(config.get_text_config(), "num_attention_heads", None)
    return math.gcd(heads, default_tp) if heads else default_tp


def run(arguments: Namespace) -> int:
    """Print the number."""
    show(str(get_tensor_parallel_size(arguments.model_name, arguments.revision, arguments.default_tp)))
    return 0


if __name__ == "__main__":
    parser = Parser(description=(__doc__ or "").splitlines()[0])
    add(parser, "model_name", required=True, metavar="MODEL", help="a model folder or a Hub id")
    add(parser, "revision", default="main", metavar="NAME", help="branch, tag or commit of a model on the Hub")
    add(parser, "default_tp", type=int, default=8, metavar="N", help="GPUs at hand")
    parser.set_defaults(run=run)
    sys.exit(run_parsed(parser.parse_args()))
