"""Locks of outputs, and what differs between two identities.

A lock is the kernel's and dies with its process, so a killed run never leaves a stale one.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from open_r1.errors import RunFolderError
from open_r1.rundir.files import writing_failed

logger = logging.getLogger(__name__)

SHOWN = 3  # differences that a message names


@contextlib.contextmanager
def hold_lock(lock: Path, target: Path, alternative: str = "another output_dir") -> Iterator[None]:
    """Hold `target` for this process by the file `lock`; RunFolderError, which offers `alternative`, when it is held."""
    descriptor = _take_lock(lock, target, alternative)
    try:
        yield
    finally:
        os.close(descriptor)


def _take_lock(lock: Path, target: Path, alternative: str) -> int:
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


@contextlib.contextmanager
def hold_outputs(*files: Path | None) -> Iterator[None]:
    """Hold every file of a command's results; see `hold_file`."""
    with contextlib.ExitStack() as stack:
        for file in filter(None, files):
            stack.enter_context(hold_file(file))
        yield


def describe_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What differs between two identities, `seed was 0 and is now 1`; of contents only the name. Empty for nothing."""
    changed = [key for key in {**now, **before} if before.get(key) != now.get(key)]
    described = [
        f"the {key} have changed"
        if key.startswith("contents of ")
        else f"{key} was {before.get(key)!r} and is now {now.get(key)!r}"
        for key in changed[:SHOWN]
    ]
    return ", ".join(described) + (f" (and {len(changed) - SHOWN} more)" if len(changed) > SHOWN else "")
