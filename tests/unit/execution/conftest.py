"""This machine's sandbox, for tests that run programs for real."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from open_r1.errors import ConfigError
from open_r1.execution.sandbox.local import LocalProvider


@pytest.fixture(scope="session")
def local() -> Iterator[LocalProvider]:
    with LocalProvider() as provider:
        try:
            provider.check()
        except ConfigError as error:
            pytest.skip(f"NO SANDBOX HERE: {error}")
        yield provider
