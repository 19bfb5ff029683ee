"""What a server is asked to continue, and what it wrote."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from rstar_fast.policy.base import Sampling
from rstar_fast.remote.servers import Connection

_MOST_STOPS = 4
"""Largest number of stop strings that every server takes."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a server is to continue, and how.

    Attributes:
        model: Name that the server has for its model.
        text: Text, or its token ids.
        sampling: Way to draw.
        max_tokens: Number of tokens after which the completion is cut, >= 1.
        key: Key of the random draws, 128 bits.
        session: Name of the session.
        mark_tokens: Stop marks that are one token each, by token. Empty if the tokens are unknown.
    """

    model: str
    text: str | Sequence[int]
    sampling: Sampling
    max_tokens: int
    key: int
    session: str
    mark_tokens: Mapping[int, str]

    @property
    def stop_texts(self) -> list[str]:
        """Stop marks that are text, as far as servers take them."""
        by_token = set(self.mark_tokens.values())
        return [mark for mark in self.sampling.stop if mark not in by_token][:_MOST_STOPS]


class Completion(NamedTuple):
    """What a server wrote.

    Attributes:
        text: Text without the stop mark.
        mark: Stop mark that ended it. "" if none did.
        is_cut: Whether it was cut at its length.
        token_ids: Token ids, those of the mark included. () where the server does not tell.
        logprobs: Log-probabilities of the token ids. () where it does not tell.
        generated_tokens: Number of tokens that were drawn.
        prompt_tokens: Number of tokens of the prompt.
        cached_tokens: Number of these that were in the server's cache, as far as it tells.
    """

    text: str
    mark: str
    is_cut: bool
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    generated_tokens: int
    prompt_tokens: int
    cached_tokens: int


class Complete(Protocol):
    """A protocol. It raises `MalformedError` where an answer is not what the protocol says."""

    async def __call__(self, server: Connection, prompt: Prompt) -> Completion:
        """Ask a server for one completion."""
