"""The local sandbox, started once for all tests of the service."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from service_server import Running, running

from open_r1.execution.sandbox import tiers
from open_r1.execution.sandbox.local import LocalProvider
from open_r1.execution.service.languages import languages_here


@pytest.fixture(scope="session")
def local_provider() -> Iterator[LocalProvider]:
    isolation = tiers.detect()
    if not isolation.tier:
        pytest.skip(f"NO SANDBOX HERE: {isolation.obstacles}")
    with LocalProvider() as provider:
        yield provider


@pytest.fixture(scope="session")
def local_service(local_provider: LocalProvider) -> Iterator[Running]:
    with running(local_provider, languages_here(local_provider)) as service:
        yield service
