"""Self-evolution: rounds of searching, making data, training and measuring, as stages that are finished once and for all."""

from rstar_fast.evolve.config import EvaluateConfig, EvolveConfig, RoundConfig, read_options
from rstar_fast.evolve.driver import StageEvent, evolve

__all__ = ["EvaluateConfig", "StageEvent", "EvolveConfig", "RoundConfig", "evolve", "read_options"]
