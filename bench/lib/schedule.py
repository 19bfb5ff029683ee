"""How busy a scheduler keeps a simulated engine: `Searcher`, lock-step, or an endless queue."""

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from lib.breakdown import breakdown, totals
from lib.lockstep import LockStep
from lib.perfetto import profiled
from lib.resident import forget_peak, peak_bytes, resident_bytes
from lib.simulated import (
    InstantVerifier,
    Machine,
    SimulatedPolicy,
    SimulatedRunner,
    SimulatedScorer,
    endless_problems,
)

from rstar_fast.config import SearchConfig
from rstar_fast.policy.base import ExpandRequest, Sampling
from rstar_fast.search import Searcher


@dataclass(frozen=True)
class Window:
    """Time that is measured. Lock-step does whole rounds of at least these lengths.

    Attributes:
        warm_up_s: Seconds before measuring begins.
        seconds: Seconds that are measured.
    """

    warm_up_s: float
    seconds: float


def measure_engine(machine: Machine, config: SearchConfig, window: Window) -> dict[str, Any]:
    """Measure the policy alone, with a queue of a search's requests that never ends."""
    policy, ids = SimulatedPolicy(machine), itertools.count()

    def feed(seconds: float) -> None:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            while policy.pending * config.candidates < 4 * machine.places:
                number = next(ids)
                policy.add(
                    [
                        ExpandRequest(
                            number,
                            f"p{number}",
                            0,
                            "",
                            (),
                            config.candidates,
                            config.seed,
                            Sampling(),
                        )
                    ]
                )
            policy.step()

    feed(min(window.warm_up_s, 2.0))
    return _measured(policy, machine, lambda: feed(window.seconds))


def measure_ours(
    machine: Machine, config: SearchConfig, window: Window, profile: str | None = None
) -> dict[str, Any]:
    """Measure `Searcher` on an endless stream of problems.

    `profile` is the path of a trace to write, or None.
    """
    policy = SimulatedPolicy(machine)
    forget_peak()
    held = resident_bytes()
    with closing(SimulatedRunner(machine)) as runner:
        searcher = Searcher(
            policy, config, SimulatedScorer(machine), runner=runner, verifier=InstantVerifier()
        )
        with profiled(searcher, profile):
            consumer = threading.Thread(
                target=lambda: deque(searcher.search(endless_problems()), maxlen=0)
            )
            consumer.start()
            time.sleep(window.warm_up_s)
            before = totals(searcher)
            row = _measured(policy, machine, lambda: time.sleep(window.seconds))
            row["resources"] = breakdown(before, totals(searcher), row["wall_s"])
            row["peak_bytes_per_problem"] = (peak_bytes() - held) / config.max_active
            searcher.close()
            consumer.join()
    return row


def measure_lockstep(machine: Machine, config: SearchConfig, window: Window) -> dict[str, Any]:
    """Measure `LockStep` on an endless stream of problems."""
    policy = SimulatedPolicy(machine)
    with closing(SimulatedRunner(machine)) as runner:
        loop = LockStep(
            config, policy, SimulatedScorer(machine), runner, InstantVerifier(), endless_problems()
        )

        def rounds(seconds: float) -> None:
            end = time.perf_counter() + seconds
            while time.perf_counter() < end:
                loop.round()

        if (
            config.max_active * config.candidates * machine.step_tokens / machine.tokens_per_s
            < window.seconds
        ):
            rounds(window.warm_up_s)
        return _measured(policy, machine, lambda: rounds(window.seconds))


def _measured(
    policy: SimulatedPolicy, machine: Machine, work: Callable[[], None]
) -> dict[str, Any]:
    tokens, occupied, started, cpu = (
        policy.stats.generated_tokens,
        policy.occupied_s,
        time.perf_counter(),
        time.process_time(),
    )
    work()
    wall = time.perf_counter() - started
    rate = (policy.stats.generated_tokens - tokens) / wall
    return {
        "tokens_per_s": rate,
        "busy": rate / machine.tokens_per_s,
        "occupied": (policy.occupied_s - occupied) / wall,
        "cpu": (time.process_time() - cpu) / wall,
        "wall_s": wall,
    }
