"""The variables that configure providers: the process's own first, then those of a `.env` in the current folder.

Nothing of the `.env` is put into `os.environ`, which every child process would inherit, keys included.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from importlib.util import find_spec
from pathlib import Path

from open_r1.errors import ConfigError

Environment = Mapping[str, str]

ENV_FILE = ".env"
KEY_ENDINGS = ("_API_KEY", "_TOKEN")
ADDRESS_ENDINGS = ("_URL", "_DOMAIN", "_ENDPOINT", "_ENDPOINTS")


def read_environment() -> dict[str, str]:
    """The variables of this process, and those of `.env` that it doesn't have. ConfigError if `.env` can't be read."""
    return _env_file_variables() | dict(os.environ)


def check_one_source(names: Collection[str]) -> None:
    """Refuse a `.env` that says where a key of the process's own environment is sent.

    `names` are one provider's variables. A `.env` comes with the folder, such as a cloned repository, and may not redirect
    a key that its user exported; a `.env` that sets both key and address is used. ConfigError names both variables.
    """
    keys = [name for name in names if name.endswith(KEY_ENDINGS) and os.environ.get(name)]
    in_file = {name for name in _env_file_variables() if name in names and name not in os.environ}
    addresses = sorted(name for name in in_file if name.endswith(ADDRESS_ENDINGS))
    if keys and addresses:
        raise ConfigError(
            f"{Path(ENV_FILE).resolve()} sets {addresses[0]}, but {keys[0]} comes from the environment, and a file may not "
            f"choose where an exported key is sent; export {addresses[0]} too, or put both into the file."
        )


def explain_missing(variable: str, purpose: str) -> str:
    """The message for an environment that lacks a variable."""
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
        raise ConfigError(f"{Path(ENV_FILE).resolve()} can't be read ({error}); fix or remove it.") from error
    return {name: value for name, value in variables.items() if value is not None}
