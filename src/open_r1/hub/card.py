"""Cards: the README.md of a model, and the pieces that a data set's card is made of too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from open_r1.hub.origins import Origin, Step, read_lineage, read_measured, read_origins
from open_r1.rundir import write_text

CARD = "README.md"
METHODS = {
    "sft": "supervised fine-tuning on reasoning traces",
    "grpo": "group relative policy optimisation (GRPO, arXiv 2402.03300) from verifiable rewards",
}
OWN_LINES = ("## How it was made", "Every setting, with where it came from, is in `resolved.yaml`")
"""What a card of ours says, beside the tag in its metadata; the second in older ones."""


def header(metadata: Mapping[str, Any]) -> str:
    """The card's metadata as the Hub reads it; what is empty is left out."""
    return f"---\n{yaml.safe_dump({key: value for key, value in metadata.items() if value}, sort_keys=False)}---\n"


def markdown_table(titles: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table, whatever its values contain; it ends with a newline."""
    cells = ([" ".join(str(value).split()).replace("|", "\\|") for value in row] for row in rows)
    return "".join(f"| {' | '.join(line)} |\n" for line in (titles, ["---"] * len(titles), *cells))


def model_card(
    title: str,
    name: str,
    steps: Sequence[Step],
    measured: Sequence[Sequence[str]],
    tags: Sequence[str] = (),
    adapter_of: str = "",
    description: str = "",
    origins: Sequence[Origin] = (),
) -> str:
    """README.md of a model.

    Args:
        name: What the model is loaded by: a Hub id or a path.
        steps: The runs that led to it, see `lineage.read_lineage`.
        measured: Its results, see `lineage.read_measured`.
        tags: Tags beside open-r1, reasoning and the methods.
        adapter_of: The Hub id of its base, where the model is a LoRA adapter.
        description: What it is, in a sentence below the title.
        origins: What is behind it, see `origins.read_origins`.
    """
    base = adapter_of or (steps[0].started_from if steps else None)
    data = list(dict.fromkeys(source for step in steps for source in step.data))
    metadata = {
        "library_name": "peft" if adapter_of else "transformers",
        "pipeline_tag": "text-generation",
        "tags": list(dict.fromkeys(["open-r1", "reasoning", *(step.kind for step in steps), *tags])),
        "datasets": [source for source in data if not Path(source).exists() and source.count("/") == 1],
        "base_model": base if base and not Path(base).exists() else None,
    }
    made = []
    for number, step in enumerate(steps, 1):
        facts = [(fact, value) for fact, value in step.facts.items() if value not in ("", None)]
        made.append(f"### {number}. {step.name}: {METHODS[step.kind]}\n\n{markdown_table(['', ''], facts)}")
    behind = [(origin.name, origin.kind, ", ".join(origin.inputs), origin.say_made()) for origin in origins]
    return CARD_TEXT.format(
        header=header(metadata),
        title=f"{title}\n\n{description}" if description else title,
        made="\n".join(made) or "Not recorded.\n",
        origins=ORIGINS_TEXT.format(table=markdown_table(BEHIND, behind)) if behind else "",
        measured=markdown_table(MEASURED, measured) if measured else "Nothing was measured yet.\n",
        name=name,
    )


def write_own_card(folder: Path) -> None:
    """Write the card of a trained model into its folder; a card that somebody else wrote stays.

    Only results in the folder itself count: those elsewhere may be of an earlier training's weights.
    """
    path, name = folder / CARD, folder.resolve().name
    if not is_foreign(path):
        measured = read_measured([path.parent for path in sorted(folder.glob("eval/*/summary.json"))])
        write_text(
            path, model_card(name, f"path/to/{name}", read_lineage(folder), measured, origins=read_origins(folder))
        )


def is_foreign(path: Path) -> bool:
    """Whether there is a card that neither a training nor `publish` wrote."""
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    start, metadata, body = [*text.split("---\n", 2), "", ""][:3]
    is_own = not start and "- open-r1\n" in metadata and any(line in body for line in OWN_LINES)
    return bool(text.strip()) and not is_own


BEHIND = ["", "kind", "made from", "files"]
ORIGINS_TEXT = """## From the data to this model

{table}
`open-r1 model lineage FOLDER` shows the same with settings and commands.

"""
MEASURED = ["benchmark", "sampling", "problems × samples", "pass@1, % [95 % interval]", "token limit", "cut off, %"]

CARD_TEXT = """{header}
# {title}

## How it was made

{made}
Settings are in `resolved.yaml`, versions and hardware in `environment.json`, the training's log in `metrics.jsonl`.

{origins}## Measured

{measured}
## Use

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("{name}")
model = AutoModelForCausalLM.from_pretrained("{name}")
messages = [{{"role": "user", "content": "Compute 7+5-3"}}]
inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True, return_tensors="pt")
print(tokenizer.decode(model.generate(**inputs, max_new_tokens=256)[0]))
```

As a server that separates thinking from answer, and from a terminal:

```bash
open-r1 serve {name}
open-r1 chat {name}
```
"""
