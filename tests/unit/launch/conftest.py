"""A Slurm that is only its commands."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from fake_slurm import FakeSlurm


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    """sbatch, sinfo, squeue and scontrol, first on PATH, of a cluster that has the partitions gpu and cpu."""
    fake = FakeSlurm(tmp_path / "slurm-commands")
    monkeypatch.setenv("PATH", f"{fake.folder}:{os.environ['PATH']}")
    fake.answer("sinfo", "gpu* 4\ncpu 2\n")
    fake.answer("sbatch", "4711;cluster\n")
    fake.answer("squeue", "RUNNING\n")
    fake.answer("scontrol")
    return fake
