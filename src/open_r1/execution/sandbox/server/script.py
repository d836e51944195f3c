"""Running a Python program in a child of the server, as `python main.py` would."""

from __future__ import annotations

import _sitebuiltins
import atexit
import builtins
import os
import random
import sys
import threading
import traceback
import types
from typing import Any

NAME = "main.py"
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/box", "TMPDIR": "/box", "LANG": "C.UTF-8"}
BROKEN_OUTPUT = 120
"""Exit status of an interpreter that can't write out what it still holds."""


def run_script(source: bytes, arguments: list[str]) -> None:
    """Run the program and end this process with its exit status. No frame above this one belongs to the server."""
    main = _prepare(arguments)
    status = _run(source, main)
    for finish in (threading._shutdown, atexit._run_exitfuncs):  # pyright: ignore[reportAttributeAccessIssue]
        try:
            finish()
        except BaseException:  # noqa: BLE001  whatever the program left to be run must not keep it from ending
            status = status or 1
    os._exit(_flush(status) & 0xFF)


def _prepare(arguments: list[str]) -> types.ModuleType:
    """The interpreter as a program expects to find it: own streams, arguments, environment, `__main__`."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "open_r1"]:
        del sys.modules[name]
    os.environ.clear()
    os.environ.update(ENVIRONMENT)
    sys.stdin = sys.__stdin__ = _stream(0, "r", "surrogateescape")
    sys.stdout = sys.__stdout__ = _stream(1, "w", "surrogateescape")
    sys.stderr = sys.__stderr__ = _stream(2, "w", "backslashreplace")
    sys.argv = [NAME, *arguments]
    random.seed(0)  # a program's verdict shouldn't depend on chance; a fork would seed anew
    builtins.exit = _sitebuiltins.Quitter("exit", "Ctrl-D (i.e. EOF)")
    builtins.quit = _sitebuiltins.Quitter("quit", "Ctrl-D (i.e. EOF)")
    main = types.ModuleType("__main__")
    vars(main).update(__builtins__=builtins, __file__=NAME)
    sys.modules["__main__"] = main
    return main


def _stream(descriptor: int, mode: str, errors: str) -> Any:
    buffering = 1 if descriptor == 2 else -1
    return open(descriptor, mode, buffering, encoding="utf-8", errors=errors, closefd=False)


def _run(source: bytes, main: types.ModuleType) -> int:
    try:
        exec(compile(source, NAME, "exec"), vars(main))
    except SystemExit as end:
        return _status_of(end)
    except BaseException as error:  # noqa: BLE001  the program's own
        _show(error)
        return 1
    return 0


def _status_of(end: SystemExit) -> int:
    if end.code is None:
        return 0
    if isinstance(end.code, int):
        return end.code
    try:
        sys.stderr.write(f"{end.code}\n")
    except BaseException:  # noqa: BLE001  the message may be any object
        return 1
    return 1


def _show(error: BaseException) -> None:
    """The traceback, from the program's own first frame on."""
    try:
        own = error.__traceback__ and error.__traceback__.tb_next
        traceback.print_exception(type(error), error, own, limit=-20)
    except BaseException:  # noqa: BLE001  an exception may fail to be shown, or memory be at its end
        os.write(2, f"{type(error).__name__}\n".encode())


def _flush(status: int) -> int:
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:  # noqa: BLE001  the program may have put anything in their place
        return status or BROKEN_OUTPUT
    return status
