"""Samples for trainers of policies: the solutions of a finished tree, token by token."""

from collections.abc import Sequence
from dataclasses import dataclass

from rstar_fast.policy.prefix_tokens import PrefixTokens, common_length
from rstar_fast.training_samples.credit import Credit, step_credit
from rstar_fast.training_samples.sequences import (
    NOT_DRAWN,
    End,
    TokenSequence,
    TokenSequences,
    is_finished,
)
from rstar_fast.training_samples.values import Reward, TreeValues, outcome
from rstar_fast.tree import Tree


@dataclass(frozen=True, slots=True)
class Sample:
    """A solution as a trainer reads it. All sequences but `prompt_ids` have the same length.

    Attributes:
        prompt_ids: Token ids of the prompt.
        completion_ids: Token ids behind the prompt.
        logprobs: Log-probability of each completion token under the policy that drew it, at
            temperature 1 and from all tokens, nats. 0 where the mask is 0. None if the engine did
            not tell. A run folder keeps 5 decimals.
        mask: 1 for each completion token that the policy drew after exactly the tokens before it,
            and 0 for others: observations, text that the prompt's format adds, and the rest of a
            step that its descendants read in other tokens than the ones drawn.
        advantages: Credit of the step that each completion token was drawn in. 0 where the mask is
            0.
        versions: Number of the weights that drew each completion token (`Node.version`). -1 where
            the mask is 0.
        reward: Reward of the leaf.
        share: Share of draws on the path, see `TreeValues.shares`. The shares of all graded leaves
            add up to 1.
        finished: Whether the solution has ended by itself, be it by a mark, and was not cut.
        leaf: Id of the last node.
        branches_from: Index of the earlier sample that begins with the most completion tokens of
            this one, and the number of these tokens. None for the first sample.
    """

    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]
    logprobs: tuple[float, ...] | None
    mask: tuple[int, ...]
    advantages: tuple[float, ...]
    versions: tuple[int, ...]
    reward: float
    share: float
    finished: bool
    leaf: int
    branches_from: tuple[int, int] | None


def samples(
    tree: Tree,
    prefix: PrefixTokens,
    leaves: Sequence[int] | None = None,
    credit: Credit = "siblings",
    end: End = "none",
    reward: Reward = outcome,
) -> list[Sample]:
    """Return the solutions of a tree as samples, in the order of `leaves`.

    Args:
        tree: Finished tree of a policy that tells token ids. It is not changed.
        prefix: Way in which the search put questions and paths to the policy, as in
            `PrefixTokens(tokenizer, "finetuned")`.
        leaves: Ids of graded leaves, as `choose_leaves` gives. None for all of them.
        credit: Rule by which the steps share the reward.
        end: What stands behind a finished solution.
        reward: Function that gives the reward of a leaf. It is called once for each graded leaf.

    Raises:
        ConfigError: There is no such rule or end.
        DataError: A step has no token ids, or not a log-probability for each, an answer was not
            graded, a reward is no finite number, or a node is no graded leaf.
    """
    values = TreeValues.of(tree, reward)
    chosen = list(values.rewards) if leaves is None else list(leaves)
    credits = step_credit(tree, chosen, credit, values)
    sequences = TokenSequences(tree, prefix, end)
    found: list[Sample] = []
    for leaf, of_steps in zip(chosen, credits, strict=True):
        tokens = sequences.of(leaf)
        # The last one is that of what was not drawn.
        versions = [*(node.version for node in tree.path(leaf)), -1]
        of_tokens = [0.0 if step == NOT_DRAWN else of_steps[step] for step in tokens.steps]
        sample = Sample(
            prompt_ids=tokens.prompt_ids,
            completion_ids=tokens.completion_ids,
            logprobs=tokens.logprobs,
            mask=tuple(int(step != NOT_DRAWN) for step in tokens.steps),
            advantages=tuple(of_tokens),
            versions=tuple(versions[step] for step in tokens.steps),
            reward=values.rewards[leaf],
            share=values.shares[leaf],
            finished=is_finished(tree.nodes[leaf]),
            leaf=leaf,
            branches_from=_branching(tokens, found),
        )
        found.append(sample)
    return found


def _branching(tokens: TokenSequence, earlier: Sequence[Sample]) -> tuple[int, int] | None:
    common = [common_length(tokens.completion_ids, one.completion_ids) for one in earlier]
    if not common:
        return None
    most = max(common)
    return common.index(most), most
