"""The variables that providers are set up by: the process's own, and under them those of a `.env` in the current folder.

Does: merge both for reading. Does not: put anything into `os.environ`, which every child process would inherit, keys
included.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from open_r1.errors import ConfigError

Environment = Mapping[str, str]

ENV_FILE = ".env"


def read_environment() -> dict[str, str]:
    """The variables of this process, and those of `.env` that it doesn't have. ConfigError if `.env` can't be read."""
    return _env_file_variables() | dict(os.environ)


def explain_missing(variable: str, purpose: str) -> str:
    """What to tell someone whose environment lacks a variable."""
    message = f"{variable} is not set, which {purpose} needs; export it or put it into a {ENV_FILE} in this folder."
    if Path(ENV_FILE).is_file() and not find_spec("dotenv"):
        message += f" There is a {ENV_FILE}, but python-dotenv is missing to read it: pip install python-dotenv."
    return message


def _env_file_variables() -> dict[str, str]:
    if not Path(ENV_FILE).is_file() or not find_spec("dotenv"):
        return {}
    from dotenv import dotenv_values

    try:
        variables = dotenv_values(ENV_FILE)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{Path(ENV_FILE).resolve()} can't be read ({error}); mend or remove it.") from error
    return {name: value for name, value in variables.items() if value is not None}
