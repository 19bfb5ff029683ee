"""Random calls, some of them wrong, get the same answers and refusals from forest and oracle."""

from pathlib import Path

import pytest
from forest_fuzz import compare


@pytest.mark.parametrize("seed", range(24))
def test_forest_does_what_the_oracle_does(seed: int, tmp_path: Path) -> None:
    assert 0 < compare(seed, tmp_path) < 200
