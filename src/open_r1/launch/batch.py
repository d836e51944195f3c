"""What a batch script runs: a command that is asked to stop by SIGTERM, and goes back into the queue if it can go on.

    python -m open_r1.launch.batch COMMAND [ARGUMENT …]

Slurm sends the batch script SIGTERM before the time limit (`--signal=B:TERM@300`). The command gets it too. When it ends
with status 75, as a training does that has saved a checkpoint, the job is put back into the queue: only then, so that a
failure is not repeated for ever. Where Slurm has cancelled or already requeued the job, it stays so.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from open_r1.errors import REQUEUE_STATUS, OpenR1Error, RunError
from open_r1.launch.slurm import run_slurm

logger = logging.getLogger(__name__)


def run_batch(words: Sequence[str], environment: Mapping[str, str] = os.environ) -> int:
    """Run a command, pass SIGTERM on to it, requeue the job if it asks for that; returns its exit status."""
    status = run_forwarding(words)
    if status == REQUEUE_STATUS and environment.get("SLURM_JOB_ID"):
        requeue(environment)
    return status


def run_forwarding(words: Sequence[str]) -> int:
    """Run a command that gets this process's SIGTERM; returns its exit status, 128 + N where signal N ended it."""
    try:
        process = subprocess.Popen(words)
    except OSError as error:
        raise RunError(f"'{words[0]}' can't be started: {error.strerror or error}.") from None

    def forward(number: int, _: Any) -> None:
        if process.poll() is None:
            process.send_signal(number)

    before = signal.signal(signal.SIGTERM, forward)
    try:
        status = process.wait()
    finally:
        signal.signal(signal.SIGTERM, before)
    return status if status >= 0 else 128 - status


def requeue(environment: Mapping[str, str]) -> None:
    """Put this job back into the queue, unless Slurm is ending it anyway."""
    job = job_number(environment)
    state = run_slurm("squeue", "--noheader", "--format=%T", f"--jobs={job}").stdout.strip()
    if state != "RUNNING":
        logger.info("the job is %s already, so it is not requeued", state.lower() or "gone")
        return
    logger.info("the command can go on: putting job %s back into the queue", job)
    ran = run_slurm("scontrol", "requeue", job)
    if ran.returncode:
        logger.error("the job can't be requeued: %s; submit it again to go on", " ".join(ran.stderr.split()))


def job_number(environment: Mapping[str, str]) -> str:
    """This job as Slurm's commands take it: a task of an array is ARRAY_TASK."""
    if environment.get("SLURM_ARRAY_TASK_ID"):
        return f"{environment['SLURM_ARRAY_JOB_ID']}_{environment['SLURM_ARRAY_TASK_ID']}"
    return environment["SLURM_JOB_ID"]


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    try:
        sys.exit(run_batch(sys.argv[1:]))
    except OpenR1Error as error:
        sys.exit(f"open-r1: {error}")
