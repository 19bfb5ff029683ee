"""Policies: what writes the candidates of a step. `TransformersPolicy` brings torch and transformers in when it is first used."""

from typing import TYPE_CHECKING, Any

from rstar_fast.policy.base import (
    Candidate,
    ExpandRequest,
    Expansion,
    Policy,
    PolicyStats,
    Sampling,
)
from rstar_fast.policy.function import FunctionPolicy
from rstar_fast.policy.scripted import ScriptedPolicy

if TYPE_CHECKING:
    from rstar_fast.policy.transformers import TransformersPolicy

__all__ = [
    "Candidate",
    "ExpandRequest",
    "Expansion",
    "FunctionPolicy",
    "Policy",
    "PolicyStats",
    "Sampling",
    "ScriptedPolicy",
    "TransformersPolicy",
]


def __getattr__(name: str) -> Any:
    if name == "TransformersPolicy":
        from rstar_fast.policy.transformers import TransformersPolicy

        return TransformersPolicy
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
