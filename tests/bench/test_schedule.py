"""Both sides of the scheduler's bench do the same work, and its trace can be read."""

import itertools
import json
from contextlib import closing
from pathlib import Path

from lib.lockstep import LockStep
from lib.perfetto import profiled
from lib.simulated import (
    InstantVerifier,
    Machine,
    SimulatedPolicy,
    SimulatedRunner,
    SimulatedScorer,
    endless_problems,
)

from rstar_fast.config import SearchConfig
from rstar_fast.search import Searcher
from rstar_fast.tree import Tree

CONFIG = SearchConfig(candidates=4, rollouts=3, max_depth=6, max_active=3)
MACHINE = Machine(
    tokens_per_s=1e6,
    places=8,
    latency_s=0.0,
    scores_per_s=1e6,
    score_latency_s=0.0,
    workers=2,
    program_s=1e-4,
    slow_share=0.1,
    slow_s=0.01,
)


def test_lock_step_and_the_searcher_grow_the_same_trees(tmp_path: Path) -> None:
    with closing(SimulatedRunner(MACHINE)) as runner:
        policy, scorer = SimulatedPolicy(MACHINE), SimulatedScorer(MACHINE)
        verifier = InstantVerifier()
        loop = LockStep(CONFIG, policy, scorer, runner, verifier, endless_problems())
        together = {}
        while len(together) < 6:
            for tree in loop.round():
                assert isinstance(tree, Tree)
                together[tree.problem.id] = tree.nodes
        policy = SimulatedPolicy(MACHINE)
        searcher = Searcher(policy, CONFIG, scorer, runner=runner, verifier=verifier)
        trace = tmp_path / "trace.json"
        with profiled(searcher, str(trace)):
            ours = {
                tree.problem.id: tree.nodes
                for tree in searcher.search(itertools.islice(endless_problems(), 16))
                if isinstance(tree, Tree)
            }
    assert together.items() <= ours.items()
    assert sum(len(nodes) for nodes in together.values()) > 6 * 8

    events = json.loads(trace.read_text(encoding="utf-8"))["traceEvents"]
    spans = [event for event in events if event["ph"] == "X"]
    assert {event["name"] for event in spans} == {"policy", "scoring", "tree"}
    assert all(event["dur"] >= 0 for event in spans)
    began, ended = ({event["id"] for event in events if event["ph"] == phase} for phase in "be")
    assert began == ended
    assert len(began) == searcher.stats.record()["resources"]["execution"]["requests"]
