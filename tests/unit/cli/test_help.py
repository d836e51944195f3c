"""Help answers at once: no verb's --help loads a heavy library."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from open_r1.cli.main import verb_modules

HEAVY = ("torch", "transformers", "trl", "datasets", "sympy", "matplotlib", "pandas", "pyarrow", "fastapi", "uvicorn")
SCRIPT = """
import sys
from open_r1.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit as stop:
    assert stop.code == 0, stop.code
print("LOADED", *[name for name in {heavy} if name in sys.modules], file=sys.stderr)
"""


@pytest.mark.parametrize("verb", ["", *verb_modules()])
def test_help_shows_an_example_and_loads_nothing_heavy(verb: str) -> None:
    words = [sys.executable, "-c", SCRIPT.format(heavy=HEAVY), *([verb] if verb else []), "--help"]
    ran = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    assert re.search(r"[Ee]xamples?:\s+open-r1", ran.stdout)
    assert ran.stderr.strip() == "LOADED"


def test_the_guides_verbs_are_there() -> None:
    assert {"run", "sft", "grpo", "eval", "report"} <= set(verb_modules())


WITHOUT_TRL = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name == "trl":
            raise ModuleNotFoundError("No module named 'trl'", name="trl")

sys.meta_path.insert(0, Absent())
from open_r1.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_missing_library_is_named_with_the_command_that_installs_it() -> None:
    words = [sys.executable, "-c", WITHOUT_TRL, "sft", "--output_dir", "x"]
    ran = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 2
    assert (
        ran.stderr.splitlines()[-1]
        == "open-r1: 'trl' is not installed; run in the checkout: pip install -e '.[train]'."
    )
