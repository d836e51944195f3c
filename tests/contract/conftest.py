"""Contract tests use the fakes that the unit tests of an area have."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "unit" / "execution" / "providers"))
