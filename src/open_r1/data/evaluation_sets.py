"""Evaluation sets by name, file or Hub id: what training data must not contain.

math500.jsonl                                         a file; the column is found by its name
gsm8k_test.jsonl?column=question&name=gsm8k           a file, its column, what to call it
Idavidrein/gpqa?config=gpqa_diamond&column=Question   the Hub
aime24                                                one of `KNOWN_SETS`
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from open_r1.configs.references import read_source
from open_r1.data.columns import find_text_columns, read_texts
from open_r1.data.evaluation_index import EvalSet
from open_r1.data.sources import open_rows
from open_r1.errors import ConfigError, DataError

KNOWN_SETS = {
    "aime24": "HuggingFaceH4/aime_2024?column=problem",
    "aime25": "yentinglin/aime_2025?column=problem",
    "math_500": "HuggingFaceH4/MATH-500?split=test&column=problem",
    "gpqa": "Idavidrein/gpqa?config=gpqa_diamond&column=Question",
    "lcb": "hf://datasets/livecodebench/code_generation_lite/test[45].jsonl?column=question_content",
}
"""The sets that Open-R1's script searches for; of LiveCodeBench the problems of versions 4 and 5."""

OPTIONS = ("column", "config", "split", "name")


@dataclass(frozen=True)
class SetSource:
    """Where an evaluation set is."""

    source: str
    name: str
    column: str | None = None
    config: str | None = None
    split: str = "train"


def parse_set(spec: str) -> SetSource:
    """A set as it is named on the command line. ConfigError for an option that isn't known."""
    reference = read_source(KNOWN_SETS.get(spec, spec), "evaluation set", OPTIONS)
    name = spec if spec in KNOWN_SETS else reference.name.rstrip("/").rpartition("/")[2].partition(".")[0]
    return SetSource(reference.name, **{"name": name, **reference.options})


def load_sets(sets: Sequence[str | EvalSet]) -> list[EvalSet]:
    """The texts of every set. DataError when one is missing, empty or has no such column; ConfigError for equal names."""
    sources = [parse_set(one) if isinstance(one, str) else one for one in sets]
    names = [source.name for source in sources]
    for source in sources:
        if names.count(source.name) > 1:
            where = source.source if isinstance(source, SetSource) else "SET"
            example = f"{where}?{urlencode({'name': 'another'})}"
            raise ConfigError(f"two evaluation sets are called '{source.name}'; name one of them: {example}")
    return [load_set(source) if isinstance(source, SetSource) else source for source in sources]


def load_set(source: SetSource) -> EvalSet:
    """The texts of one set. DataError when it has none."""
    rows = open_rows(source.source, source.config, source.split, streaming=source.source.startswith("hf:"))
    columns = find_text_columns(rows, [source.column] if source.column else None, "?column= after its name")
    texts = [text for chunk in rows.chunks(columns) for batch in read_texts(chunk, columns) for text in batch]
    if not any(text.strip() for text in texts):
        raise DataError(f"evaluation set '{source.source}' has no text in {columns[0]}; name another with ?column=.")
    return EvalSet(source.name, texts)
