"""Process preference models: what scores partial solutions. The parts that need torch are imported on first use."""

from typing import TYPE_CHECKING, Any

from rstar_fast.ppm.base import Scorer, ScoreRequest, Scores
from rstar_fast.ppm.scripted import ScriptedScorer

if TYPE_CHECKING:
    from rstar_fast.ppm.model import PPM
    from rstar_fast.ppm.packed_scorer import PackedScorer
    from rstar_fast.ppm.scorer import TransformersScorer

__all__ = ["PPM", "PackedScorer", "ScoreRequest", "Scorer", "Scores", "ScriptedScorer", "TransformersScorer"]

_MODULES = {"PPM": "model", "PackedScorer": "packed_scorer", "TransformersScorer": "scorer"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
