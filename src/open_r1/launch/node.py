"""`accelerate launch` on one machine, as a process that a scheduler can stop.

    python -m open_r1.launch.node WORDS-OF-ACCELERATE-LAUNCH

The words are those of `accelerate launch`, $SLURM_PROCID in them is the number of this task. accelerate's own command
differs in two ways: it gives training 30 s after a signal, which is too short for a checkpoint, and its exit status is 1
whatever that of the training is. Here SIGTERM and Ctrl-C go to the training, which ends itself, and its status is passed on:
75 where it can go on. `OPEN_R1_STOPPED` names a file that is written then, for a job whose tasks end one after another.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from open_r1.errors import REQUEUE_STATUS

STOPPED = "OPEN_R1_STOPPED"
RANK = "$SLURM_PROCID"
FORWARDED_BY_TORCHRUN = "SIGHUP,SIGQUIT"  # and not SIGTERM and SIGINT, after which it would count to 30
FORWARDED = (signal.SIGTERM, signal.SIGINT)


class StopRequest:
    """Passes signals on to the processes that this one has started."""

    def __init__(self) -> None:
        self.has_come = False
        """Whether SIGTERM was among them."""

    def __call__(self, number: int, _: Any) -> None:
        """Handle the signal: without processes there is nothing to wait for."""
        import psutil

        self.has_come |= number == signal.SIGTERM
        started = psutil.Process().children()
        for process in started:
            process.send_signal(number)
        if not started:
            sys.exit(REQUEUE_STATUS if number == signal.SIGTERM else 128 + number)


def run_node(words: Sequence[str], environment: Mapping[str, str] = os.environ) -> int:
    """Run `accelerate launch` with these words; returns the exit status of the first process that failed, or 0."""
    os.environ["PET_SIGNALS_TO_HANDLE"] = FORWARDED_BY_TORCHRUN
    stop = StopRequest()
    for number in FORWARDED:
        signal.signal(number, stop)
    from accelerate.commands.launch import launch_command, launch_command_parser

    words = [word.replace(RANK, environment.get(RANK[1:], "0")) for word in words]
    try:
        launch_command(launch_command_parser().parse_args(words))
    except Exception as error:  # of torch's launcher, with the failed processes, or of subprocess; others go through
        status = status_of(error, stop.has_come)
        if status is None:
            raise
        return status
    return 0


def status_of(error: Any, was_asked: bool) -> int | None:
    """The exit status in a launcher's error; None for another error.

    A training that SIGTERM has ended before it listened to it has lost nothing, and can go on too.
    """
    if hasattr(error, "get_first_failure"):
        statuses = [failure.exitcode for failure in error.failures.values()]
        first = error.get_first_failure()[1].exitcode
    elif hasattr(error, "returncode"):
        statuses = [first := error.returncode]
    else:
        return None
    if was_asked and set(statuses) <= {REQUEUE_STATUS, -signal.SIGTERM}:
        return REQUEUE_STATUS
    return first if first >= 0 else 128 - first


def main() -> NoReturn:
    """The command: ends with the status of the training."""
    status = run_node(sys.argv[1:])
    if status == REQUEUE_STATUS and os.environ.get(STOPPED):
        Path(os.environ[STOPPED]).touch()
    sys.exit(status)


if __name__ == "__main__":
    main()
