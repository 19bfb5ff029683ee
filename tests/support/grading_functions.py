"""Functions for the tests of `FunctionVerifier`."""

import os
import time
from typing import Any


def doubles(problem: dict[str, Any], answer: str) -> bool:
    print("printing is no answer")
    return int(answer) == 2 * int(problem["question"])


def sleeps(problem: dict[str, Any], answer: str) -> bool:
    time.sleep(60)
    return True


def dies(problem: dict[str, Any], answer: str) -> bool:
    os._exit(1)
