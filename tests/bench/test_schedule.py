"""Both sides of the scheduler's bench do the same work, and what a bench tells is so."""

import itertools
from contextlib import closing

import pytest
from lib.lockstep import LockStep

from rstar_fast.bench.bounds import bounds
from rstar_fast.bench.engines import open_bench
from rstar_fast.bench.machine import SIMULATE, Machine, Windows
from rstar_fast.bench.measure import measure
from rstar_fast.bench.request_times import RequestTimes
from rstar_fast.bench.simulated import (
    InstantVerifier,
    SimulatedPolicy,
    SimulatedRunner,
    SimulatedScorer,
    endless_problems,
)
from rstar_fast.bench.trace import trace_bytes
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


def test_lock_step_and_the_searcher_grow_the_same_trees() -> None:
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
        ours = {
            tree.problem.id: tree.nodes
            for tree in searcher.search(itertools.islice(endless_problems(), 16))
            if isinstance(tree, Tree)
        }
    assert together.items() <= ours.items()
    assert sum(len(nodes) for nodes in together.values()) > 6 * 8


def observed(config: SearchConfig) -> tuple[RequestTimes, list[Tree]]:
    """The times of twelve searches on the simulated machine, and their trees."""
    times = RequestTimes()
    with open_bench(SIMULATE, config, MACHINE) as searcher:
        searcher.observer = times
        trees = list(searcher.search(itertools.islice(endless_problems(), 12)))
    return times, [tree for tree in trees if isinstance(tree, Tree)]


@pytest.mark.parametrize("leaves", [1, 3])
def test_every_request_belongs_to_its_expansion(leaves: int) -> None:
    times, trees = observed(CONFIG.with_changes(leaves_per_tree=leaves))
    assert len(trees) == len(times.problems) == 12 and times.num_failures == 0
    counts = {"policy": "expansions", "execution": "run_requests", "scoring": "score_requests"}
    for resource, name in counts.items():
        found = sum(len(one.of(resource)) for one in times.expansions)
        assert found == sum(tree.counts.get(name, 0) for tree in trees), resource
    for expansion in times.expansions:
        first, *others = expansion.requests
        assert first.resource == "policy" and first.asked_s <= first.told_s
        assert all(first.told_s <= one.asked_s <= one.told_s for one in others)
        assert first.longest_tokens <= first.num_tokens <= 4 * first.longest_tokens
    tokens = sum(one.requests[0].num_tokens for one in times.expansions)
    assert tokens == sum(tree.counts["generated_tokens"] for tree in trees)


def test_a_measurement_stays_below_what_bounds_it() -> None:
    machine = Machine(latency_s=0.002, places=12, slow_share=0.0, program_s=0.005)
    with open_bench(SIMULATE, CONFIG, machine) as searcher:
        said: list[str] = []
        found = measure(searcher, endless_problems(), Windows(0.5, 0.7, 3), said.append)
    report = found.report
    most = bounds(machine, CONFIG.max_active, found.expansions)
    assert report["rates"]["tokens_per_s"]["max"] <= machine.tokens_per_s
    assert set(most) >= {"policy"}
    assert report["latency_s"]["expansion"]["n"] == len(found.expansions)
    for name, one in report["resources"].items():
        if name != "tree":
            assert one["idle"] == pytest.approx(sum(one["idle_for"].values()))
            assert name not in one["idle_for"] and 0 <= one["idle"] <= 1.001
    assert said and searcher.observer is None


def test_a_trace_is_perfettos_and_its_arrows_lead_from_candidates_to_scores() -> None:
    protos = pytest.importorskip("perfetto.protos.perfetto.trace.perfetto_trace_pb2")
    times, _ = observed(CONFIG)
    trace = protos.Trace()
    trace.ParseFromString(trace_bytes(times.expansions))
    events = [one.track_event for one in trace.packet if one.HasField("track_event")]
    began = [one for one in events if one.type == protos.TrackEvent.TYPE_SLICE_BEGIN]
    assert len(events) == 2 * len(began) == 2 * sum(len(one.requests) for one in times.expansions)
    named = {one.track_descriptor.uuid for one in trace.packet if one.HasField("track_descriptor")}
    assert {one.track_uuid for one in events} <= named
    leaving = {flow for one in began for flow in one.flow_ids if one.name.startswith("candidates")}
    passing = {flow for one in began for flow in one.flow_ids if one.name.startswith("program")}
    ending = {flow for one in began for flow in one.terminating_flow_ids}
    assert passing <= leaving == ending
