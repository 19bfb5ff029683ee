"""Policies, which write the candidates of a step.

`TransformersPolicy` and `VLLMPolicy` load torch and transformers when they are first used, and
`ServerPolicy` an HTTP client. Nothing else needs them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rstar_fast.models.lazy import import_local
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
    from rstar_fast.policy.server import ServerPolicy
    from rstar_fast.policy.transformers import TransformersPolicy
    from rstar_fast.policy.vllm import VLLMPolicy

__all__ = [
    "Candidate",
    "ExpandRequest",
    "Expansion",
    "FunctionPolicy",
    "Policy",
    "PolicyStats",
    "Sampling",
    "ScriptedPolicy",
    "ServerPolicy",
    "TransformersPolicy",
    "VLLMPolicy",
]

_MODULES = {"TransformersPolicy": "transformers", "VLLMPolicy": "vllm"}


def __getattr__(name: str) -> Any:
    if name == "ServerPolicy":
        return import_module(f"{__name__}.server").ServerPolicy
    if name in _MODULES:
        return import_local(name, f"{__name__}.{_MODULES[name]}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
