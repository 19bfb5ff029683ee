"""Self-evolution: rounds of searching, making data, training and measuring, as stages that are finished once and for all."""

from rstar_fast.evolve.config import EvaluateConfig, EvolveConfig, RoundConfig, read_options
from rstar_fast.evolve.driver import Event, evolve

__all__ = ["EvaluateConfig", "Event", "EvolveConfig", "RoundConfig", "evolve", "read_options"]
