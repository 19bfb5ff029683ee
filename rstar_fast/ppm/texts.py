"""From a request's texts to the tokens that a PPM reads."""

from collections.abc import Sequence
from functools import lru_cache

from rstar_fast.ppm.base import ScoreRequest
from rstar_fast.ppm.model import PPM

_CACHED_TEXTS = 1 << 16
_SURROGATES = dict.fromkeys(range(0xD800, 0xE000), "\ufffd")

Tokens = tuple[int, ...]


class Texts:
    """Tokens of prompts and steps.

    Each piece is tokenized on its own (and once: its tokens are remembered), so that a step has the same tokens wherever it stands.
    """

    def __init__(self, ppm: PPM, max_tokens: int | None) -> None:
        """Read for `ppm`, whose texts have at most `max_tokens` tokens (None: any number)."""
        self._ppm = ppm
        self._max_tokens = max_tokens
        mark = ppm.spec.mark
        self._mark: Tokens = (
            tuple(ppm.tokenizer(mark, add_special_tokens=False).input_ids) if mark else ()
        )
        self._num_embeddings: int = ppm.model.get_input_embeddings().num_embeddings
        self._cached = lru_cache(_CACHED_TEXTS)(self._tokenize)

    def pieces(self, question: str, path: Sequence[str]) -> list[Tokens]:
        """The prompt's tokens and those of each step behind it, its mark included."""
        prompt = self._ppm.spec.prompt_for(question, self._ppm.tokenizer.bos_token)
        return [self._cached(prompt, True), *(self._cached(text, False) for text in path)]

    def of(self, request: ScoreRequest) -> tuple[list[Tokens], list[Tokens]] | str:
        """The pieces of a request's path, prompt first, and the tokens of its children; or why they cannot be scored."""
        path = self.pieces(request.question, [segment.text for segment in request.path])
        children = [self._cached(child, False) for child in request.children]
        return self.fault(path, children) or (path, children)

    def fault(self, path: Sequence[Tokens], children: Sequence[Tokens]) -> str | None:
        """Why the PPM cannot take `path` + each of `children`; None if it can."""
        longest = sum(map(len, path)) + max(map(len, children), default=0)
        if children and self._max_tokens is not None and longest > self._max_tokens:
            return f"the solution has {longest} tokens, the PPM takes {self._max_tokens}"
        highest = max((max(tokens, default=0) for tokens in (*path, *children)), default=0)
        if children and highest >= self._num_embeddings:
            return f"the tokenizer gave token {highest}, the PPM has {self._num_embeddings}"
        return None

    def _tokenize(self, text: str, opens: bool) -> Tokens:
        """The tokens of a piece; one that opens a text gets the tokens that the model's texts begin with (not those at the end)."""
        tokenizer = self._ppm.tokenizer
        ids = tokenizer(text.translate(_SURROGATES), add_special_tokens=opens).input_ids
        if opens and len(ids) > 1 and ids[-1] == tokenizer.eos_token_id:
            ids.pop()
        return tuple(ids) if opens else (*ids, *self._mark)
