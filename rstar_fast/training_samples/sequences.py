"""The token sequences of solutions, and which of their tokens the policy drew.

A token counts as drawn only if the whole sequence before it is what the engine read when it drew
it. So the log-probability that was kept is the one that a forward over the sequence gives.
"""

from bisect import bisect_left
from dataclasses import dataclass
from itertools import takewhile
from typing import Literal, get_args

from rstar_fast.checks import check_choice
from rstar_fast.errors import ConfigError, DataError
from rstar_fast.marks import unescape
from rstar_fast.policy.base import ExpandRequest, Sampling
from rstar_fast.policy.prefix_tokens import PrefixTokens
from rstar_fast.steps import Segment
from rstar_fast.tree import Node, Tree

End = Literal["none", "eos"]
"""What stands behind a finished solution. "none": nothing. "eos": the token that ends a text, which
was not drawn where a mark ended the solution.
"""

NOT_DRAWN = -1
"""Stands for a token that the policy did not draw."""


@dataclass(frozen=True)
class TokenSequence:
    """The tokens of one solution.

    Attributes:
        prompt_ids: Token ids of the prompt.
        completion_ids: Token ids behind the prompt.
        logprobs: Log-probability of each completion token that was drawn, nats. 0 of others. None
            if the engine did not tell that of a token.
        steps: Place on the path, from 0, of the step that each completion token was drawn in.
            NOT_DRAWN for others.
    """

    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]
    logprobs: tuple[float, ...] | None
    steps: tuple[int, ...]


def is_finished(leaf: Node) -> bool:
    """Return whether a solution has ended by itself: with an answer, or too many errors.

    Others were cut, for their length or for want of tokens.
    """
    return leaf.end == "answer" or (leaf.end in ("errors", "stuck") and leaf.finish != "length")


class TokenSequences:
    """Makes the token sequences of a tree's solutions."""

    def __init__(self, tree: Tree, prefix: PrefixTokens, end: End) -> None:
        """Take a tree and the way in which the search turned it into tokens.

        Raises:
            ConfigError: There is no such end, or the tokenizer has no token that ends a text.
        """
        check_choice("end", end, get_args(End))
        if end == "eos" and prefix.eos_id is None:
            raise ConfigError(
                "end: expected 'none', as the tokenizer has no token that ends a text"
            )
        self._tree = tree
        self._prefix = prefix
        self._end = end
        self._end_id = -1 if prefix.eos_id is None else prefix.eos_id
        self._read: dict[int, list[int]] = {}
        self._paths: dict[int, tuple[Segment, ...]] = {0: ()}

    def of(self, leaf: int) -> TokenSequence:
        """Return the sequence of the solution that ends at a leaf.

        Raises:
            DataError: A step has no token ids, or not a log-probability for each.
        """
        path = self._tree.path(leaf)
        for node in path:
            self._check(node)
            if node.id not in self._paths:
                self._paths[node.id] = (*self._paths[node.parent], *node.segments())
        last = path[-1]
        own = self._own(last)
        tokens = [*self._before(last), *own]
        if self._end == "eos" and is_finished(last) and not self._has_end(last, tokens[-1]):
            tokens.append(self._end_id)
        steps = [NOT_DRAWN] * len(tokens)
        logprobs: list[float] | None = [0.0] * len(tokens)
        for number, node in enumerate(path):
            begin, end = self._drawn(node, tokens)
            steps[begin:end] = [number] * (end - begin)
            if begin < end and not node.logprob_bytes:
                logprobs = None
            if logprobs is not None:
                logprobs[begin:end] = node.logprobs[: end - begin]
        start = len(self._before(path[0]))
        return TokenSequence(
            prompt_ids=tuple(tokens[:start]),
            completion_ids=tuple(tokens[start:]),
            logprobs=None if logprobs is None else tuple(logprobs[start:]),
            steps=tuple(steps[start:]),
        )

    def _drawn(self, node: Node, tokens: list[int]) -> tuple[int, int]:
        """Return the half-open range of the tokens of a sequence that were drawn in a step."""
        before = self._before(node)
        begin = len(before)
        if tokens[:begin] != before:
            return begin, begin
        pairs = zip(node.token_ids, tokens[begin:], strict=False)
        return begin, begin + sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))

    def _before(self, node: Node) -> list[int]:
        """Return the tokens that the engine read before it drew a node."""
        if node.parent not in self._read:
            self._read[node.parent] = self._prefix.of(self._request(node.parent))
        return self._read[node.parent]

    def _own(self, leaf: Node) -> list[int]:
        """Return the token ids of the last step, without those that begin behind its mark."""
        ids = list(leaf.token_ids)
        if leaf.exact or leaf.finish != "mark":
            return ids
        text = unescape(leaf.step).strip()

        def has_text(count: int) -> bool:
            return text in self._prefix.spelt(ids[:count])

        return ids[: bisect_left(range(len(ids)), True, key=has_text)]

    def _has_end(self, leaf: Node, token: int) -> bool:
        """Return whether the policy has ended the text of a leaf by a token, its last one."""
        return leaf.finish == "eos" and self._prefix.is_special(token)

    def _check(self, node: Node) -> None:
        if node.step and not node.id_bytes:
            raise DataError(
                f"problem {self._tree.problem.id!r}: node {node.id}: expected the token ids of a "
                "step, got none; samples need an engine that tells them (Candidate.token_ids)"
            )
        if node.logprob_bytes and len(node.logprob_bytes) != len(node.id_bytes):
            raise DataError(
                f"problem {self._tree.problem.id!r}: node {node.id}: expected a log-probability "
                f"for each of {len(node.token_ids)} token ids, got {len(node.logprobs)}"
            )

    def _request(self, node: int) -> ExpandRequest:
        problem = self._tree.problem
        return ExpandRequest(
            0, problem.key, node, problem.question, self._paths[node], 1, 0, Sampling()
        )
