"""The command line and environment of a Python child, which imports nothing from the working folder.

`python -m` and `python -c` put the working folder first on the path of modules, so a file there that is called like a
library (`yaml.py` in a cloned repository) would run in its place, with the user's rights. `-P` keeps it off for the child,
PYTHONSAFEPATH for the children that the child starts.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping


def python_command(*words: str) -> list[str]:
    """The command that runs this interpreter with some words: `python_command("-m", "open_r1.cli.main", "eval")`."""
    return [sys.executable, "-P", *words]


def child_environment(changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment for a child, with some variables set and the working folder off the path of modules."""
    return {**os.environ, "PYTHONSAFEPATH": "1", **(changes or {})}
