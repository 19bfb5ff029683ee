"""The small models that come with the package, and their problems.

There is a policy from before self-evolution, and a policy and a PPM from after it. Programs that
make them are in `recipes/embedded` of the repository.
"""

import json
from pathlib import Path
from typing import Any

from rstar_fast.checks import check_choice
from rstar_fast.embedded.domains import DOMAINS
from rstar_fast.problems import Problem

_HERE = Path(__file__).parent
_LEVELS = {
    "graded": (0, 1, 2),
    "told": (0, 1, 2),
    "countdown": (3, 4),
    "equations": (0, 1, 2, 3, 4),
}
"""Levels of each domain that the models were trained on, as in `recipes/embedded/evolve.toml`."""


def base_path() -> Path:
    """Return the folder of the policy before any round, which solves plain problems only.

    `AutoModelForCausalLM.from_pretrained` reads it.
    """
    return _HERE / "base"


def policy_path() -> Path:
    """Return the folder of the last round's policy.

    `AutoModelForCausalLM.from_pretrained` reads it.
    """
    return _HERE / "policy"


def ppm_path() -> Path:
    """Return the folder of the last round's PPM.

    `PPM.from_pretrained` reads it, as does `AutoModelForSequenceClassification.from_pretrained`.
    """
    return _HERE / "ppm"


def origin() -> dict[str, Any]:
    """Return where the models come from: the run, its round, and what was measured.

    `recipes.embedded.adopt` wrote it, and says what the keys mean.
    """
    told: dict[str, Any] = json.loads((_HERE / "origin.json").read_bytes())
    return told


def held_out_problems(n: int, seed: int = 0, domain: str = "graded") -> list[Problem]:
    """Return generated problems that no model was trained on, of the levels that the models read.

    The levels take turns.

    Args:
        n: Number of problems, >= 0.
        seed: Seed of the problems. Another seed gives other problems.
        domain: Domain of the problems: "graded" (dated events), "told" (the same, with the last
            digit of the answer, which the models do not use), "countdown" or "equations".

    Raises:
        ConfigError: There is no such domain.
    """
    check_choice("domain", domain, tuple(DOMAINS))
    return DOMAINS[domain].first("held_out", n, seed, _LEVELS[domain])


__all__ = ["base_path", "held_out_problems", "origin", "policy_path", "ppm_path"]
