"""The posterior over answers, and the searches that it ends."""

from typing import Any

import numpy as np
import pytest
from step_lengths import Lengths, trees

from rstar_fast.config import SearchConfig
from rstar_fast.errors import ConfigError
from rstar_fast.policy.base import Candidate, ExpandRequest, Expansion
from rstar_fast.ppm.base import Scores
from rstar_fast.search.votes import PRIOR, Ballot, sureness
from rstar_fast.tree import Node, Tree


@pytest.mark.parametrize(
    "votes",
    [[3.0], [3.0, 1.0], [2.5, 2.4, 0.3], [20.0, 15.0, 3.0, 1.0], [0.6, 0.5], [300.0, 280.0]],
)
def test_posteriors_are_those_of_draws(votes: list[float]) -> None:
    ballot = Ballot()
    ballot.votes = {str(i): vote for i, vote in enumerate(votes)}
    ballot.dead_ends = 2
    drawn = np.random.default_rng(0).dirichlet([*votes, PRIOR, ballot.dead_ends], 200_000)
    answers = drawn[:, :-1]
    assert ballot.sure() == pytest.approx((answers.argmax(axis=1) == 0).mean(), abs=0.005)
    gain = answers.max(axis=1).mean() - votes[0] / (sum(votes) + PRIOR + 2)
    assert ballot.gain() == pytest.approx(gain, abs=0.003)


def test_sureness_of_answers() -> None:
    # P(p_1 > p_new) under Beta(n, 1).
    for n in range(1, 20):
        assert sureness(["7"] * n) == pytest.approx(1 - 0.5**n, abs=1e-6)
    assert sureness(["1", "2"]) == pytest.approx(1 / 3, abs=1e-6)
    assert sureness([]) is None and sureness(["", ""]) is None
    assert sureness(["7"], [0.0]) == 0.0
    # The order of the votes, and the spelling of an answer, do not matter.
    assert sureness(["1", "2", "1"]) == sureness(["2", "1", "$1$"])
    assert sureness(["1", "2"], [1.0, 0.1]) > (sureness(["1", "2"]) or 1)  # type: ignore[operator]
    for weights in ([1.0], [0.5, 1.5], [0.5, float("nan")]):
        with pytest.raises(ConfigError, match="expected a weight in"):
            sureness(["1", "2"], weights)


def test_what_more_tokens_could_gain() -> None:
    def gain(votes: list[str], dead_ends: int = 0) -> float:
        ballot = Ballot()
        for answer in votes:
            ballot.cast(answer, 1.0)
        ballot.dead_ends = dead_ends
        return ballot.gain()

    assert gain([]) == 1.0
    assert gain([], 9) == pytest.approx(0.1)
    # Little is to gain where all agree, and where nothing comes of it.
    assert gain(["1"] * 8) < gain(["1"] * 4) < gain(["1", "2", "1", "2"])
    assert gain(["1", "2"], 20) < gain(["1", "2"])


def test_known_answers_and_cut_steps_are_no_votes() -> None:
    answer = {"parent": 0, "depth": 1, "end": "answer"}
    nodes = [
        Node(0, -1, 0),
        Node(1, answer="5", correct=True, **answer),  # type: ignore[arg-type]
        Node(2, answer="6", correct=False, score=0.0, **answer),  # type: ignore[arg-type]
        Node(3, 0, 1, end="budget"),
        Node(4, 0, 1, end="errors"),
        Node(5, answer="", **answer),  # type: ignore[arg-type]
    ]
    ballot = Ballot.of(nodes)
    assert list(ballot.votes.values()) == [1.0, 0.5] and ballot.dead_ends == 2
    flipped = [Node(1, answer="5", correct=False, **answer)]  # type: ignore[arg-type]
    assert Ballot.of(flipped).sure() == Ballot.of(nodes[1:2]).sure()


class Agrees(Lengths):
    """Answers the same in every path."""

    def expand(self, request: ExpandRequest) -> Expansion:
        texts = ["<code>\nx = 1<end_of_code>", "<answer>$\\boxed{3}$<end_of_answer>"]
        text = texts[bool(request.path)]
        steps = [
            Candidate(text.replace("1", str(i)), (1, 2, 3), ends_with_token=True)
            for i in range(request.num_candidates)
        ]
        return Expansion(request.id, tuple(steps))

    def score(self, request: Any) -> Scores:
        return Scores(request.id, np.ones(len(request.children)))


def answers(tree: Tree) -> int:
    return len(tree.finals())


@pytest.mark.parametrize("strategy", ["mcts", "best_of_n"])
def test_a_search_ends_when_it_is_sure(strategy: str) -> None:
    options: dict[str, Any] = {"strategy": strategy, "candidates": 12, "rollouts": 12}
    (whole,) = trees(Agrees(), 1, **options).values()
    assert answers(whole) == 12 and whole.sure == pytest.approx(1 - 0.5**12, abs=1e-6)
    for threshold, needed in ((0.5, 1), (0.9, 4), (0.99, 7), (1.0, 12)):
        (tree,) = trees(Agrees(), 1, **options, stop_when_sure=threshold).values()
        assert answers(tree) == needed
        assert tree.ended == ("sure" if needed < 12 else whole.ended)
        # No path is begun that is not needed.
        drawn = 12 + 12 * needed if strategy == "mcts" else 2 * needed
        assert tree.counts["generated_tokens"] == 3 * drawn


def test_scores_weigh_the_votes() -> None:
    class Doubts(Agrees):
        def score(self, request: Any) -> Scores:
            return Scores(request.id, np.zeros(len(request.children)))

    (tree,) = trees(Doubts(), 1, candidates=12, rollouts=12, stop_when_sure=0.9).values()
    # Seven votes of a half are 3.5.
    assert answers(tree) == 7 and tree.ended == "sure"


@pytest.mark.parametrize("strategy", ["best_of_n"])
def test_a_vote_that_is_settled_ends(strategy: str) -> None:
    options: dict[str, Any] = {"strategy": strategy, "candidates": 9}
    (tree,) = trees(Agrees(), 1, **options, stop_when_settled=True).values()
    # Five of nine cannot be overtaken, and a tie with four is no overtaking.
    assert answers(tree) == 5 and tree.ended == "settled"
    for seed in range(6):
        whole = trees(Lengths(), 4, **options, seed=seed, max_tokens=2**40)
        short = trees(Lengths(), 4, **options, seed=seed, stop_when_settled=True)
        for key, tree in short.items():
            voted, all_voted = tree.majority(), whole[key].majority()
            assert tree.nodes[-1].id <= whole[key].nodes[-1].id
            assert (voted and voted.answer) == (all_voted and all_voted.answer)


def test_a_hopeless_problem_is_given_up() -> None:
    class Hopeless(Lengths):
        def expand(self, request: ExpandRequest) -> Expansion:
            return Expansion(
                request.id,
                tuple(
                    Candidate(f"\nx = {i}<end_of_step>" if not request.path else " ", (1,) * 10)
                    for i in range(request.num_candidates)
                ),
            )

    options: dict[str, Any] = {"rollouts": 40, "candidates": 8}
    (whole,) = trees(Hopeless(), 1, **options).values()
    (tree,) = trees(Hopeless(), 1, **options, token_price=0.7).values()
    assert tree.ended == "price"
    assert tree.counts["generated_tokens"] < whole.counts["generated_tokens"]
    (tree,) = trees(Hopeless(), 1, **options, token_price=0.001).values()
    assert tree.ended == whole.ended and tree.nodes == whole.nodes


def test_only_single_votes_can_be_settled() -> None:
    for strategy in ("mcts", "beam", "greedy"):
        with pytest.raises(ConfigError, match=f"'{strategy}' can find any number of answers more"):
            SearchConfig(strategy=strategy, stop_when_settled=True)  # type: ignore[arg-type]
