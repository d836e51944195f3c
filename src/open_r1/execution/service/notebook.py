"""What surrounds a script of the routers' protocol: it runs as in a notebook, where the last expression has a value.

This file's text begins the program in the box. What it says about the script (the value, the exception) is only as
honest as the script: whoever scores with it, as the protocol's own clients do, trusts the script's last line.

Uses the standard library alone.
"""

from __future__ import annotations

import ast
import json
import os
import sys
import traceback
import types

MAX_TEXT = 1_000_000


def run_script(source: str, mark: str) -> None:
    """Run a script; write the mark and what came of it after all else that it wrote. Leaves without exit handlers."""
    sys.modules["__main__"] = types.ModuleType("__main__")
    text, error = None, None
    try:
        value = evaluate(source, vars(sys.modules["__main__"]))
        text = None if value is None else repr(value)[:MAX_TEXT]
    except SystemExit as leaving:
        if leaving.code not in (None, 0):
            error = describe(leaving)
    except BaseException as raised:  # noqa: BLE001 - it is the answer
        error = describe(raised)
    sys.stdout.flush()
    sys.stderr.flush()
    os.write(1, (mark + json.dumps({"text": text, "error": error})).encode())
    os._exit(0)


def evaluate(source: str, names: dict) -> object:
    """The value of the last line, if that is an expression."""
    tree = ast.parse(source, "script.py")
    last = tree.body[-1] if tree.body else None
    if not isinstance(last, ast.Expr):
        exec(compile(tree, "script.py", "exec"), names)
        return None
    exec(compile(ast.Module(tree.body[:-1], []), "script.py", "exec"), names)
    return eval(compile(ast.Expression(last.value), "script.py", "eval"), names)


def describe(error: BaseException) -> dict:
    """An error as a notebook reports it: name, value and traceback, each cut to `MAX_TEXT` characters."""
    return {
        "name": type(error).__name__,
        "value": str(error)[:MAX_TEXT],
        "traceback": traceback.format_exc()[-MAX_TEXT:],
    }
