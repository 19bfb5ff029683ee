"""Making a `Searcher` over the engine that a bench names."""

import importlib
import re
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from rstar_fast.bench.machine import SIMULATE, Machine
from rstar_fast.bench.simulated import (
    Clock,
    InstantVerifier,
    SimulatedPolicy,
    SimulatedRunner,
    SimulatedScorer,
)
from rstar_fast.config import SearchConfig
from rstar_fast.errors import ConfigError, described
from rstar_fast.policy.function import FunctionPolicy
from rstar_fast.search import Searcher
from rstar_fast.search.engines import open_searcher
from rstar_fast.search.searcher import step_runner

_FACTORY = re.compile(r"[^\W\d][\w.]*:[^\W\d]\w*")


@contextmanager
def open_bench(
    engine: str, config: SearchConfig, machine: Machine, **options: Any
) -> Iterator[Searcher]:
    """Yield a searcher over an engine. What it started ends with the context.

    Args:
        engine: "simulate", "module:factory", or what `open_searcher` takes for a policy. The
            factory is called without arguments. It returns a policy, or the function of a
            `FunctionPolicy`.
        config: Configuration of the search.
        machine: Machine to simulate.
        options: Other arguments of `open_searcher`. A factory takes none of them but `workers`.

    Raises:
        ConfigError: The factory cannot be imported or called, or returns something else; or an
            option is given that it does not take.
    """
    if engine == SIMULATE:
        clock = Clock()
        scorer = SimulatedScorer(machine, clock) if config.use_scores else None
        policy, verifier = SimulatedPolicy(machine, clock), InstantVerifier()
        with (
            closing(SimulatedRunner(machine, clock)) as simulated,
            Searcher(policy, config, scorer, runner=simulated, verifier=verifier) as searcher,
        ):
            yield searcher
    elif is_factory(engine):
        refused = [name for name, value in options.items() if value and name != "workers"]
        if refused:
            raise ConfigError(f"{', '.join(refused)}: the engine of a factory does not take it")
        with (
            step_runner(config, options.get("workers")) as runner,
            Searcher(made_by(engine), config, runner=runner) as searcher,
        ):
            yield searcher
    else:
        with open_searcher(config, engine, **options) as searcher:
            yield searcher


def is_factory(engine: str) -> bool:
    """Return whether a name is one of a factory, as in "module:factory"."""
    return bool(_FACTORY.fullmatch(engine)) and not engine.startswith("vllm:")


def made_by(factory: str) -> Any:
    """Return the policy that a factory makes. The current folder is on the path."""
    module, _, name = factory.partition(":")
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        policy = getattr(importlib.import_module(module), name)()
    except Exception as error:
        raise ConfigError(f"--engine {factory}: {described(error)}") from error
    if hasattr(policy, "submit") or hasattr(policy, "step"):
        return policy
    if not callable(policy):
        raise ConfigError(
            f"--engine {factory}: expected a policy or a function, got {type(policy).__name__}"
        )
    return FunctionPolicy(policy)
