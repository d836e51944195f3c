"""What one check of the machine found, and the small tools that the checks share."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import open_r1

Level = Literal["ok", "note", "problem"]
"""ok: as it should be; note: something does without; problem: something fails."""

TOOL_LIMIT_S = 15.0


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Args:
        subject: What was looked at, as `torch` or `sandbox`.
        found: What was found, in a sentence's words.
        fix: The command that changes it, or what to do where no command does; "" where there is nothing to do.
    """

    subject: str
    level: Level
    found: str
    fix: str = ""


def ok(subject: str, found: str) -> Finding:
    """All is well."""
    return Finding(subject, "ok", found)


def note(subject: str, found: str, fix: str = "") -> Finding:
    """Something is absent that not everyone needs."""
    return Finding(subject, "note", found, fix)


def problem(subject: str, found: str, fix: str) -> Finding:
    """Something will fail."""
    return Finding(subject, "problem", found, fix)


def checkout() -> Path | None:
    """The folder that Open R1 runs from, with its constraints.txt; None where only the package is installed."""
    folder = Path(open_r1.__file__).resolve().parents[2]
    return folder if (folder / "constraints.txt").is_file() else None


def install(what: str) -> str:
    """The pip command that installs an extra, as `[train]`, or a package in the version that was tested."""
    folder = checkout()
    if folder is None or folder == Path.cwd():
        folder = Path()
    target = f"-e '{folder}{what}'" if what.startswith("[") else what
    return f"pip install -c {folder / 'constraints.txt'} {target}"


def run_tool(words: Sequence[str], limit_s: float = TOOL_LIMIT_S) -> tuple[str, str]:
    """(output, fault) of a program: fault is "" when it ended with status 0, else what it said, in one line."""
    try:
        ran = subprocess.run(
            words,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=limit_s,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return "", f"no answer within {limit_s:.0f} s"
    except OSError as error:
        return "", str(error.strerror or error)
    said = [line.strip() for line in f"{ran.stderr}\n{ran.stdout}".splitlines() if line.strip()]
    return ran.stdout, "" if ran.returncode == 0 else (said[-1] if said else f"exit status {ran.returncode}")
