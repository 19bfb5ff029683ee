"""The small policy and PPM that come with the package, and the generated problems they were made for."""

from pathlib import Path

from rstar_fast.embedded.problems import word_problem
from rstar_fast.problems import Problem

_HERE = Path(__file__).parent


def policy_path() -> Path:
    """The folder of the embedded policy, for `AutoModelForCausalLM.from_pretrained`."""
    return _HERE / "policy"


def ppm_path() -> Path:
    """The folder of the embedded PPM, for `AutoModelForSequenceClassification.from_pretrained`."""
    return _HERE / "ppm"


def held_out_problems(n: int, seed: int = 0) -> list[Problem]:
    """`n` generated problems of mixed difficulty that were in neither model's training data."""
    drawn = (word_problem(i, seed, "held_out") for i in range(n))
    return [Problem(p.id, p.question, (p.answer,)) for p in drawn]


__all__ = ["held_out_problems", "policy_path", "ppm_path"]
