"""A fixture that restores the interpreter after programs that ran inside the test process."""

import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def restored_interpreter() -> Iterator[None]:
    saved = sys.stdout, sys.__stdout__, sys.modules["__main__"]
    yield
    sys.stdout, sys.__stdout__, sys.modules["__main__"] = saved  # type: ignore[misc]
