"""Whose an output is: in use by another process, of another run, finished, or free.

A lock is the kernel's and dies with its process, so a killed run never leaves a stale one. The identity of a run is the
settings and inputs that decide its result; it is written when the run starts, and another one is refused by naming what
differs.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from open_r1.errors import RunFolderError
from open_r1.rundir.files import read_json, write_json, writing_failed

logger = logging.getLogger(__name__)

START_OVER = "--overwrite_output_dir true"
LOCK = ".lock"
SHOWN = 3


@contextlib.contextmanager
def hold_lock(lock: Path, target: Path, alternative: str = "another output_dir") -> Iterator[None]:
    """Hold `target` for this process by the file `lock`; RunFolderError when another process has it.

    `alternative` is what the message offers instead.
    """
    descriptor = _take_lock(lock, target, alternative)
    try:
        yield
    finally:
        os.close(descriptor)


def _take_lock(lock: Path, target: Path, alternative: str) -> int:
    """The descriptor of the locked file, which is the one that the path names: a holder may just have removed it."""
    while True:
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise writing_failed(lock, error) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise RunFolderError(
                f"another run is writing to '{target}'; wait for it, stop it, or choose {alternative}."
            ) from None
        except OSError as error:  # a file system without locks: better unguarded than unusable
            logger.warning("'%s' can't be locked (%s): don't run twice into it", target, error.strerror)
            return descriptor
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), lock.stat(follow_symlinks=False)):
                return descriptor
        os.close(descriptor)


@contextlib.contextmanager
def hold_file(path: Path, alternative: str = "another file") -> Iterator[None]:
    """Hold one file of a folder that other files may share; see `hold_lock`."""
    lock = path.with_name(f".{path.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise writing_failed(path, error) from None
    with hold_lock(lock, path, alternative):
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


def describe_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What differs between two identities, `seed was 0 and is now 1`; empty when nothing does."""
    changed = [key for key in {**now, **before} if before.get(key) != now.get(key)]
    more = f" (and {len(changed) - SHOWN} more)" if len(changed) > SHOWN else ""
    return ", ".join(describe_change(key, before.get(key), now.get(key)) for key in changed[:SHOWN]) + more


def describe_change(key: str, before: Any, now: Any) -> str:
    """One difference in words; of contents only the name is shown."""
    if key.startswith("contents of "):
        return f"the {key} have changed"
    return f"{key} was {before!r} and is now {now!r}"


@dataclass(frozen=True)
class OutputFolder:
    """A folder that one run, stage or command writes.

    `identity.json` says whose it is; `done.json`, written last, that it is finished.
    """

    path: Path

    @property
    def done(self) -> Path:
        """The marker of a finished output, written last."""
        return self.path / "done.json"

    @property
    def identity(self) -> Path:
        """The settings and inputs that decide the output."""
        return self.path / "identity.json"

    def is_done(self) -> bool:
        """Whether the output is finished."""
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
        """Hold the folder for this process; RunFolderError when another run is writing to it."""
        is_new = not self.path.exists()
        self.create()
        with hold_lock(self.path / LOCK, self.path):
            try:
                yield
            finally:
                self._leave_no_trace(is_new)

    def _leave_no_trace(self, is_new: bool) -> None:
        """Remove the lock file, and a folder made for it, when nothing was written beside it."""
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
            if item.name == LOCK:
                continue
            if item.is_dir() and not item.is_symlink():
                shutil.rmtree(item)
            else:
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
