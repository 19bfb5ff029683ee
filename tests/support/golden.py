"""The golden records in `tests/data`: what the reference semantics give, to be reproduced exactly."""

import json
from pathlib import Path
from typing import Any

DATA = Path(__file__).parents[1] / "data"


def golden_lines(name: str) -> list[Any]:
    """Return the records of a JSONL file in `tests/data`."""
    return [json.loads(line) for line in (DATA / name).read_text(encoding="utf-8").splitlines()]
