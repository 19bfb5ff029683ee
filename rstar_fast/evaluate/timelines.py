"""Answers in the order in which their tokens were generated, to ask what was known at any budget.

Every token that was drawn for a problem counts, those of paths without an answer too.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from rstar_fast.evaluate.path_votes import path_shares
from rstar_fast.evaluate.samples import Sample
from rstar_fast.evaluate.tree_samples import node_sample, path_samples
from rstar_fast.tree import Tree
from rstar_fast.verify.base import Verifier


@dataclass(frozen=True, slots=True)
class Known:
    """An answer, or a path that ended without one, and when it was known.

    Attributes:
        tokens: Number of tokens generated for the problem up to and including its last one.
        sample: The answer.
    """

    tokens: int
    sample: Sample


Timeline = Sequence[Known]
"""What becomes known of one problem, in order."""
Timelines = Mapping[str, Timeline]
"""Timelines by problem id."""


def known_by(timeline: Timeline, tokens: int) -> list[Sample]:
    """Return the samples that are known once so many tokens were generated."""
    return [one.sample for one in timeline if one.tokens <= tokens]


def sample_timeline(samples: Iterable[Sample]) -> list[Known]:
    """Return the timeline of independent samples, drawn one after another in the given order."""
    found, tokens = [], 0
    for sample in samples:
        tokens += sample.tokens
        found.append(Known(tokens, sample))
    return found


def tree_timeline(trees: Iterable[Tree], verifier: Verifier | None = None) -> list[Known]:
    """Return the timeline of trees whose paths are independent samples ("best_of_n", "greedy").

    Args:
        trees: Trees of one problem, drawn one after another.
        verifier: Verifier for paths without an answer, see `path_samples`.
    """
    return sample_timeline(one for tree in trees for one in path_samples(tree, verifier))


def search_timeline(trees: Iterable[Tree]) -> list[Known]:
    """Return the timeline of searches: every final answer of every tree.

    An answer is known once its step was drawn (`Node.spent`). Its sample weighs the share of its
    path (`path_shares`): it counts by how likely the policy finds it, and not by how often the
    search went there.

    Args:
        trees: Trees of one problem, searched one after another.
    """
    found: list[Known] = []
    before = 0
    for tree in trees:
        shares = path_shares(tree)
        finals = sorted(tree.finals(), key=lambda node: (node.spent, node.id))
        for node in finals:
            sample = replace(node_sample(tree, node), weight=shares[node.id])
            found.append(Known(before + node.spent, sample))
        before += tree.counts.get("generated_tokens", 0)
    return found
