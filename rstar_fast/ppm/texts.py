"""The tokens that a PPM reads for the texts of a request."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Protocol

from rstar_fast.errors import ScoreError
from rstar_fast.marks import MARKS, escape
from rstar_fast.models.text_tokens import TextTokens
from rstar_fast.models.texts import check_marks, missing_embedding
from rstar_fast.ppm.base import ScoreRequest
from rstar_fast.ppm.spec import ScoreSpec
from rstar_fast.steps import observation_suffix

_CACHED_TEXTS = 1 << 16
_SPECIAL = re.compile(r"<[^<>\s]+>")
"""Form of marks that are special tokens."""

Tokens = tuple[int, ...]


class Reader(Protocol):
    """What a PPM reads solutions with, wherever it runs. A `PPM` is one.

    Attributes:
        tokenizer: Tokenizer of the model.
        spec: Way in which it reads solutions.
        name: Folder or hub name.
        num_embeddings: Number of tokens that have an embedding.
    """

    tokenizer: Any
    spec: ScoreSpec
    name: str

    @property
    def num_embeddings(self) -> int: ...  # noqa: D102


class Texts:
    """Turns prompts and steps into tokens.

    Each piece is tokenized on its own, so that a step has the same tokens wherever it stands. The
    tokens of recent pieces are remembered.
    """

    def __init__(self, ppm: Reader, max_tokens: int | None) -> None:
        """Take the tokenizer and the mark of a PPM.

        Args:
            ppm: PPM that reads the tokens.
            max_tokens: Largest number of tokens of a text. None for any number.

        Raises:
            ScoreError: A mark has no embedding, or is a special token that the tokenizer splits.
        """
        self._ppm = ppm
        self._tokens = TextTokens(ppm.tokenizer, ScoreError)
        self._template = ppm.spec.template(ppm.tokenizer.bos_token)
        self._max_tokens = max_tokens
        mark = ppm.spec.mark
        self._mark: Tokens = (
            tuple(ppm.tokenizer(mark, add_special_tokens=False).input_ids) if mark else ()
        )
        if _SPECIAL.fullmatch(mark) and len(self._mark) != 1:
            raise ScoreError(
                f"{ppm.name}: expected a tokenizer that has the mark {mark!r} as one token, "
                f"got {len(self._mark)}: {ppm.tokenizer.convert_ids_to_tokens(list(self._mark))}"
            )
        marks = (mark,) if mark else MARKS
        check_marks(ppm.num_embeddings, ppm.tokenizer, marks, ppm.name, ScoreError)
        self._prompt = lru_cache(_CACHED_TEXTS)(self._tokenize_prompt)
        self._step = lru_cache(_CACHED_TEXTS)(self._tokenize_step)

    @property
    def reads_observations(self) -> bool:
        """Whether steps are followed by what running them showed."""
        return self._ppm.spec.observations

    def pieces(
        self, question: str, path: Sequence[str], observations: Sequence[str] = ()
    ) -> list[Tokens]:
        """Return the tokens of the prompt, then those of each step with its mark.

        Args:
            question: Text of the problem.
            path: Texts of the steps.
            observations: What running each step showed where its text does not have it, or "". ()
                for nothing at all.
        """
        return [self._prompt(question), *self._steps(path, observations)]

    def of(self, request: ScoreRequest) -> tuple[list[Tokens], list[Tokens]] | str:
        """Return the tokens of a request.

        Returns:
            The pieces of the path, prompt first, and the tokens of each child. Where the request
            cannot be scored, the reason instead.
        """
        texts = [segment.text for segment in request.path]
        path = self.pieces(request.question, texts, request.path_observations)
        children = self._steps(request.children, request.child_observations)
        return self.fault(path, children) or (path, children)

    def fault(self, path: Sequence[Tokens], children: Sequence[Tokens]) -> str | None:
        """Return why the PPM cannot score `children` after `path`, or None if it can.

        Args:
            path: Tokens of the path's pieces.
            children: Tokens of each child.
        """
        longest = sum(map(len, path)) + max(map(len, children), default=0)
        if children and self._max_tokens is not None and longest > self._max_tokens:
            return f"the solution has {longest} tokens; the PPM takes at most {self._max_tokens}"
        if not children:
            return None
        tokens = (token for piece in (*path, *children) for token in piece)
        return missing_embedding(self._ppm.num_embeddings, self._ppm.tokenizer, tokens)

    def _steps(self, texts: Sequence[str], observations: Sequence[str]) -> list[Tokens]:
        if self.reads_observations and observations:
            texts = [
                text + observation_suffix(observation) if observation else text
                for text, observation in zip(texts, observations, strict=True)
            ]
        return list(map(self._step, texts))

    def _tokenize_prompt(self, question: str) -> Tokens:
        return tuple(self._tokens.filled(self._template, escape(question)))

    def _tokenize_step(self, text: str) -> Tokens:
        return (*self._tokens.of(text), *self._mark)
