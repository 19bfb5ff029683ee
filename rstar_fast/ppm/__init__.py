"""Process preference models: what scores partial solutions. The parts that need torch are imported on first use."""

from typing import TYPE_CHECKING, Any

from rstar_fast.ppm.base import Scorer, ScoreRequest, Scores
from rstar_fast.ppm.scripted import ScriptedScorer
from rstar_fast.ppm.spec import MATH_SHEPHERD, QWEN_MATH_PRM, SKYWORK_PRM, ScoreSpec

if TYPE_CHECKING:
    from rstar_fast.ppm.model import PPM
    from rstar_fast.ppm.packed_scorer import PackedScorer

__all__ = [
    "MATH_SHEPHERD",
    "PPM",
    "QWEN_MATH_PRM",
    "SKYWORK_PRM",
    "PackedScorer",
    "ScoreRequest",
    "ScoreSpec",
    "Scorer",
    "Scores",
    "ScriptedScorer",
]

_MODULES = {"PPM": "model", "PackedScorer": "packed_scorer"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
