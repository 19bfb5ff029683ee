"""The tokens of a request's prefix: its prompt and the path after it."""

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from rstar_fast.models.text_tokens import TextTokens
from rstar_fast.policy.base import ExpandRequest
from rstar_fast.prompts import PromptStyle, make_prompt, step_lead
from rstar_fast.steps import Segment

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_PROMPTS_KEPT = 1024
"""Number of questions whose encoded prompts are remembered."""


class PrefixTokens:
    """Turns requests into the tokens that the model reads.

    Attributes:
        lead: Text between a step and the next. The prompt's format adds it; the policy does not
            write it.
    """

    def __init__(self, tokenizer: "PreTrainedTokenizerBase", prompt: PromptStyle) -> None:
        self.lead = step_lead(prompt)
        self._tokens = TextTokens(tokenizer)
        self._prompt = prompt
        self._prompt_tokens = lru_cache(_PROMPTS_KEPT)(self._encode_prompt)

    def of(self, request: ExpandRequest) -> list[int]:
        """Return the token ids of a request's prefix.

        Tokens that the policy sampled are kept, unless a mark or a special token is among them that
        is none in the solution's text.
        """
        tokens = list(self._prompt_tokens(request.question))
        if self.lead and request.path:
            path = "".join(segment.text for segment in request.path)
            return [*tokens, *self._tokens.of(path + self.lead)]
        for segment in request.path:
            tokens += self.of_segment(segment)
        return tokens

    def of_prompt(self, question: str) -> Sequence[int]:
        """Return the token ids of a question's prompt."""
        return self._prompt_tokens(question)

    def of_segment(self, segment: Segment) -> Sequence[int]:
        """Return the token ids of a piece of a solution, where the format adds no text."""
        ids = segment.token_ids
        if ids is not None and self._tokens.are_of(ids, segment.text):
            return ids
        return self._tokens.of(segment.text)

    def _encode_prompt(self, question: str) -> list[int]:
        return self._tokens.of(make_prompt(self._prompt, question), opens=True)
