"""The golden records in `tests/data`.

They hold what the reference semantics give. The package must reproduce them exactly.
"""

import json
from pathlib import Path
from typing import Any

DATA = Path(__file__).parents[1] / "data"


def golden_lines(name: str) -> list[Any]:
    """Return the records of a JSONL file in `tests/data`."""
    return [json.loads(line) for line in (DATA / name).read_text(encoding="utf-8").splitlines()]
