"""Every path of a run folder, its checkpoints, and what a resumed run keeps of it."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from open_r1.rundir.claim import OutputFolder
from open_r1.rundir.files import read_json, write_json
from open_r1.rundir.jsonl import read_jsonl, write_jsonl

CHECKPOINT = re.compile(r"checkpoint-(\d+)$")
CHECKPOINT_MARKER = "open_r1_complete.json"


@dataclass(frozen=True)
class RunDir(OutputFolder):
    """The folder of one run or one stage."""

    @property
    def resolved(self) -> Path:
        """Every setting as used, and where each came from."""
        return self.path / "resolved.yaml"

    @property
    def environment(self) -> Path:
        """Versions, seed, hardware and commit."""
        return self.path / "environment.json"

    @property
    def metrics(self) -> Path:
        """A line for each logged step."""
        return self.path / "metrics.jsonl"

    @property
    def rollouts(self) -> Path:
        """The folder with a file for each step."""
        return self.path / "rollouts"

    @property
    def preflight(self) -> Path:
        """What the check before GRPO found."""
        return self.path / "preflight.json"

    def rollout_file(self, step: int) -> Path:
        """The file of one step's rollouts."""
        return self.rollouts / f"step-{step:06d}.parquet"

    def checkpoints(self) -> list[Path]:
        """Complete checkpoints, oldest first."""
        return [path for path in self.all_checkpoints() if is_whole(path)]

    def all_checkpoints(self) -> list[Path]:
        """Checkpoints, whole or not, oldest first."""
        found = [
            (int(match[1]), path) for path in self.path.glob("checkpoint-*") if (match := CHECKPOINT.match(path.name))
        ]
        return [path for _, path in sorted(found)]

    def mark_checkpoint(self, step: int) -> None:
        """Say that the checkpoint of `step` is whole, and of which files and sizes it consists."""
        folder = self.path / f"checkpoint-{step}"
        files = {str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
        write_json(folder / CHECKPOINT_MARKER, {"step": step, "files": files})

    def drop_old_checkpoints(self, limit: int | None, best: str | None = None) -> None:
        """Keep the newest `limit` whole checkpoints, and the best; the marker goes first, the folder after it."""
        if not limit or limit < 0:
            return
        for path in self.checkpoints()[:-limit]:
            if best is None or path.name != Path(best).name:
                (path / CHECKPOINT_MARKER).unlink()
                shutil.rmtree(path)

    def drop_broken_checkpoints(self) -> list[Path]:
        """Remove checkpoints that a killed process left half-written; returns those removed."""
        broken = [path for path in self.all_checkpoints() if not is_whole(path)]
        for path in broken:
            shutil.rmtree(path)
        return broken

    def forget_after(self, step: int) -> None:
        """Drop the records of steps after `step`, which a resumed run will write again."""
        if self.metrics.exists():
            rows = [row for row in read_jsonl(self.metrics) if isinstance(row, dict)]
            kept = [row for row in rows if row.get("step", 0) <= step and "train_runtime" not in row]
            write_jsonl(self.metrics, kept)
        for path in self.rollouts.glob("step-*.parquet"):
            if int(path.stem.removeprefix("step-")) > step:
                path.unlink()


def is_whole(checkpoint: Path) -> bool:
    """Whether a checkpoint has its marker and every file that the marker names, in its size."""
    marker = checkpoint / CHECKPOINT_MARKER
    if not marker.exists():
        return False
    files = read_json(marker).get("files", {})
    return all(
        (checkpoint / name).is_file() and (checkpoint / name).stat().st_size == size for name, size in files.items()
    )
