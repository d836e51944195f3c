"""Which model came from which: what the order of evaluations on the page, its arrows and its paired gains follow."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from open_r1.hub.origins import ORIGIN, Origin
from open_r1.report.run_records import Evaluation, Stage
from open_r1.report.values import integer, mapping, read_json, read_text, text_of
from open_r1.rundir import RunDir

STARTED_FROM = re.compile(r"^model_name_or_path:\s*['\"]?([^'\"#\n]+?)['\"]?\s*(#.*)?$", re.MULTILINE)


class Lineage:
    """The models of a run: each stage's, and those that its training stages started from (`resolved.yaml`)."""

    def __init__(self, stages: Sequence[Stage]) -> None:
        self.folders = [stage.folder for stage in stages if stage.folder]
        self.parents: dict[str, str] = {}
        for folder in self.folders:
            if match := STARTED_FROM.search(read_text(RunDir(folder).resolved)):
                self.parents[self.name_of(str(folder))] = match[1]

    def name_of(self, model: str) -> str:
        """A model by its folder in the run, where it has one, however its path was written; by its name otherwise."""
        path = Path(model).expanduser()
        same = [folder for folder in self.folders if folder.resolve() == path.resolve()]
        alike = [folder for folder in self.folders if folder.name == path.name]
        found = same or (alike if len(alike) == 1 else [])
        return str(found[0].resolve()) if found else path.name if path.is_absolute() else model

    def line_of(self, model: str) -> tuple[str, ...]:
        """The model, what it was trained from, and so on."""
        line = [self.name_of(model)]
        while (parent := self.parents.get(line[-1])) and self.name_of(parent) not in line:
            line.append(self.name_of(parent))
        return tuple(line)


def read_origin(folder: Path) -> dict[str, str]:
    """What a stage was made from and what it made, in words; empty where that is not recorded."""
    record = mapping(read_json(folder / ORIGIN))
    inputs, files = record.get("inputs"), mapping(record.get("made"))
    named = [mapping(one) for one in inputs] if isinstance(inputs, list) else []
    made = {
        text_of(name): {"rows": integer(mapping(file).get("rows")), "sha256": text_of(mapping(file).get("sha256"))}
        for name, file in files.items()
    }
    return {
        "made_from": ", ".join(text_of(one.get("stage") or one.get("name")) for one in named),
        "made": Origin("", "", made=made).say_made(),
    }


def in_order(evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    """Models of one line follow each other, each after what it came from; unrelated ones stay in their order."""
    roots = list(dict.fromkeys(evaluation.line[-1] for evaluation in evaluations))
    return sorted(evaluations, key=lambda one: (roots.index(one.line[-1]), len(one.line)))


def nearest_ancestor(evaluation: Evaluation, others: Sequence[Evaluation]) -> Evaluation | None:
    """The evaluation, of the same benchmark, of the closest model that this one came from."""
    known = {other.line[0]: other for other in others if other.benchmark == evaluation.benchmark}
    return next((known[name] for name in evaluation.line[1:] if name in known), None)
