"""Widening by visits: a node gets a child when a visit asks for one (rule 7 of docs/search.md)."""

from collections import defaultdict
from dataclasses import dataclass, field

from rstar_fast._core import BUSY, NO_NODE
from rstar_fast.config import SearchConfig
from rstar_fast.policy.base import Drawn
from rstar_fast.search.answers import WrittenStep
from rstar_fast.search.expansion import (
    StepForm,
    TreeTask,
    form_of,
    look_at,
    taken,
    together,
)
from rstar_fast.search.live import ROOT, LiveTree
from rstar_fast.search.stopping import allot
from rstar_fast.tree import Node, probability


@dataclass(slots=True)
class _Family:
    """The children of one node.

    Attributes:
        draws: Number of draws so far.
        children: Children by the form that they are told apart by.
        drawn: Candidates that shall not be drawn again.
        probabilities: Probability of each different candidate, by its token ids. Empty without
            `coverage`.
    """

    draws: int = 0
    children: dict[StepForm, Node] = field(default_factory=dict)
    drawn: list[Drawn] = field(default_factory=list)
    probabilities: dict[bytes, float] = field(default_factory=dict)

    def take(self, candidate: WrittenStep, config: SearchConfig) -> None:
        """Count a candidate that was drawn."""
        self.draws += 1
        _, id_bytes, logprob_bytes, *_ = candidate
        if not logprob_bytes:
            return
        if config.coverage:
            self.probabilities[id_bytes] = probability(logprob_bytes)
        if config.without_repetition:
            ids, logprobs = memoryview(id_bytes).cast("i"), memoryview(logprob_bytes).cast("f")
            self.drawn.append(Drawn(tuple(ids), tuple(logprobs)))

    def is_covered(self, coverage: float) -> bool:
        """Return whether the candidates hold enough of the policy's probability."""
        return bool(coverage) and sum(self.probabilities.values()) >= coverage


@dataclass(slots=True)
class _Walk:
    """A rollout under way.

    Attributes:
        node: Node that it has reached.
        ended: Whether it has come to an end: a final answer or a dead end.
    """

    node: int = ROOT
    ended: bool = False


def widening_mcts(tree: LiveTree) -> TreeTask:
    """Grow a tree by rollouts that each go down to an end and draw a child wherever one is due.

    `leaves_per_tree` rollouts are under way at once and take turns, as in `strategies.mcts`.
    """
    config = tree.config
    families: defaultdict[int, _Family] = defaultdict(_Family)
    to_begin = config.rollouts
    walks: list[_Walk] = []
    while True:
        waiting, walks = walks[::-1], []
        draws: list[TreeTask] = []
        # Every node that is claimed gets its draw in this turn.
        at_once = tree.budget.affordable(config.leaves_per_tree)
        while len(walks) < at_once and (waiting or to_begin):
            if waiting:
                walk = waiting.pop()
            else:
                walk = _Walk()
                to_begin -= 1
            reached, is_due = tree.walk_to_draw(walk.node)
            if reached == NO_NODE and walk.node != ROOT:
                # Other rollouts have exhausted the node meanwhile.
                reached, is_due = tree.walk_to_draw(ROOT)
            if reached == NO_NODE:
                to_begin, tree.ended = 0, "exhausted"
            elif reached == BUSY:
                walks.append(walk)
            elif is_due:
                walk.node = reached
                walks.append(walk)
                draws.append(_draw(tree, walk, families[reached]))
            else:
                tree.backup([reached], [tree.mean(reached)])
        walks += waiting[::-1]
        tree.rollouts_done = config.rollouts - to_begin - len(walks)
        if not draws or not all(allot(tree, [1] * len(draws))):
            return
        yield from together(draws) if len(draws) > 1 else draws[0]
        walks = [walk for walk in walks if not walk.ended]


def _draw(tree: LiveTree, walk: _Walk, family: _Family) -> TreeTask:
    """Draw one more child of the node that a walk has reached, and let the walk go there."""
    node = walk.node
    (written,) = yield [tree.expand_request(node, 1, family.draws, family.drawn)]
    family.take(written[0], tree.config)
    step, spent = taken(tree, node, written)
    form = form_of(tree, step.text)
    child = family.children.get(form)
    if child is None:
        family.children[form] = child = tree.append_child(node, step, spent)
        yield from look_at(tree, node, [child], family.draws - 1)
    else:
        tree.redraw(child)
        if child.end not in ("", "budget"):
            tree.backup([child.id], [_value(child)])
    if family.is_covered(tree.config.coverage):
        tree.end_draws(child, tree.config.candidates - family.draws)
    walk.node, walk.ended = child.id, bool(child.end)


def _value(end: Node) -> float:
    """Return the value of a rollout that has come to this end again."""
    if end.end != "answer":
        return -1.0
    if end.score is not None:
        return end.score
    return 0.0 if end.correct is None else 1.0 if end.correct else -1.0
