"""Every path of a run, and the only ways in which a run is written.

Files are written beside and renamed, so that a reader never sees half of one; a log is appended line by line, and a
torn last line (the process was killed while writing it) is dropped when it is next opened. `done.json` is written
last: a folder without it is unfinished.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from open_r1.errors import RunError, RunFolderError

logger = logging.getLogger(__name__)

CHECKPOINT = re.compile(r"checkpoint-(\d+)$")
CHECKPOINT_MARKER = "open_r1_complete.json"


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[IO[bytes]]:
    """A file that appears under `path` only when it was written whole; RunError when the disk is full."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise writing_failed(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)


def writing_failed(path: Path, error: OSError) -> RunError:
    """What a failed write means to the user; nothing finished before it is lost."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return RunError(
            f"the disk is full: '{path}' could not be written; free some space and run the same command again."
        )
    return RunError(
        f"'{path}' could not be written: {error.strerror or error}; mend that and run the same command again."
    )


def write_text(path: Path, text: str) -> None:
    with atomic_file(path) as file:
        file.write(text.encode())


def write_json(path: Path, content: Any) -> None:
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def write_jsonl(path: Path, rows: Iterable[Any]) -> None:
    with atomic_file(path) as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")


def read_json(path: Path) -> dict[str, Any]:
    """A record of a run; RunFolderError when it is damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunFolderError(
            f"'{path}' can't be read ({error}); restore it, or remove its folder to make the run anew."
        ) from None
    if not isinstance(content, dict):
        raise RunFolderError(f"'{path}' is damaged: it holds no record; remove its folder to make the run anew.")
    return content


def read_jsonl(path: Path) -> list[Any]:
    """All whole lines; a torn last line is left out. RunError for a line that is broken anywhere else."""
    lines = path.read_bytes().splitlines()
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(json.loads(line))
        except ValueError as error:
            if number < len(lines):
                raise RunError(
                    f"{path}:{number} is not JSON: {error}; remove that line or make the file anew."
                ) from None
    return rows


def hash_files(paths: Iterable[Path]) -> str:
    """SHA-256 over the names and contents of files, in sorted order."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(path.name.encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


START_OVER = "--overwrite_output_dir true"


@dataclass(frozen=True)
class RunDir:
    """The folder of one run or one stage."""

    path: Path

    @property
    def resolved(self) -> Path:
        return self.path / "resolved.yaml"

    @property
    def environment(self) -> Path:
        return self.path / "environment.json"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def rollouts(self) -> Path:
        return self.path / "rollouts"

    @property
    def preflight(self) -> Path:
        return self.path / "preflight.json"

    @property
    def done(self) -> Path:
        return self.path / "done.json"

    @property
    def identity(self) -> Path:
        return self.path / "identity.json"

    def rollout_file(self, step: int) -> Path:
        return self.rollouts / f"step-{step:06d}.parquet"

    def is_done(self) -> bool:
        return self.done.exists()

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
        """Hold the folder for this process; RunFolderError when another run is writing to it.

        The lock is the kernel's and dies with the process, so a killed run never leaves a stale one.
        """
        is_new = not self.path.exists()
        self.create()
        with (self.path / ".lock").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RunFolderError(
                    f"another run is writing to '{self.path}'; wait for it, stop it, or choose another output_dir."
                ) from None
            except OSError as error:  # a file system without locks: better unguarded than unusable
                logger.warning("'%s' can't be locked (%s): don't run twice into it", self.path, error.strerror)
            try:
                yield
            finally:
                self.leave_no_trace(is_new)

    def leave_no_trace(self, is_new: bool) -> None:
        """Take the lock file, and a folder made for it, away again when nothing was written beside it."""
        if [item.name for item in self.path.iterdir()] == [".lock"]:
            (self.path / ".lock").unlink()
            if is_new:
                self.path.rmdir()

    def clear(self) -> None:
        """Remove the run that the folder holds, the lock file aside."""
        for item in self.path.iterdir():
            if item.name == ".lock":
                continue
            if item.is_dir() and not item.is_symlink():
                shutil.rmtree(item)
            else:
                item.unlink()

    def check_identity(self, identity: dict[str, Any], start_over: str = START_OVER) -> None:
        """RunFolderError when the folder holds a run of another identity, naming what differs, or foreign files.

        `identity` is what makes two runs the same: the settings and inputs that change the result; `start_over` the flag
        of the command that clears the folder.
        """
        self.refuse_foreign()
        held = read_json(self.identity) if self.identity.exists() else identity
        changed = [key for key in {**identity, **held} if held.get(key) != identity.get(key)]
        if changed:
            more = f" (and {len(changed) - 3} more)" if len(changed) > 3 else ""
            shown = ", ".join(describe_change(key, held.get(key), identity.get(key)) for key in changed[:3])
            raise RunFolderError(
                f"'{self.path}' holds a different run: {shown}{more}; choose another output_dir, "
                f"or start over with {start_over}."
            )

    def refuse_foreign(self) -> None:
        """RunFolderError when the folder holds files but no run; empty folders, as trainers make them, don't count."""
        if self.identity.exists() or not self.path.is_dir():
            return
        found = [item for item in self.path.iterdir() if not item.name.startswith(".")]
        if foreign := sorted(item.name for item in found if not (item.is_dir() and not any(item.iterdir()))):
            raise RunFolderError(
                f"'{self.path}' is not empty and holds no run of Open R1 (found {foreign[0]}); choose another output_dir."
            )

    def claim(self, identity: dict[str, Any], start_over: str = START_OVER) -> None:
        """Make the folder this run's, or find that it already is; see `check_identity`."""
        self.check_identity(identity, start_over)
        if not self.identity.exists():
            write_json(self.identity, identity)

    def checkpoints(self) -> list[Path]:
        """Complete checkpoints, oldest first."""
        return [path for path in self.all_checkpoints() if is_whole(path)]

    def all_checkpoints(self) -> list[Path]:
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


def describe_change(key: str, before: Any, now: Any) -> str:
    """A difference between two runs in words; contents are told by name alone."""
    if key.startswith("contents of "):
        return f"the {key} have changed"
    return f"{key} was {before!r} and is now {now!r}"


def append_line(path: Path, row: Any) -> None:
    """Append one JSON line in a single write."""
    try:
        with path.open("ab") as file:
            file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
    except OSError as error:
        raise writing_failed(path, error) from error
