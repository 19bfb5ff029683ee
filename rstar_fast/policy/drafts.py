"""Requests that are being answered, and the candidates that are being written for them."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rstar_fast.models.texts import missing_embedding
from rstar_fast.policy.base import Candidate, ExpandRequest, Expansion
from rstar_fast.policy.stopping import StopMarks

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(slots=True, eq=False)
class Group:
    """An admitted request and the candidates that are written for it.

    Attributes:
        request: Request.
        tokens: Token ids of its prefix.
        budget: Largest number of tokens of a candidate.
        marks: Stop marks of the request.
        candidates: Finished candidates, by their number.
    """

    request: ExpandRequest
    tokens: list[int]
    budget: int
    marks: StopMarks
    candidates: dict[int, Candidate] = field(default_factory=dict)

    @property
    def expansion(self) -> Expansion | None:
        """Answer to the request. None while candidates are missing."""
        count = self.request.num_candidates
        if len(self.candidates) < count:
            return None
        return Expansion(self.request.id, tuple(self.candidates[i] for i in range(count)))


@dataclass(slots=True, eq=False)
class Draft:
    """A candidate that is being written.

    Attributes:
        group: Request that it belongs to.
        sample: Number of the candidate within its request.
        tokens: Token ids written so far.
        logprobs: Log-probability of each of `tokens`, nats.
        spells_mark: Whether the tokens spell a stop mark that may stand in a string literal.
    """

    group: Group
    sample: int
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    spells_mark: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """What a model can read.

    Attributes:
        name: Name of the model, for errors.
        tokenizer: Tokenizer of the model.
        num_embeddings: Number of its tokens that have an embedding.
        context_tokens: Length of the longest text that it takes, tokens.
    """

    name: str
    tokenizer: "PreTrainedTokenizerBase"
    num_embeddings: int
    context_tokens: int

    def refusal(self, request: ExpandRequest, tokens: list[int]) -> str | None:
        """Return why a request cannot be answered, or None if it can.

        Args:
            request: Request.
            tokens: Token ids of its prefix.
        """
        if request.num_candidates < 1:
            return f"num_candidates: expected at least 1, got {request.num_candidates}"
        if not tokens:
            return "the prefix has no tokens: expected a prompt of at least one"
        if len(tokens) >= self.context_tokens:
            return (
                f"the prefix has {len(tokens)} tokens; {self.name} takes {self.context_tokens} "
                "including at least one new token"
            )
        return missing_embedding(self.num_embeddings, self.tokenizer, tokens)

    def budget(self, request: ExpandRequest, tokens: list[int]) -> int:
        """Return the largest number of tokens of a candidate behind a prefix of some tokens."""
        return min(request.sampling.max_tokens, self.context_tokens - len(tokens))
