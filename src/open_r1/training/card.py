"""The model card of a training stage: what was trained from what, on what, how, and how to use it.

Written from the stage's own settings, since a trainer handed a model from a folder no longer knows where it came from.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from open_r1 import __version__
from open_r1.configs.stage_arguments import StageArguments
from open_r1.model_card import METHODS, facts_table, header, transformers_usage
from open_r1.training.environment import git_commit


def model_card(arguments: StageArguments, name: str) -> str:
    """README.md of the model `name`: metadata as the Hub reads it, lineage, use."""
    script, training, model = arguments.script, arguments.training, arguments.model
    data = [entry.id for entry in script.mixture.datasets] if script.mixture else [str(script.dataset_name)]
    metadata: dict[str, Any] = {
        "library_name": "transformers",
        "tags": ["open-r1", "reasoning", arguments.kind],
        "datasets": [source for source in data if not Path(source).exists()],
        "base_model": None if Path(model.model_name_or_path).exists() else model.model_name_or_path,
    }
    facts = {
        "started from": model.model_name_or_path,
        "method": METHODS[arguments.kind] + (", a LoRA adapter" if model.use_peft else ""),
        "data": ", ".join(data),
        "rewards": ", ".join(getattr(script, "reward_funcs", [])),
        "learning rate": training.learning_rate,
        "seed": training.seed,
        "Open R1": " ".join(filter(None, [__version__, git_commit()])),
    }
    return CARD.format(
        metadata=header(metadata), name=name, facts=facts_table(facts), usage=transformers_usage(f"path/to/{name}")
    )


CARD = """{metadata}
# {name}

{facts}

Every setting, with where it came from, is in `resolved.yaml`; versions and hardware are in `environment.json`; the
training's log is `metrics.jsonl`. Measured results are where the model was evaluated, not here.

{usage}"""
