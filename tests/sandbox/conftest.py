from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sandbox_client import Client, Running, start


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    running = start(workers=2, max_time_s=120, max_memory_mb=512, unconfined=True)
    try:
        yield running.client
    finally:
        running.stop()


@pytest.fixture
def serving() -> Iterator[Callable[..., Running]]:
    """Starts servers of a test's own, and ends them."""
    started: list[Running] = []

    def begin(**options: Any) -> Running:
        started.append(start(unconfined=True, **options))
        return started[-1]

    yield begin
    for running in started:
        running.stop()
