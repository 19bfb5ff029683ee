"""The tokens that may still be generated for one tree, and how draws share them."""

from collections.abc import Sequence
from math import inf

from rstar_fast.config import SearchConfig
from rstar_fast.errors import PolicyError
from rstar_fast.search.answers import WrittenStep


class TokenBudget:
    """The tokens left for a tree (rule 9 of docs/search.md).

    What is asked of the policy at once can never take more than what is left: the number of draws,
    and the length at which each is cut, are settled before. So the total is exact.

    Attributes:
        left: Number of tokens left. Infinity without a budget.
        step_tokens: Number of tokens at which the draws of the present requests are cut.
    """

    def __init__(self, config: SearchConfig) -> None:
        self.left: float = config.max_tokens or inf
        self.step_tokens = config.max_step_tokens
        self._most_per_step = config.max_step_tokens
        self._must_count = config.max_tokens > 0 or config.token_price > 0
        # Numbers of tokens of the steps so far, those that were cut left out.
        self._longest = self._shortest = 0

    @property
    def spent(self) -> bool:
        """Whether not even the shortest step so far would fit."""
        return self.left < max(1, self._shortest)

    @property
    def is_short(self) -> bool:
        """Whether steps are cut earlier than without a budget."""
        return self.step_tokens < self._most_per_step

    def affordable(self, wanted: int) -> int:
        """Return how many of some draws can be made now, at least 1.

        Steps of the usual length may take half of what is left. The other half can lead them to an
        answer. The usual length is that of the longest step so far, and at first a quarter of the
        longest possible.
        """
        if self.left == inf:
            return wanted
        usual = self._longest or -(-self._most_per_step // 4)
        return max(1, min(wanted, int(self.left) // 2 // usual))

    def share(self, wanted: Sequence[int]) -> list[int]:
        """Return how many draws each of some requests gets, and set `step_tokens` for them.

        Every request gets one draw before any gets two, and so on, in order.

        Args:
            wanted: Number of draws that each request wants, >= 1.
        """
        total = affordable = self.affordable(sum(wanted))
        if self.left < inf:
            self.step_tokens = min(self._most_per_step, int(self.left) // total)
        if affordable == sum(wanted):
            return list(wanted)
        given = [0] * len(wanted)
        while total:
            for i, most in enumerate(wanted):
                if total and given[i] < most:
                    given[i] += 1
                    total -= 1
        return given

    def cuts(self, step: WrittenStep) -> bool:
        """Return whether a step was cut for want of tokens."""
        return (
            step.finish == "length"
            and self.is_short
            and len(step.id_bytes) // 4 >= self.step_tokens
        )

    def take(self, node: int, steps: Sequence[WrittenStep]) -> None:
        """Take the tokens of one expansion.

        Args:
            node: Node that was expanded, for the error's text.
            steps: Every step that the policy wrote.

        Raises:
            PolicyError: Tokens are to be counted, and the policy told no token ids, or wrote more
                than the budget allowed.
        """
        if not self._must_count:
            return
        for i, step in enumerate(steps):
            tokens = len(step.id_bytes) // 4
            if not tokens:
                raise PolicyError(
                    f"the policy gave no token ids for candidate {i} at node {node}; "
                    "max_tokens and token_price need them to count tokens"
                )
            if self.left < inf and tokens > self.step_tokens:
                raise PolicyError(
                    f"the policy gave {tokens} token ids for candidate {i} at node {node}; "
                    f"expected at most {self.step_tokens}, the sampling.max_tokens of the request"
                )
            self.left -= tokens
            if step.finish != "length":
                self._longest = max(self._longest, tokens)
                self._shortest = min(self._shortest or tokens, tokens)
