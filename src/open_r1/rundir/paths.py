"""A run's folder: its files, whose it is, its checkpoints, and what a resumed run keeps of it.

`identity.json` says whose the folder is; it is written when the run starts, and another run is refused by naming what
differs. `done.json` is written last.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from open_r1.errors import RunFolderError
from open_r1.rundir.claim import describe_changes, hold_lock
from open_r1.rundir.files import read_json, write_json
from open_r1.rundir.jsonl import read_jsonl, write_jsonl

CHECKPOINT = re.compile(r"checkpoint-(\d+)$")
CHECKPOINT_MARKER = "open_r1_complete.json"
START_OVER = "--overwrite_output_dir true"
LOCK = ".lock"


class RunDir:
    """The folder that one run, stage or command writes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.identity = path / "identity.json"  # the settings and inputs that decide the output
        self.done = path / "done.json"  # the marker of a finished output
        self.resolved = path / "resolved.yaml"  # every setting as used, and where each came from
        self.environment = path / "environment.json"  # versions, seed, hardware and commit
        self.metrics = path / "metrics.jsonl"  # a line for each logged step
        self.alarms = path / "alarms.jsonl"  # a line for each alarm while training
        self.rollouts = path / "rollouts"  # a file for each step
        self.preflight = path / "preflight.json"  # what the check before GRPO found

    def is_done(self) -> bool:
        """Whether the output is finished."""
        return self.done.exists()

    def rollout_file(self, step: int) -> Path:
        """The file of one step's rollouts."""
        return self.rollouts / f"step-{step:06d}.parquet"

    def create(self) -> None:
        """Make the folder; RunFolderError when it can't be made or written."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            probe = self.path / f".probe-{os.getpid()}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise RunFolderError(
                f"output folder '{self.path}' can't be written: {error.strerror or error}; "
                "choose another output_dir or change its permissions."
            ) from None

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this process, and leave no trace when nothing is written; RunFolderError when it is held."""
        is_new = not self.path.exists()
        self.create()
        with hold_lock(self.path / LOCK, self.path):
            try:
                yield
            finally:
                if [item.name for item in self.path.iterdir()] == [LOCK]:
                    (self.path / LOCK).unlink()
                    if is_new:
                        self.path.rmdir()

    @contextlib.contextmanager
    def claimed(
        self, identity: dict[str, Any], overwrite: bool = False, start_over: str = "--overwrite"
    ) -> Iterator[None]:
        """The folder, locked, and this run's; with `overwrite`, what was in it is removed. See `check_identity`."""
        with self.locked():
            if overwrite:
                self.clear()
            self.claim(identity, start_over)
            yield

    def clear(self) -> None:
        """Remove what is in the folder, except the lock file."""
        for item in self.path.iterdir():
            if item.is_dir() and not item.is_symlink():
                shutil.rmtree(item)
            elif item.name != LOCK:
                item.unlink()

    def claim(self, identity: dict[str, Any], start_over: str = START_OVER) -> None:
        """Make the folder this run's, or find that it already is; see `check_identity`."""
        self.check_identity(identity, start_over)
        if not self.identity.exists():
            write_json(self.identity, identity)

    def check_identity(self, identity: dict[str, Any], start_over: str = START_OVER) -> None:
        """RunFolderError when the folder is another run's, naming what differs, or contains foreign files.

        `start_over` is the flag of the command that clears the folder.
        """
        self.refuse_foreign()
        changes = describe_changes(read_json(self.identity), identity) if self.identity.exists() else ""
        if changes:
            raise RunFolderError(
                f"'{self.path}' contains a different run: {changes}; choose another output_dir, "
                f"or start over with {start_over}."
            )

    def refuse_foreign(self, marker: str = "identity.json", content: str = "run of Open R1") -> None:
        """RunFolderError when the folder contains files but not `marker`, the record of whoever wrote it.

        Empty folders, as trainers make them, don't count.
        """
        if not self.path.is_dir() or (self.path / marker).exists():
            return
        found = [item for item in self.path.iterdir() if not item.name.startswith(".")]
        if foreign := sorted(item.name for item in found if not (item.is_dir() and not any(item.iterdir()))):
            raise RunFolderError(
                f"'{self.path}' is not empty and contains no {content} (found {foreign[0]}); choose another output_dir."
            )

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
        for path in (self.metrics, self.alarms):
            if path.exists():
                rows = [row for row in read_jsonl(path) if isinstance(row, dict)]
                write_jsonl(path, [row for row in rows if row.get("step", 0) <= step and "train_runtime" not in row])
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
