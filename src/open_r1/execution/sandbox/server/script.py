"""Running a Python program in a child of the server, as `python main.py` would."""

from __future__ import annotations

import _sitebuiltins
import atexit
import builtins
import gc
import os
import random
import sys
import threading
import traceback
import types
from contextlib import suppress
from typing import Any

NAME = "main.py"
_main = types.ModuleType("__main__")
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/box", "TMPDIR": "/box", "LANG": "C.UTF-8"}
BROKEN_OUTPUT = 120
"""Exit status of an interpreter that can't write out what it has buffered."""


def prepare() -> None:
    """The interpreter as a program expects to find it: environment, words of the command, `__main__`."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "open_r1"]:
        del sys.modules[name]
    os.environ.clear()
    os.environ.update(ENVIRONMENT)
    sys.argv = [NAME]
    sys.orig_argv = ["python3", NAME]  # instead of the server's own, which names folders of the machine
    sys.set_int_max_str_digits(0)  # time limits bound what a conversion costs
    builtins.exit = _sitebuiltins.Quitter("exit", "Ctrl-D (i.e. EOF)")
    builtins.quit = _sitebuiltins.Quitter("quit", "Ctrl-D (i.e. EOF)")
    vars(_main).update(__builtins__=builtins, __file__=NAME)
    sys.modules["__main__"] = _main


def _stream(descriptor: int, mode: str, errors: str) -> Any:
    buffering = 1 if descriptor == 2 else -1
    return open(descriptor, mode, buffering, encoding="utf-8", errors=errors, newline="\n", closefd=False)


def run_script(source: bytes, arguments: list[str]) -> None:
    """Run the program and end this process with its exit status. No frame above this one belongs to the server."""
    gc.enable()
    random.seed(0)  # a program's result shouldn't depend on chance
    sys.stdin = sys.__stdin__ = _stream(0, "r", "surrogateescape")
    sys.stdout = sys.__stdout__ = _stream(1, "w", "surrogateescape")
    sys.stderr = sys.__stderr__ = _stream(2, "w", "backslashreplace")
    sys.argv += arguments
    sys.orig_argv += arguments
    status = _run(source)
    for finish in (_wait_for_threads, atexit._run_exitfuncs):
        try:
            finish()
        except BaseException:  # noqa: BLE001  whatever the program left to be run must not keep it from ending
            status = status or 1
    status = _flush(status, sys.stdout, sys.stderr)
    _drop_variables()
    os._exit(_flush(status, sys.__stdout__) & 0xFF)


def _wait_for_threads() -> None:
    if threading.active_count() > 1 or getattr(threading, "_threading_atexits", True):
        threading._shutdown()  # pyright: ignore[reportAttributeAccessIssue]


def _drop_variables() -> None:
    """Files that the program left open are written out and closed."""
    with suppress(BaseException):
        if threading.active_count() == 1:  # else a thread that nobody waits for would miss them
            vars(_main).clear()


def _run(source: bytes) -> int:
    try:
        exec(compile(source, NAME, "exec", dont_inherit=True), vars(_main))
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
        return end.code if -sys.maxsize <= end.code <= sys.maxsize else -1
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


def _flush(status: int, *streams: Any) -> int:
    """What was printed goes out, be it to streams that the program has put in place of its own."""
    for stream in streams:
        try:
            if stream is not None and not getattr(stream, "closed", False):
                stream.flush()
        except BaseException:  # noqa: BLE001  the program may have put anything in their place
            status = status or BROKEN_OUTPUT
    return status
