"""The errors that Open R1 raises on purpose.

    OpenR1Error
    ├── UsageError            what was asked for can't be done as asked; exit status 2
    │   ├── ConfigError       a recipe, a flag or a setting
    │   ├── DataError         a data file, a column, a row
    │   ├── ModelError        a model folder, a tokenizer, a template
    │   └── RunFolderError    an output folder that can't be used for this run
    └── RunError              something failed while running; exit status 1
        └── GateNotMet        a pipeline's gate, whose condition does not hold; exit status 3

    Terminated                SIGTERM ended a training, which the same command goes on with; exit status 75

A message says what is wrong, gives the value, says what is valid, and ends with what to do. The command line
prints it as one line; a traceback means that Open R1 itself has a fault.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class OpenR1Error(Exception):
    """Anything that Open R1 refuses or fails at, with a message made for its user."""

    exit_status = 1


class UsageError(OpenR1Error, ValueError):
    """The request can't be carried out as given: the user can fix it and start again."""

    exit_status = 2


class ConfigError(UsageError):
    """A recipe that can't be read, an unknown key, a value out of range, settings that contradict each other."""


class DataError(UsageError):
    """A data file that is missing or broken, a column that isn't there, an empty set."""


class ModelError(UsageError):
    """A folder without a model, a tokenizer or chat template that can't serve the training asked for."""


class RunFolderError(UsageError):
    """An output folder that can't be written, is in use, or contains another run."""


class RunError(OpenR1Error):
    """A failure while running: what was finished before stays, and the same command goes on from there."""


class GateNotMet(RunError):
    """A pipeline stops where the condition of a gate does not hold."""

    exit_status = 3


REQUEUE_STATUS = 75
"""EX_TEMPFAIL of sysexits.h, "try again later": a scheduler that starts the command again finishes the work."""


class Terminated(KeyboardInterrupt):
    """SIGTERM, as a scheduler sends it before it takes a machine away, ended a training that can go on."""

    exit_status = REQUEUE_STATUS


def nearest(name: str, known: Iterable[str]) -> str:
    """How a sentence about an unknown name ends: `; did you mean 'x'?` with the closest known one, or a full stop."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean '{matches[0]}'?" if matches else "."
