"""The tokens of a request's prefix: its prompt and the path after it."""

from functools import lru_cache
from typing import TYPE_CHECKING

from rstar_fast.models.texts import encodable, opening_tokens
from rstar_fast.policy.base import ExpandRequest
from rstar_fast.prompts import PromptStyle, make_prompt, step_lead

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
        self._tokenizer = tokenizer
        self._prompt = prompt
        self._opening = opening_tokens(tokenizer)
        self._prompt_tokens = lru_cache(_PROMPTS_KEPT)(self._encode_prompt)

    def of(self, request: ExpandRequest) -> list[int]:
        """Return the token ids of a request's prefix."""
        tokens = list(self._prompt_tokens(request.question))
        if self.lead and request.path:
            path = "".join(segment.text for segment in request.path)
            return [*tokens, *self._encode(path + self.lead)]
        for segment in request.path:
            if segment.token_ids is None:
                tokens += self._encode(segment.text)
            else:
                tokens += segment.token_ids
        return tokens

    def _encode_prompt(self, question: str) -> list[int]:
        return [*self._opening, *self._encode(make_prompt(self._prompt, question))]

    def _encode(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(encodable(text), add_special_tokens=False))
