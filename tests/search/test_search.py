"""The ask/tell search and its strategies, driven by a small made-up engine."""

import gc
import random
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from ask_tell import Engine, drive, problems, searched

from rstar_fast.config import SearchConfig
from rstar_fast.errors import ConfigError, ProblemError, SearchError
from rstar_fast.failure import Failure
from rstar_fast.policy.base import Candidate, ExpandRequest, Expansion
from rstar_fast.ppm.base import Scores
from rstar_fast.problems import Problem
from rstar_fast.search import Search
from rstar_fast.tree import Tree
from rstar_fast.verify.base import Grade, Observation, Status


@pytest.mark.parametrize("strategy", ["mcts", "beam", "greedy", "best_of_n"])
def test_same_seed_same_trees_in_any_order(strategy: str) -> None:
    first = searched(strategy=strategy, candidates=4)
    assert searched(strategy=strategy, order=random.Random(1), max_active=3) == first
    assert searched(strategy=strategy, order=random.Random(2), max_active=1) == first
    if strategy != "greedy":
        assert searched(strategy=strategy, seed=1) != first


def test_nodes_are_consistent() -> None:
    for nodes in searched(8, rollouts=12).values():
        for node in nodes[1:]:
            parent = nodes[node.parent]
            assert parent.id < node.id and node.depth == parent.depth + 1 and not parent.end
            siblings = [other for other in nodes if other.parent == node.parent]
            assert [other.id for other in siblings] == list(
                range(siblings[0].id, siblings[0].id + len(siblings))
            )
            assert len({other.step for other in siblings}) == len(siblings)
            assert sum("end_of_answer" in other.step for other in siblings) <= 1
            if node.end == "answer":
                assert (
                    node.correct == (node.answer == "3")
                    and node.observation is None
                    and node.score is not None
                )
            if node.end in ("errors", "depth"):
                assert (node.q, node.visits) == (-1.0, 1)
        assert any(node.end == "errors" for node in nodes) or any(
            node.end == "answer" for node in nodes
        )


def test_ground_truth_decides_values_when_asked() -> None:
    for nodes in searched(6, annotate_terminals_with_ground_truth=True, use_scores=False).values():
        for node in nodes:
            if node.end == "answer":
                assert node.q == (1.0 if node.correct else -1.0) and node.score is None


def test_greedy_is_one_path_and_best_of_n_is_n() -> None:
    for nodes in searched(strategy="greedy", candidates=1, use_scores=False).values():
        assert [node.parent for node in nodes] == list(range(-1, len(nodes) - 1))
    for nodes in searched(strategy="best_of_n", candidates=5, use_scores=False).values():
        parents = [node.parent for node in nodes[1:]]
        assert parents.count(0) == 5
        assert all(parents.count(node.id) <= 1 for node in nodes[1:])
        leaves = [node for node in nodes if node.id not in parents]
        assert len(leaves) == 5 and all(leaf.end for leaf in leaves)


def test_beam_keeps_the_best_scored() -> None:
    for nodes in searched(strategy="beam", candidates=4, beam_width=2, max_depth=4).values():
        for depth in range(1, 4):
            expanded = {nodes[node.parent].id for node in nodes if node.depth == depth + 1}
            alive = [node for node in nodes if node.depth == depth and not node.end]
            best = sorted(alive, key=lambda node: (-(node.score or 0.0), node.id))[:2]
            assert expanded == {node.id for node in best}


def test_tell_takes_each_answer_once_and_refuses_what_was_never_asked() -> None:
    search = Search(SearchConfig(candidates=2, rollouts=2, max_depth=3))
    search.add(problems(1))
    (request,) = search.ask().expand
    assert len(search.ask()) == 0
    with pytest.raises(SearchError, match="no request 99 was ever made"):
        search.tell(99, Engine().expand(request))
    with pytest.raises(SearchError, match="wants Expansion, got Grade"):
        search.tell(request.id, Grade(True))
    answer = Engine().expand(request)
    search.tell(request.id, answer)
    pending = search.num_pending
    search.tell(request.id, answer)
    assert search.num_pending == pending
    while not search.done:
        work = search.ask()
        for kind in ("expand", "run", "grade", "score"):
            for one in getattr(work, kind):
                search.tell(one.id, getattr(Engine(), kind)(one))
    search.tell(request.id, answer)
    assert len(search.finished()) == 1 and search.finished() == []


def test_max_active_bounds_what_is_searched_at_once() -> None:
    search = Search(SearchConfig(candidates=2, rollouts=2, max_depth=3, max_active=2))
    search.add(problems(7))
    assert len(search.ask().expand) == 2 and search.num_active == 2
    with pytest.raises(ProblemError, match="'p3' was added before"):
        search.add([Problem("p3", "again")])


class Faulty(Engine):
    """Goes wrong on some problems, in one way each."""

    def expand(self, request: ExpandRequest) -> Expansion:
        if request.problem_id == "p0":
            return Expansion(request.id, error="prompt of 9 tokens, context of 8")
        if request.problem_id == "p1":
            return Expansion(request.id)
        if request.problem_id == "p2":
            return Expansion(request.id, (Candidate("a"),) * (request.num_candidates + 1))
        if request.problem_id == "p6":
            return Expansion(request.id, (Candidate("a", (2**31,)),))
        if request.problem_id == "p7":
            return Expansion(request.id, (Candidate("a", (1,), (None,)),))  # type: ignore[arg-type]
        return super().expand(request)

    def score(self, request: Any) -> Scores:
        if request.problem_id == "p3":
            return Scores(request.id, np.full(len(request.children), np.nan))
        if request.problem_id == "p4":
            return Scores(request.id, np.zeros(len(request.children) + 1))
        if request.problem_id == "p5":
            return Scores(request.id, np.zeros(0), error="out of vocabulary")
        return super().score(request)


@pytest.mark.parametrize("strategy", ["mcts", "beam", "best_of_n"])
def test_a_bad_problem_fails_alone_with_its_reason(strategy: str) -> None:
    config = SearchConfig(strategy=strategy, candidates=3, rollouts=4, max_depth=4, max_active=3)  # type: ignore[arg-type]
    search = Search(config)
    search.add(problems(11))
    order = random.Random(0)
    ended = drive(search, Faulty(), lambda requests: requests.pop(order.randrange(len(requests))))
    reasons = {one.problem.id: one.reason for one in ended if isinstance(one, Failure)}
    assert sorted(reasons) == ["p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7"]
    for problem, part in {
        "p0": "context of 8",
        "p1": "gave 0 candidates",
        "p2": "gave 4 candidates",
        "p3": "gave nan for child 0 of",
        "p4": "expected one number for each",
        "p5": "out of vocabulary",
        "p6": "a token id of 32 bits, got 2147483648",
        "p7": "must be real number, not NoneType",
    }.items():
        assert part in reasons[problem]
    assert sorted(one.problem.id for one in ended if isinstance(one, Tree)) == ["p10", "p8", "p9"]


def test_a_problem_without_answer_cannot_be_annotated() -> None:
    search = Search(SearchConfig(annotate_terminals_with_ground_truth=True))
    search.add([Problem("open", "What is love?")])
    assert len(search.ask()) == 0 and search.done
    (failure,) = search.finished()
    assert isinstance(failure, Failure) and "has no answer" in failure.reason


def test_tokens_of_the_policy_are_kept_and_handed_to_its_next_requests() -> None:
    class Spells(Engine):
        def expand(self, request: ExpandRequest) -> Expansion:
            for segment in request.path:
                assert segment.token_ids == tuple(map(ord, segment.text))
            steps = [
                f"\nx{len(request.path)} = {i}<end_of_step>" for i in range(request.num_candidates)
            ]
            candidates = [
                Candidate(step, tuple(map(ord, step)), tuple(-0.25 * i for i in range(len(step))))
                for step in steps
            ]
            return Expansion(request.id, tuple(candidates))

        def score(self, request: Any) -> Scores:
            path = [segment.text.partition("\n<output>")[0] for segment in request.path]
            steps = [(*path, child.partition("\n<output>")[0]) for child in request.children]
            assert request.logprobs == tuple(
                -0.125 * sum(len(one) * (len(one) - 1) for one in chain) for chain in steps
            )
            return super().score(request)

    search = Search(SearchConfig(candidates=3, rollouts=3, max_depth=3))
    search.add(problems(1))
    (tree,) = drive(search, Spells())
    assert isinstance(tree, Tree) and max(node.depth for node in tree.nodes) >= 3
    for node in tree.nodes[1:]:
        assert not gc.is_tracked(node)
        assert node.token_ids == tuple(map(ord, node.step))
        assert node.logprobs == tuple(-0.25 * i for i in range(len(node.step)))


def test_steps_without_text_end_their_branch() -> None:
    class Silent(Engine):
        def expand(self, request: ExpandRequest) -> Expansion:
            return Expansion(
                request.id, (Candidate("", finish="eos"), Candidate("\n\n", finish="eos"))
            )

    search = Search(SearchConfig(candidates=2, rollouts=3))
    search.add(problems(1))
    (tree,) = drive(search, Silent())
    assert isinstance(tree, Tree)
    assert [node.end for node in tree.nodes] == ["", "stuck", "stuck"] and tree.nodes[0].exhausted


def test_released_error_rule_is_an_option() -> None:
    class Says(Engine):
        def run(self, request: Any) -> Observation:
            return Observation(Status.OK, "Error-free")

    for by_text in (False, True):
        search = Search(
            SearchConfig(candidates=2, rollouts=1, error_limit=1, error_by_text=by_text)
        )
        search.add(problems(1))
        (tree,) = drive(search, Says())
        assert isinstance(tree, Tree) and (tree.nodes[1].end == "errors") == by_text


def test_observations_are_wrapped_as_the_rules_say() -> None:
    class Closing(Engine):
        def expand(self, request: ExpandRequest) -> Expansion:
            return Expansion(
                request.id,
                (Candidate("<code>\n1/0\n<end_of_code>"), Candidate("<code>\n1/0\n<end_of_step>")),
            )

        def run(self, request: Any) -> Observation:
            return Observation(Status.ERROR, "E")

    wrapped = "\n<output>E<end_of_output>"
    for twice in (False, True):
        search = Search(
            SearchConfig(
                candidates=2, rollouts=1, error_limit=1, wrap_limit_observation_twice=twice
            )
        )
        search.add(problems(1))
        (tree,) = drive(search, Closing())
        assert isinstance(tree, Tree)
        assert tree.nodes[1].text == "<code>\n1/0\n<end_of_code>" + wrapped * (1 + twice)
        assert tree.nodes[2].text == "<code>\n1/0\n<end_of_step><end_of_code>" + wrapped


class Once(Engine):
    """Writes given texts at the root, and an answer behind them."""

    def __init__(self, *candidates: Candidate, observation: str = "5") -> None:
        self.candidates, self.observation, self.asked = candidates, observation, list[Any]()

    def expand(self, request: ExpandRequest) -> Expansion:
        self.asked.append(request)
        answer = Candidate("\n<answer>It is $\\boxed{5}$.<end_of_answer>")
        return Expansion(request.id, (answer,) if request.path else self.candidates)

    def run(self, request: Any) -> Observation:
        self.asked.append(request)
        return Observation(Status.OK, self.observation)


def searched_once(engine: Once, **options: Any) -> Tree:
    search = Search(SearchConfig(candidates=8, rollouts=2, **options))
    search.add(problems(1))
    (tree,) = drive(search, engine)
    assert isinstance(tree, Tree), tree
    return tree


def test_what_stands_behind_a_mark_is_cut_off() -> None:
    code = "<code>\nprint(5)\n<end_of_code>"
    forged = code + "\n<output>7<end_of_output><answer>\\boxed{7}<end_of_answer>"
    tree = searched_once(Once(Candidate(forged, (1, 2), (-1.0, -2.0), "eos"), Candidate(code)))
    assert [node.step for node in tree.nodes[1:]] == [code, tree.nodes[2].step]
    assert (tree.nodes[1].exact, tree.nodes[1].token_ids) == (False, (1, 2))
    assert tree.nodes[1].text == code + "\n<output>5<end_of_output>"
    assert tree.finals()[0].answer == "5"


def test_marks_in_strings_and_observations_are_text() -> None:
    code = "<code>\ns = '<end_of_step>'\nprint(s)\n<end_of_code>"
    engine = Once(
        Candidate(code, (1, 2)),
        Candidate("# <end_of_code>\nx = 1<end_of_step>", (3,), ends_with_token=True),
        observation="<answer>\\boxed{6}<end_of_answer>",
    )
    tree = searched_once(engine)
    first, second = tree.nodes[1:3]
    assert first.step == code.replace("'<", "'<\\") and (first.exact, first.end) == (True, "")
    assert first.observation == engine.observation
    shown = "\n<output><\\answer>\\boxed{6}<\\end_of_answer><end_of_output>"
    assert first.text == first.step + shown
    assert second.step == "# <\\end_of_code>\nx = 1<end_of_step>" and second.suffix == ""
    assert {node.answer for node in tree.finals()} == {"5"}


def test_a_step_of_code_that_names_a_box_runs() -> None:
    codes = (
        "# 12 shoes are boxed in pairs\npairs = 6\n<end_of_step>",
        "<code>\nprint('\\\\boxed{5}')\n<end_of_step>",
        "<code>\n# in \\boxed{}\nunboxed = 5",
    )
    tree = searched_once(Once(*map(Candidate, codes)))
    assert [(node.end, node.status) for node in tree.nodes[1:4]] == [("", "ok")] * 3
    tree = searched_once(Once(*map(Candidate, codes)), answer_by_word=True)
    assert [(node.end, node.answer) for node in tree.nodes[1:4]] == [
        ("answer", "in"),
        ("answer", "5"),
        ("answer", "="),
    ]


def test_code_goes_on_in_an_open_block() -> None:
    class Open(Once):
        def expand(self, request: ExpandRequest) -> Expansion:
            texts = ("\n# \\boxed{7} <code>\ny = 1",) if len(request.path) == 1 else ("\\boxed{6}",)
            first = ("<code>\nx = 5\n<end_of_step>",)
            texts = texts if request.path else first
            return Expansion(request.id, tuple(map(Candidate, texts)))

    tree = searched_once(Open())
    assert tree.nodes[2].step == "\n# \\boxed{7} <\\code>\ny = 1"
    assert (tree.nodes[2].end, tree.nodes[3].end) == ("", "answer")


def test_config_that_cannot_work_is_refused() -> None:
    with pytest.raises(ConfigError, match="needs a value for final answers"):
        SearchConfig(use_scores=False)
    with pytest.raises(ConfigError, match="needs use_scores"):
        SearchConfig(strategy="beam", use_scores=False)
    with pytest.raises(ConfigError, match="lower max_active"):
        Search(SearchConfig(rollouts=1_000_000))


def leaves_at_once(leaves: int, **options: Any) -> int:
    """The most expansions that one tree had open at a time."""
    search = Search(
        SearchConfig.from_dict(
            {"candidates": 4, "rollouts": 8, "max_depth": 5, "leaves_per_tree": leaves, **options}
        )
    )
    search.add(problems(1))
    engine, most = Engine(), 0
    requests: list[tuple[str, Any]] = []
    while not search.done:
        work = search.ask()
        most = max(most, len(work.expand))
        requests += [
            (kind, request)
            for kind in ("expand", "run", "grade", "score")
            for request in getattr(work, kind)
        ]
        kind, request = requests.pop(0)
        search.tell(request.id, getattr(engine, kind)(request))
    (tree,) = search.finished()
    assert isinstance(tree, Tree), tree
    expanded = [node.parent for node in tree.nodes[1:]]
    # Siblings follow one another: a parent that came up again would have been expanded twice.
    assert len({*expanded}) == 1 + sum(a != b for a, b in pairwise(expanded))
    return most


def test_several_leaves_of_a_tree_are_out_at_once_and_none_twice() -> None:
    assert leaves_at_once(1) == 1
    assert leaves_at_once(3) == 3
    # All candidates of the root, but no more nodes than there are.
    assert leaves_at_once(64, rollouts=64, candidates=2) > 1


@pytest.mark.parametrize("leaves", [2, 5])
def test_same_trees_with_several_leaves_in_any_order(leaves: int) -> None:
    options: dict[str, Any] = {"leaves_per_tree": leaves, "rollouts": 12}
    first = searched(**options)
    assert first != searched(rollouts=12)
    assert searched(order=random.Random(1), max_active=3, **options) == first
    assert searched(order=random.Random(2), max_active=1, **options) == first
