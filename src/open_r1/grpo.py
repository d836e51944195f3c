"""Entry point of the guide: `accelerate launch … src/open_r1/grpo.py --config recipe.yaml [--key value …]`.

The same as `open-r1 grpo`: parse, run, exit status. From Python, `main(script_args, training_args, model_args)` trains with
dataclasses that the caller made:

    parser = trl.TrlParser((GRPOScriptArguments, GRPOConfig, ModelConfig))   # of open_r1.configs
    grpo.main(*parser.parse_args_and_config())
"""

import sys
from typing import Any

from open_r1.cli import main as commands
from open_r1.cli._training import train


def main(script_args: Any, training_args: Any, model_args: Any) -> Any:
    """Train with these settings, run the benchmarks that they name, and return the `FinishedStage`: folder, steps, weights.

    Args:
        script_args: An `open_r1.configs.GRPOScriptArguments`.
        training_args: An `open_r1.configs.GRPOConfig`.
        model_args: A `trl.ModelConfig`.

    Raises:
        OpenR1Error: What the command would refuse or fail with.
    """
    return train("grpo", script_args, training_args, model_args)


if __name__ == "__main__":
    sys.exit(commands.main(["grpo", *sys.argv[1:]]))
