"""Whether programs can be isolated here, asked once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from open_r1.errors import ConfigError


@pytest.fixture(scope="session")
def need_sandbox() -> Callable[[], None]:
    def need() -> None:
        from open_r1.evaluation.programs import provider

        try:
            provider()
        except ConfigError as error:
            pytest.skip(f"NO SANDBOX HERE: {error}")

    return need
