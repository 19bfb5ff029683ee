"""The bench of the scheduler: both sides do the same work, and the trace can be read."""

import importlib
import itertools
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from rstar_fast.config import SearchConfig
from rstar_fast.search import Searcher

CONFIG = SearchConfig(candidates=4, rollouts=3, max_depth=6, max_active=3)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "bench"))
    return importlib.import_module


def test_lock_step_and_the_searcher_grow_the_same_trees(bench: Any, tmp_path: Path) -> None:
    simulated, lockstep, perfetto = map(bench, ("simulated", "lockstep", "perfetto"))
    quick = {
        "latency_s": 0.0,
        "tokens_per_s": 1e6,
        "score_latency_s": 0.0,
        "scores_per_s": 1e6,
        "program_s": 1e-4,
        "slow_s": 0.01,
    }
    machine = simulated.Machine(places=8, workers=2, slow_share=0.1, **quick)

    def engines(runner: Any) -> tuple[Any, ...]:
        return (
            simulated.SimulatedPolicy(machine),
            CONFIG,
            simulated.SimulatedScorer(machine),
            runner,
            simulated.InstantVerifier(),
        )

    with closing(simulated.SimulatedRunner(machine)) as runner:
        policy, config, scorer, *workers = engines(runner)
        loop = lockstep.LockStep(config, policy, scorer, *workers, simulated.endless_problems())
        together = {}
        while len(together) < 6:
            together |= {tree.problem.id: tree.nodes for tree in loop.round()}
        policy, config, scorer, runner, verifier = engines(runner)
        searcher = Searcher(policy, config, scorer, runner=runner, verifier=verifier)
        trace = tmp_path / "trace.json"
        with perfetto.profiled(searcher, str(trace)):
            problems = itertools.islice(simulated.endless_problems(), 16)
            ours = {tree.problem.id: tree.nodes for tree in searcher.search(problems)}
    assert together.items() <= ours.items()
    assert sum(len(nodes) for nodes in together.values()) > 6 * 8

    events = json.loads(trace.read_text(encoding="utf-8"))["traceEvents"]
    spans = [event for event in events if event["ph"] == "X"]
    assert {event["name"] for event in spans} == {"policy", "scoring", "tree"} and all(
        event["dur"] >= 0 for event in spans
    )
    began, ended = ({event["id"] for event in events if event["ph"] == phase} for phase in "be")
    assert (
        began == ended
        and len(began) == searcher.stats.record()["resources"]["execution"]["requests"]
    )
