"""Deep search over a small language model's reasoning, fast: rStar-Math as a library.

Names that need a model or the tree core are loaded when they are first used. Importing this package
imports neither torch nor transformers.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rstar_fast.config import SearchConfig
from rstar_fast.errors import RStarError
from rstar_fast.failure import Failure
from rstar_fast.problems import Problem, load_problems
from rstar_fast.tree import Tree

if TYPE_CHECKING:
    from rstar_fast._core import Forest
    from rstar_fast.policy import FunctionPolicy, TransformersPolicy
    from rstar_fast.ppm import PPM, PackedScorer
    from rstar_fast.search import Search, Searcher
    from rstar_fast.store import RunFolder
    from rstar_fast.verify import Executor, MathVerifier

__all__ = ["PPM", "Executor", "Failure", "Forest", "FunctionPolicy", "MathVerifier", "PackedScorer"]
__all__ += ["Problem", "RStarError", "RunFolder", "Search", "SearchConfig", "Searcher"]
__all__ += ["TransformersPolicy", "Tree", "load_problems"]
_LAZY = {"policy": "FunctionPolicy TransformersPolicy", "ppm": "PPM PackedScorer"}
_LAZY |= {"search": "Search Searcher", "verify": "Executor MathVerifier"}
_LAZY |= {"_core": "Forest", "store": "RunFolder"}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("importlib.metadata").version("rstar_fast")
    for home, names in _LAZY.items():
        if name in names.split():
            return getattr(import_module(f"rstar_fast.{home}"), name)
    raise AttributeError(f"module 'rstar_fast' has no attribute {name!r}")
