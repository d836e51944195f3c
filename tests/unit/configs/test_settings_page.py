"""The settings reference is what the dataclasses say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_the_settings_page_is_current(repo: Path) -> None:
    script = repo / "scripts" / "make_settings_page.py"
    ran = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
