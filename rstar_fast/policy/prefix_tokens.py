"""The tokens of a request's prefix: its prompt and the path after it."""

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from rstar_fast.models.chat_template import chat_template
from rstar_fast.models.text_tokens import TextTokens
from rstar_fast.policy.base import ExpandRequest
from rstar_fast.prompts import PromptStyle, chat_question, make_prompt, step_lead
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
        eos_id: Id of the token that ends a text. None if the tokenizer has none.
    """

    def __init__(self, tokenizer: "PreTrainedTokenizerBase", prompt: PromptStyle) -> None:
        """Take a tokenizer and a way to put a question to its model.

        Raises:
            PolicyError: The prompt is "chat", and the tokenizer has no chat template for it.
        """
        self.lead = step_lead(prompt)
        self.eos_id: int | None = tokenizer.eos_token_id
        self._tokenizer = tokenizer
        self._tokens = TextTokens(tokenizer)
        self._prompt = prompt
        self._chat = chat_template(tokenizer) if prompt == "chat" else None
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

    def text_of(self, request: ExpandRequest) -> str:
        """Return a request's prefix as a text, for an engine that makes its tokens itself.

        What the question or the path spells of special tokens is escaped. The special tokens of a
        chat template are not: such an engine must read them, and put none in front of the text.
        """
        plain = self._tokens.without_special
        path = "".join(segment.text for segment in request.path)
        if request.path:
            path += self.lead
        if self._chat is None:
            return plain(make_prompt(self._prompt, request.question) + path)
        return plain(chat_question(request.question)).join(self._chat) + plain(path)

    def of_prompt(self, question: str) -> Sequence[int]:
        """Return the token ids of a question's prompt."""
        return self._prompt_tokens(question)

    def of_segment(self, segment: Segment) -> Sequence[int]:
        """Return the token ids of a piece of a solution, where the format adds no text."""
        ids = segment.token_ids
        if ids is not None and self._tokens.are_of(ids, segment.text):
            return ids
        return self._tokens.of(segment.text)

    def spelt(self, token_ids: Sequence[int]) -> str:
        """Return the text that token ids spell, special tokens among them."""
        return str(self._tokenizer.decode(list(token_ids), clean_up_tokenization_spaces=False))

    def is_special(self, token_id: int) -> bool:
        """Return whether a token structures a text or ends it, and is no mark."""
        return self._tokens.is_special(token_id)

    def _encode_prompt(self, question: str) -> list[int]:
        if self._chat is not None:
            return self._tokens.filled(self._chat, chat_question(question), opens=False)
        return self._tokens.of(make_prompt(self._prompt, question), opens=True)


def common_length(segment: Sequence[int], tokens: Sequence[int], start: int = 0) -> int:
    """Return the number of first tokens of `segment` that equal those of `tokens[start:]`."""
    length = 0
    for ours, theirs in zip(segment, tokens[start : start + len(segment)], strict=False):
        if ours != theirs:
            break
        length += 1
    return length
