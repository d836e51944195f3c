from __future__ import annotations

from collections.abc import Iterator

import pytest

from open_r1.rewards import Verifier


@pytest.fixture(scope="session")
def verifier() -> Iterator[Verifier]:
    """A verifier process for all tests of this folder."""
    verifier = Verifier(workers=2, limit_s=10.0)
    yield verifier
    verifier.close()
