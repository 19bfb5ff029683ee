"""A finished self-evolution for all tests of this folder."""

from pathlib import Path

import pytest
from evolve_options import do_all, options


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of problem files and of an unbroken run in `run`. Tests leave it as it is."""
    folder = tmp_path_factory.mktemp("unbroken")
    do_all(folder / "run", options(folder))
    return folder
