"""A policy over three tokens, so small that every tree it may write can be listed.

The policy has logits of its own after every text. A solution ends with STOP, or at its last token.
In one form of the problem the policy decides by MARK where a step ends, as a language model does.
In the other each step is one token.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations_with_replacement
from math import factorial, prod

import numpy as np
from numpy.typing import NDArray

from rstar_fast.problems import Problem
from rstar_fast.tree import Node, Tree

Text = tuple[int, ...]
Subtree = tuple["Branch", ...]
Branch = tuple[Text, Subtree]
"""The tokens of a step, and what is below it."""
Vector = NDArray[np.float64]

LETTER, MARK, STOP = range(3)
_NAMES = "a|."


class ToyPolicy:
    """A softmax policy with its own logits after every text, and a reward for every solution.

    Args:
        tokens: Number of tokens after which a solution ends, >= 1.
        marks: Whether MARK ends a step. Otherwise every token is a step.
        children: Number of steps that are drawn at a node, by its depth.
        seed: Seed of the logits and the rewards.
    """

    def __init__(self, tokens: int, marks: bool, children: Sequence[int], seed: int = 0) -> None:
        self._tokens = tokens
        self._marks = marks
        self._children = children
        random = np.random.default_rng(seed)
        self._places: dict[Text, int] = {}
        self._rewards: dict[Text, float] = {}
        for text in self._texts(()):
            if self._ends(text):
                self._rewards[text] = float(random.random() < 0.5)
            else:
                self._places[text] = len(self._places)
        logits = random.normal(size=(len(self._places), len(_NAMES)))
        self._probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)

    def gradient(self) -> Vector:
        """Return the gradient of the expected reward in the logits, summed over all solutions."""
        return np.sum(
            [
                self.probability(text) * reward * self.score((), text)
                for text, reward in self._rewards.items()
            ],
            axis=0,
        )

    def probability(self, text: Text, start: int = 0) -> float:
        """Return the probability that the policy writes `text[start:]` behind `text[:start]`."""
        return prod(
            self._probabilities[self._places[text[:i]], text[i]] for i in range(start, len(text))
        )

    def score(self, before: Text, step: Text) -> Vector:
        """Return the gradient of the log-probability of a step in all logits, in one dimension."""
        found = np.zeros_like(self._probabilities)
        for i, token in enumerate(step):
            place = self._places[before + step[:i]]
            found[place] -= self._probabilities[place]
            found[place, token] += 1
        return found.ravel()

    def trees(self) -> Iterator[tuple[float, Tree]]:
        """Yield every tree with its probability. Trees whose siblings are in another order count.

        The statistics of a node are those of a search that backs up every leaf once.
        """
        for probability, subtree in self._subtrees((), 0):
            yield probability, self._tree(subtree)

    def reward(self, leaf: Node) -> float:
        """Return the reward of a leaf."""
        return float(leaf.answer)

    def _texts(self, text: Text) -> Iterator[Text]:
        yield text
        if not self._ends(text):
            for token in range(len(_NAMES)):
                yield from self._texts((*text, token))

    def _ends(self, text: Text) -> bool:
        return len(text) == self._tokens or (self._marks and text[-1:] == (STOP,))

    def _steps(self, before: Text) -> list[Text]:
        """Return the steps that may come after a text."""
        if not self._marks:
            return [(token,) for token in range(len(_NAMES))]
        return [
            text[len(before) :]
            for text in self._texts(before)
            if text != before and MARK not in text[len(before) : -1]
            if self._ends(text) or text[-1] == MARK
        ]

    def _subtrees(self, text: Text, depth: int) -> list[tuple[float, Subtree]]:
        """Return what may be drawn below a text, with its probabilities."""
        if self._ends(text):
            return [(1.0, ())]
        branches = [
            (self.probability(text + step, len(text)) * probability, (step, below))
            for step in self._steps(text)
            for probability, below in self._subtrees(text + step, depth + 1)
        ]
        count = self._children[depth]
        found = []
        for chosen in combinations_with_replacement(range(len(branches)), count):
            orders = factorial(count) // prod(map(factorial, Counter(chosen).values()))
            probability = orders * prod(branches[i][0] for i in chosen)
            found.append((probability, tuple(branches[i][1] for i in chosen)))
        return found

    def _tree(self, subtree: Subtree) -> Tree:
        nodes = [Node(0, -1, 0)]
        self._grow(nodes, 0, (), subtree)
        for node in reversed(nodes):
            if node.end:
                node.q, node.visits = self.reward(node), 1
            if node.parent >= 0:
                parent = nodes[node.parent]
                parent.visits += node.visits
                parent.q += (node.q - parent.q) * node.visits / parent.visits
        return Tree(Problem("toy", "", ("1.0",)), nodes)

    def _grow(self, nodes: list[Node], parent: int, text: Text, subtree: Subtree) -> None:
        for step, below in subtree:
            name = "".join(_NAMES[token] for token in step)
            node = Node(len(nodes), parent, nodes[parent].depth + 1, name)
            node.token_ids = step
            nodes.append(node)
            if self._ends(text + step):
                reward = self._rewards[text + step]
                node.end, node.answer, node.correct = "answer", str(reward), reward > 0
            self._grow(nodes, node.id, text + step, below)
