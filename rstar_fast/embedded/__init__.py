"""The small models that come with the package, from before and after rounds of self-evolution, and their word problems."""

import json
from pathlib import Path
from typing import Any

from rstar_fast.embedded.problems import LEVELS, graded_problems
from rstar_fast.problems import Problem

_HERE = Path(__file__).parent


def base_path() -> Path:
    """The folder of the policy before any round, for `AutoModelForCausalLM.from_pretrained`; it solves plain problems."""
    return _HERE / "base"


def policy_path() -> Path:
    """The folder of the last round's policy, for `AutoModelForCausalLM.from_pretrained`."""
    return _HERE / "policy"


def ppm_path() -> Path:
    """The folder of the last round's PPM, for `AutoModelForSequenceClassification.from_pretrained`."""
    return _HERE / "ppm"


def origin() -> dict[str, Any]:
    """Which run and which round of it the policy and the PPM come from, as `embedded.adopt` wrote it down."""
    told: dict[str, Any] = json.loads((_HERE / "origin.json").read_bytes())
    return told


def held_out_problems(n: int, seed: int = 0) -> list[Problem]:
    """`n` generated problems, the levels by turns, whose instances were in no model's training data."""
    per_level = -(-n // len(LEVELS))
    return [one.problem for one in graded_problems("held_out", per_level, seed)[:n]]


__all__ = ["base_path", "held_out_problems", "origin", "policy_path", "ppm_path"]
