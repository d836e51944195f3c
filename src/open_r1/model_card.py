"""What every model card of ours is made of, whoever writes it: names of methods, table cells, how the model is used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

METHODS = {
    "sft": "supervised fine-tuning on reasoning traces",
    "grpo": "group relative policy optimisation (GRPO, arXiv 2402.03300) from verifiable rewards",
}


def as_cell(value: Any) -> str:
    """A value inside a Markdown table, whatever a path or name contains."""
    return " ".join(str(value).split()).replace("|", "\\|")


def header(metadata: Mapping[str, Any]) -> str:
    """The card's metadata as the Hub reads it; what is empty is left out."""
    import yaml

    return f"---\n{yaml.safe_dump({key: value for key, value in metadata.items() if value}, sort_keys=False)}---\n"


def facts_table(facts: Mapping[str, Any]) -> str:
    rows = [f"| {fact} | {as_cell(value)} |" for fact, value in facts.items() if value not in ("", None)]
    return "\n".join(["| | |", "|---|---|", *rows])


def transformers_usage(name: str) -> str:
    """Using the model in Python."""
    return USAGE.format(name=name)


USAGE = """```python
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("{name}")
model = AutoModelForCausalLM.from_pretrained("{name}")
messages = [{{"role": "user", "content": "Solve: 2x + 3 = 11"}}]
inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True, return_tensors="pt")
print(tokenizer.decode(model.generate(**inputs, max_new_tokens=256)[0]))
```
"""
