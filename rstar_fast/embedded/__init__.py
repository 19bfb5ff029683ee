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
    """Return generated problems of all levels in turn that no model was trained on.

    Args:
        n: Number of problems, >= 0.
        seed: Seed of the problems. Another seed gives other problems.
        domain: Domain of the problems: "graded" (dated events), "told" (the same, with the last
            digit of the answer), "countdown" or "equations". The models in the package read all
            but "told", at the levels that `recipes/embedded/evolve.toml` names.

    Raises:
        ConfigError: There is no such domain.
    """
    check_choice("domain", domain, tuple(DOMAINS))
    per_level = -(-n // len(DOMAINS[domain].levels["held_out"]))
    return DOMAINS[domain].problems("held_out", per_level, seed)[:n]


__all__ = ["base_path", "held_out_problems", "origin", "policy_path", "ppm_path"]
