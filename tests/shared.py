"""The reference material that lies beside a checkout in some places; tests that use it skip where it is absent."""

import json
from pathlib import Path
from typing import Any

import pytest

SHARED = Path(__file__).parents[2] / "shared"


def shared_lines(name: str) -> list[Any]:
    """The records of a JSONL file of the reference."""
    path = SHARED / "reference" / name
    if not path.exists():
        pytest.skip(f"no reference material here: {path} is absent")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
