"""Deep search over a small language model's reasoning, fast: rStar-Math as a library.

What needs a model or the tree core is loaded when first used: importing this package imports neither torch nor transformers.
"""

from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

from rstar_fast.config import SearchConfig as SearchConfig
from rstar_fast.errors import RStarError as RStarError
from rstar_fast.failure import Failure as Failure
from rstar_fast.problems import Problem as Problem
from rstar_fast.problems import load_problems as load_problems
from rstar_fast.tree import Tree as Tree

if TYPE_CHECKING:
    from rstar_fast.policy import FunctionPolicy as FunctionPolicy
    from rstar_fast.policy import TransformersPolicy as TransformersPolicy
    from rstar_fast.ppm import PPM as PPM
    from rstar_fast.ppm import PackedScorer as PackedScorer
    from rstar_fast.search import Search as Search
    from rstar_fast.search import Searcher as Searcher
    from rstar_fast.store import RunFolder as RunFolder
    from rstar_fast.verify import Executor as Executor
    from rstar_fast.verify import MathVerifier as MathVerifier

_LAZY = {
    "policy": "FunctionPolicy TransformersPolicy",
    "ppm": "PPM PackedScorer",
    "search": "Search Searcher",
}
_LAZY |= {"store": "RunFolder", "verify": "Executor MathVerifier"}

__all__ = sorted(
    [
        "Failure",
        "Problem",
        "RStarError",
        "SearchConfig",
        "Tree",
        "load_problems",
        *" ".join(_LAZY.values()).split(),
    ]
)
__version__ = metadata.version("rstar_fast")


def __getattr__(name: str) -> Any:
    for home, names in _LAZY.items():
        if name in names.split():
            return getattr(import_module(f"rstar_fast.{home}"), name)
    raise AttributeError(f"module 'rstar_fast' has no attribute {name!r}")
