"""DeepSpeed, where it is installed, is loaded by the runs that use it and by no other."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

SCRIPT = """
import sys
from pathlib import Path
from open_r1.training.tiny_models import ModelShape, make_model_folder
make_model_folder(Path(sys.argv[1]), ["1+1"] * 9, ModelShape(hidden_size=32, num_layers=1, intermediate_size=64), seed=0)
from trl import GRPOTrainer, SFTTrainer
from accelerate.utils import extract_model_from_parallel
import torch
extract_model_from_parallel(torch.nn.Linear(1, 1))
assert "deepspeed" not in sys.modules
"""


def test_a_model_is_saved_and_unwrapped_without_loading_deepspeed(tmp_path: Path) -> None:
    if find_spec("deepspeed") is None:
        pytest.skip("DEEPSPEED ABSENT: pip install -e '.[dev]'")
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "model")],
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == ""
