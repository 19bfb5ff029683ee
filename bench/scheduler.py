"""How many tokens per second does a lock-step loop write on the machine of `--engine simulate`?

    python bench/scheduler.py [--quick] [--active N ...] [--seconds S]

All problems step together, as in the released rStar-Math code: the baseline of the scheduler.
`rstar-fast bench --engine simulate` measures ours, on the same engines and with the same clock. The
last line is one JSON document.
"""

import argparse
import json
from contextlib import closing
from dataclasses import asdict

from lib.card import print_card
from lib.lockstep import LockStep

from rstar_fast.bench.machine import Machine
from rstar_fast.bench.simulated import (
    Clock,
    InstantVerifier,
    SimulatedPolicy,
    SimulatedRunner,
    SimulatedScorer,
    endless_problems,
)
from rstar_fast.config import SearchConfig


def main() -> None:
    """Measure every number of problems."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--active", type=int, nargs="+", default=[16, 256, 4096])
    parser.add_argument("--seconds", type=float, default=30.0, help="seconds, in whole rounds")
    parser.add_argument("--quick", action="store_true", help="end within a minute")
    args = parser.parse_args()
    if args.quick:
        args.active, args.seconds = [16, 256], 5.0
    machine = Machine()
    print_card(machine=asdict(machine))
    rows = []
    for active in args.active:
        rate = lock_step(machine, active, args.seconds)
        rows.append(
            {"active": active, "tokens_per_s": rate, "of_engine": rate / machine.tokens_per_s}
        )
        print(f"{active:6,} problems{rate:10,.0f} tokens/s", flush=True)
    print(json.dumps({"machine": asdict(machine), "rows": rows}))


def lock_step(machine: Machine, active: int, seconds: float) -> float:
    """Return the tokens per second of a lock-step loop, after one round of warm-up."""
    config = SearchConfig(rollouts=8, max_depth=8, candidates=8, max_active=active)
    clock = Clock()
    policy = SimulatedPolicy(machine, clock)
    with closing(SimulatedRunner(machine, clock)) as runner:
        scorer, verifier = SimulatedScorer(machine, clock), InstantVerifier()
        loop = LockStep(config, policy, scorer, runner, verifier, endless_problems())
        loop.round()
        tokens, began = policy.stats.generated_tokens, clock.now()
        while clock.now() < began + seconds:
            loop.round()
        return (policy.stats.generated_tokens - tokens) / (clock.now() - began)


if __name__ == "__main__":
    main()
