"""Self-evolution: rounds of searching, making data, training and measuring.

Each of these is a stage that is finished once.
"""

from rstar_fast.evolve.config import EvolveConfig
from rstar_fast.evolve.driver import evolve
from rstar_fast.evolve.evaluate_config import EvaluateConfig
from rstar_fast.evolve.options import read_options
from rstar_fast.evolve.round_config import RoundConfig
from rstar_fast.evolve.schedule import StageEvent

__all__ = [
    "EvaluateConfig",
    "EvolveConfig",
    "RoundConfig",
    "StageEvent",
    "evolve",
    "read_options",
]
