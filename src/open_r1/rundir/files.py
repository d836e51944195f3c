"""Writing and reading single files of a run: a file is written beside its place and renamed, so that no reader sees half.

Files of a run folder are opened without following links: whoever can write into the folder can't make a run read or
overwrite a file elsewhere.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, BinaryIO

from open_r1.errors import RunError, RunFolderError


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[IO[bytes]]:
    """A file that appears under `path` only when it was written whole; RunError when it can't be written."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        with os.fdopen(descriptor, "wb") as file:
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
    again = "and run the same command again."
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return RunError(f"the disk is full: '{path}' could not be written; free some space {again}")
    if error.errno == errno.ELOOP:
        return RunError(f"'{path}' is a link, which is not followed; remove it {again}")
    return RunError(f"'{path}' could not be written: {error.strerror or error}; fix that {again}")


def open_regular(path: Path, root: Path | None = None) -> BinaryIO:
    """A regular file, opened for reading; OSError for a link, a pipe, a device or a folder.

    With `root`, no folder between it and the file may be a link either.
    """
    folder = None
    try:
        if root is not None:
            *folders, name = path.relative_to(root).parts
            folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            for part in folders:
                outer, folder = folder, _open_folder(part, folder)
                os.close(outer)
        else:
            name = str(path)
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    finally:
        if folder is not None:
            os.close(folder)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    return os.fdopen(descriptor, "rb")


def _open_folder(name: str, parent: int) -> int:
    if name == "..":
        raise OSError(errno.EINVAL, "it is outside the folder", name)
    return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)


def write_text(path: Path, text: str) -> None:
    """Write a text file that appears only when it is whole; RunError when it can't be written."""
    with atomic_file(path) as file:
        file.write(text.encode())


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file that appears only when it is whole; RunError when it can't be written."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path, remedy: str = "restore it, or remove its folder to make the run anew") -> dict[str, Any]:
    """A record of a run; RunFolderError, which says what to do, when it is damaged."""
    try:
        with open_regular(path) as file:
            content = json.loads(file.read())
    except (OSError, ValueError, RecursionError) as error:
        raise RunFolderError(f"'{path}' can't be read ({error}); {remedy}.") from None
    if not isinstance(content, dict):
        raise RunFolderError(f"'{path}' is damaged: it contains no record; {remedy}.")
    return content


def check_keys(path: Path, at: str, value: Any, keys: Mapping[str, type], remedy: str) -> dict[str, Any]:
    """A part of a record, at `at` in its file, that has these keys; one that ends in `?` may be absent.

    RunFolderError with the file, the key and the `remedy` where it has not, as after an edit by hand.
    """
    if not isinstance(value, dict):
        raise RunFolderError(f"'{path}': {at} must be an object, but is {json.dumps(value)[:80]}; {remedy}.")
    for key, kind in keys.items():
        name = key.removesuffix("?")
        if name not in value and name == key:
            raise RunFolderError(f"'{path}': {at} has no key '{name}'; {remedy}.")
        if name in value and not isinstance(value[name], kind):
            found = json.dumps(value[name])[:80]
            raise RunFolderError(f"'{path}': {name} of {at} must be {WORDS[kind]}, but is {found}; {remedy}.")
    return value


WORDS = {dict: "an object", list: "a list", str: "a text"}


def hash_files(paths: Iterable[Path]) -> str:
    """SHA-256 over the names and contents of files, in sorted order."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(path.name.encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
