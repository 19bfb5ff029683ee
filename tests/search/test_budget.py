"""Searches under a budget of tokens: exact, deterministic, and ended cleanly."""

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_engines import Policy, problems, searcher
from step_lengths import Lengths, plain, searched, trees, written

from rstar_fast.config import SearchConfig
from rstar_fast.failure import Failure
from rstar_fast.policy.base import Candidate, ExpandRequest, Expansion
from rstar_fast.search import Search
from rstar_fast.search.run import search_to_folder
from rstar_fast.store import RunFolder

STRATEGIES: dict[str, dict[str, Any]] = {
    "mcts": {"rollouts": 40},
    "leaves": {"rollouts": 40, "leaves_per_tree": 4},
    "widening": {"rollouts": 40, "widening": 2.0, "candidates": 16},
    "widening leaves": {"rollouts": 40, "widening": 2.0, "leaves_per_tree": 3},
    "beam": {"strategy": "beam", "beam_width": 3},
    "greedy": {"strategy": "greedy"},
    "best_of_n": {"strategy": "best_of_n", "candidates": 8},
    "particles": {"strategy": "particles", "candidates": 8},
}


@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from(sorted(STRATEGIES)),
    st.integers(1, 1500),
    st.integers(1, 30),
    st.integers(1, 40),
    st.integers(0, 100),
)
def test_no_token_above_the_budget(
    kind: str, max_tokens: int, mean: int, most: int, seed: int
) -> None:
    engine = Lengths(mean)
    options = {**STRATEGIES[kind], "max_tokens": max_tokens, "max_step_tokens": most, "seed": seed}
    found = trees(engine, 2, **options)
    assert engine.generated == sum(tree.counts["generated_tokens"] for tree in found.values())
    for tree in found.values():
        assert 0 < tree.counts["generated_tokens"] <= max_tokens
        parents = {node.parent for node in tree.nodes}
        for node in tree.nodes[1:]:
            if node.end == "budget":
                # Nothing is known of what it would have been.
                assert (node.finish, node.visits, node.score) == ("length", 0, None)
                assert node.observation is None and node.id not in parents
        assert tree.ended in ("budget", "rollouts", "paths", "exhausted")


@pytest.mark.parametrize("kind", STRATEGIES)
def test_a_budget_is_used_and_its_end_is_told(kind: str) -> None:
    free = trees(Lengths(), **STRATEGIES[kind])
    for tree in free.values():
        assert tree.ended == ("paths" if "strategy" in STRATEGIES[kind] else "rollouts")
    tight = trees(Lengths(), 8, **STRATEGIES[kind], max_tokens=150)
    if kind in ("mcts", "leaves", "best_of_n"):
        ended = [tree for tree in tight.values() if tree.ended == "budget"]
        assert len(ended) > 4
        assert all(tree.counts["generated_tokens"] > 130 for tree in ended)
    if kind != "greedy":
        # Draws get fewer as tokens do, so that paths come to their ends.
        assert any(tree.finals() for tree in tight.values())
    # A budget that is never short changes nothing.
    ample = trees(Lengths(), **STRATEGIES[kind], max_tokens=2**40)
    if kind != "best_of_n":
        assert {key: tree.nodes for key, tree in ample.items()} == {
            key: tree.nodes for key, tree in free.items()
        }


@pytest.mark.parametrize("kind", STRATEGIES)
@pytest.mark.parametrize("max_tokens", [90, 400])
def test_same_trees_in_any_order(kind: str, max_tokens: int) -> None:
    options = {**STRATEGIES[kind], "max_tokens": max_tokens, "stop_when_sure": 0.95}
    first = {key: plain(tree) for key, tree in trees(Lengths(), 4, **options).items()}
    for seed, max_active in ((1, 4), (2, 1), (3, 2)):
        order = random.Random(seed)
        again = trees(
            Lengths(),
            4,
            lambda requests, order=order: requests.pop(order.randrange(len(requests))),
            max_active=max_active,
            **options,
        )
        assert {key: plain(tree) for key, tree in again.items()} == first


class Stopped(Policy):
    """Writes steps of any length, and stops the search at a number of requests, as Ctrl-C would."""

    def __init__(self, stop_after: float = float("inf")) -> None:
        super().__init__(batch=2)
        self.asked = 0
        self._stop_after = stop_after

    def step(self) -> list[Expansion]:
        self.asked += len(self._queue[: self._batch])
        if self.asked >= self._stop_after:
            raise SystemExit("stopped")
        return super().step()

    def _write(self, request: ExpandRequest, sample: int) -> Candidate:
        return written(request, sample, 10)


@pytest.mark.parametrize("kind", STRATEGIES)
def test_a_search_that_was_stopped_goes_on_within_its_budget(kind: str, tmp_path: Path) -> None:
    options = {**STRATEGIES[kind], "max_tokens": 500, "max_step_tokens": 40, "max_depth": 7}
    options |= {"stop_when_sure": 0.97}

    def run(folder: Path, policy: Policy) -> dict[str, Any]:
        with RunFolder.open(folder, {}) as opened, searcher(policy, **options) as one:
            list(search_to_folder(one, problems(3), opened))
        return {tree.problem.id: plain(tree) for tree in RunFolder.read(folder).trees()}

    whole = Stopped()
    wanted = run(tmp_path / "whole", whole)
    for _ in range(2):
        with pytest.raises(SystemExit):
            run(tmp_path / "run", Stopped(max(3, whole.asked // 3)))
    assert run(tmp_path / "run", Stopped()) == wanted


@pytest.mark.parametrize("rule", [{"max_tokens": 100}, {"token_price": 0.1}])
def test_tokens_that_are_not_told_cannot_be_counted(rule: dict[str, Any]) -> None:
    class Silent(Lengths):
        def expand(self, request: ExpandRequest) -> Expansion:
            return Expansion(request.id, (Candidate("\nx = 1<end_of_step>"),))

    (failure,) = searched(Silent(), 1, **rule)
    assert isinstance(failure, Failure)
    assert "gave no token ids for candidate 0 at node 0; max_tokens and token_price need them" in (
        failure.reason
    )


def test_an_engine_that_writes_more_than_it_may_is_named() -> None:
    class Endless(Lengths):
        def expand(self, request: ExpandRequest) -> Expansion:
            return Expansion(request.id, (Candidate("\nx = 1<end_of_step>", tuple(range(50))),))

    (failure,) = searched(Endless(), 1, max_tokens=100)
    assert isinstance(failure, Failure)
    assert "gave 50 token ids for candidate 0 at node 0; expected at most" in failure.reason


def test_an_answer_that_was_cut_behind_its_box_counts() -> None:
    class Cut(Lengths):
        def __init__(self, text: str) -> None:
            self.text = text

        def expand(self, request: ExpandRequest) -> Expansion:
            ids = tuple(range(request.sampling.max_tokens))
            return Expansion(request.id, (Candidate(self.text, ids, (), "length"),))

    options = {"strategy": "greedy", "max_tokens": 9, "candidates": 1}
    for text, end, answer in (
        ("<answer>It is $\\boxed{3}$", "answer", "3"),
        ("<answer>It is $\\boxed{3", "budget", ""),
    ):
        (tree,) = trees(Cut(text), 1, **options).values()
        assert (tree.nodes[1].end, tree.nodes[1].answer) == (end, answer)
        assert tree.ended == ("budget" if end == "budget" else "paths")


def test_many_rollouts_under_a_budget_need_no_room_for_more_nodes_than_tokens() -> None:
    config = SearchConfig(rollouts=1_000_000, max_tokens=1000)
    assert config.nodes_per_tree == 1001
    Search(config)
