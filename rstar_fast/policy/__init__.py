"""Policies, which write the candidates of a step.

`TransformersPolicy` and `VLLMPolicy` load torch and transformers when they are first used, and
`ServerPolicy` an HTTP client. Nothing else needs them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rstar_fast.models.lazy import import_local
from rstar_fast.policy.base import (
    AsyncPolicy,
    Candidate,
    ExpandRequest,
    Expansion,
    Policy,
    PolicyStats,
    Sampling,
)
from rstar_fast.policy.function import FunctionPolicy
from rstar_fast.policy.scripted import ScriptedPolicy
from rstar_fast.prompts import PromptStyle, make_prompt, step_lead
from rstar_fast.seeding import draw_key

if TYPE_CHECKING:
    from rstar_fast.policy.server import ServerPolicy
    from rstar_fast.policy.transformers import TransformersPolicy
    from rstar_fast.policy.vllm import VLLMPolicy

__all__ = [
    "AsyncPolicy",
    "Candidate",
    "ExpandRequest",
    "Expansion",
    "FunctionPolicy",
    "Policy",
    "PolicyStats",
    "PromptStyle",
    "Sampling",
    "ScriptedPolicy",
    "ServerPolicy",
    "TransformersPolicy",
    "VLLMPolicy",
    "draw_key",
    "make_prompt",
    "step_lead",
]

_MODULES = {"TransformersPolicy": "transformers", "VLLMPolicy": "vllm"}


def __getattr__(name: str) -> Any:
    if name == "ServerPolicy":
        return import_module(f"{__name__}.server").ServerPolicy
    if name in _MODULES:
        return import_local(name, f"{__name__}.{_MODULES[name]}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
