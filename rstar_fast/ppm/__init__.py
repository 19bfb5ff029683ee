"""Process preference models (PPM), which score partial solutions.

`PPM`, `PackedScorer`, `JudgedScorer` and `VLLMScorer` load torch and transformers when they are
first used, `ServerScorer` transformers and an HTTP client. Nothing else needs them.
"""

from typing import TYPE_CHECKING, Any

from rstar_fast.models.lazy import import_local
from rstar_fast.ppm.base import AsyncScorer, Scorer, ScoreRequest, Scores
from rstar_fast.ppm.scripted import ScriptedScorer
from rstar_fast.ppm.spec import MATH_SHEPHERD, QWEN_MATH_PRM, SKYWORK_PRM, ScoreSpec

if TYPE_CHECKING:
    from rstar_fast.ppm.judged import JudgedScorer
    from rstar_fast.ppm.model import PPM
    from rstar_fast.ppm.packed_scorer import PackedScorer
    from rstar_fast.ppm.server import ServerScorer
    from rstar_fast.ppm.vllm import VLLMScorer

__all__ = [
    "MATH_SHEPHERD",
    "PPM",
    "QWEN_MATH_PRM",
    "SKYWORK_PRM",
    "AsyncScorer",
    "JudgedScorer",
    "PackedScorer",
    "ScoreRequest",
    "ScoreSpec",
    "Scorer",
    "Scores",
    "ScriptedScorer",
    "ServerScorer",
    "VLLMScorer",
]

_MODULES = {
    "JudgedScorer": "judged",
    "PPM": "model",
    "PackedScorer": "packed_scorer",
    "ServerScorer": "server",
    "VLLMScorer": "vllm",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_local(name, f"{__name__}.{_MODULES[name]}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
