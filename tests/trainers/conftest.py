"""Tests of trainers that the package does not depend on: `make test-trainers`."""

import sys
from importlib.util import find_spec
from pathlib import Path

# Elsewhere there is nothing to test.
if find_spec("verifiers") is None or find_spec("verl") is None:
    collect_ignore_glob = ["test_*.py"]
sys.path.append(str(Path(__file__).parents[2] / "examples"))
