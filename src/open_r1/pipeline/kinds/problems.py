"""The stage `problems`: problems of task families, to learn from and to be measured by."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from open_r1.configs.fields import setting
from open_r1.configs.ranges import COUNT
from open_r1.errors import ConfigError
from open_r1.pipeline.stage import Context, Stage, naming_stage
from open_r1.records import Problem
from open_r1.rundir import read_jsonl, write_jsonl
from open_r1.tasks import draw_problems, get_family

PARTS = ("sft", "rl", "held_out")


@dataclass(frozen=True)
class ProblemsStage(Stage):
    """Samples problems: `sft.jsonl` and `rl.jsonl` from the training split, `held_out.jsonl` from the held-out one."""

    kind: ClassVar[str] = "problems"
    makes: ClassVar[tuple[str, ...]] = ("sft.jsonl", "rl.jsonl", "held_out.jsonl")

    families: dict[str, list[int]] = setting(
        {}, "Task families, each with its range of difficulty, as {sums: [2, 6]}."
    )
    sft: int | str = setting(1000, "Problems in sft.jsonl, or a file of your own.", COUNT)
    rl: int | str = setting(1000, "Problems in rl.jsonl, or a file of your own.", COUNT)
    held_out: int | str = setting(500, "Problems in held_out.jsonl, or a file of your own.", COUNT)

    def given(self) -> list[str]:
        """The user's own files, for the parts that are not sampled."""
        return [value for part in PARTS if isinstance(value := getattr(self, part), str)]

    def needs(self) -> list[str]:
        """No stage: problems come from families and files."""
        return []

    def check(self) -> None:
        """ConfigError for a part without a source, an unknown family, or a difficulty outside its family's range."""
        if not self.families and len(self.given()) < len(PARTS):
            raise ConfigError(
                f"stage '{self.name}': families is empty; name at least one, as 'sums: [2, 6]', or give files of your own "
                f"for {', '.join(PARTS)}."
            )
        for name, difficulties in self.families.items():
            family = get_family(name)
            low, high = family.difficulties
            if len(difficulties) != 2 or not low <= difficulties[0] <= difficulties[1] <= high:
                raise ConfigError(
                    f"stage '{self.name}': difficulty of {name} must be [lowest, highest] within [{low}, {high}], "
                    f"but is {difficulties}."
                )

    def run(self, context: Context) -> dict[str, Any]:
        """Write the problems for SFT, for RL and for evaluation, a JSONL file each."""
        for part in PARTS:
            rows = [
                {
                    "id": problem.id,
                    "prompt": problem.prompt,
                    "solution": problem.gold,
                    "family": problem.family,
                    "difficulty": problem.difficulty,
                    "ordered": bool(problem.metadata.get("ordered")),
                }
                for problem in self.part(part, context.seed)
            ]
            write_jsonl(context.run.path / f"{part}.jsonl", rows)
            context.report(f"{len(rows)} problems in {part}.jsonl")
        return {part: getattr(self, part) for part in PARTS}

    def prepare(self, root: Path, seed: int) -> None:
        """DataError for a file of the user's own that has no problems; ConfigError for more problems than a family has."""
        with naming_stage(self.name):
            for part in PARTS:
                self.part(part, seed)

    def part(self, part: str, seed: int) -> list[Problem]:
        """The problems of a part: those of the user's own file, or as many as are asked for of the families."""
        count = getattr(self, part)
        if isinstance(count, str):
            return self.read_own(count)
        split = "held_out" if part == "held_out" else "train"
        return self.sample(count, split, len(PARTS) * seed + PARTS.index(part))

    def read_own(self, file: str) -> list[Problem]:
        """The problems of a file, their columns found by name."""
        from open_r1.data.problems import read_problem_file

        return read_problem_file(self.place(file, Path()))

    def sample(self, count: int, split: Any, seed: int) -> list[Problem]:
        """`count` problems, the families taking turns, in a seeded order."""
        names = sorted(self.families)
        sampled: list[Problem] = []
        for index, name in enumerate(names):
            share = count // len(names) + (index < count % len(names))
            low, high = self.families[name]
            sampled += draw_problems(get_family(name), share, split, seed, (low, high))
        random.Random(seed).shuffle(sampled)
        return sampled


def read_problems(path: Path) -> list[Problem]:
    """The problems of a file that this stage wrote."""
    return [
        Problem(row["prompt"], row["solution"], row["family"], row["difficulty"], {"ordered": row["ordered"]})
        for row in read_jsonl(path)
    ]
