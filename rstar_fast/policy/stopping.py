"""Where a candidate ends: stop marks as special tokens, as plain text over several tokens, or inside a token."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_ANCHOR_TOKENS = 4
_REPLACEMENT = "\ufffd"


class Detokenizer:
    """Text of sampled tokens as it reads behind a prefix, with special tokens kept."""

    def __init__(self, tokenizer: "PreTrainedTokenizerBase") -> None:
        self._tokenizer = tokenizer

    def text(self, prefix: Sequence[int], tokens: Sequence[int]) -> str:
        """The text of `tokens` behind `prefix`.

        Some tokenizers drop the space in front of the first token they decode, so a few tokens of the prefix go along.
        """
        anchor = list(prefix[-_ANCHOR_TOKENS:])
        before = self._decode(anchor)
        both = self._decode([*anchor, *tokens])
        return both[len(before) :] if both.startswith(before) else self._decode(list(tokens))

    def _decode(self, tokens: list[int]) -> str:
        return str(
            self._tokenizer.decode(
                tokens, skip_special_tokens=False, clean_up_tokenization_spaces=False
            )
        )


class StopMarks:
    """Finds the first stop mark of a growing text at low cost: only tokens that can end a mark have the text decoded."""

    def __init__(self, marks: Sequence[str], tokenizer: "PreTrainedTokenizerBase") -> None:
        self._marks = tuple(marks)
        finals = {mark[-1] for mark in marks}
        # Byte-level tokenizers spell printable ASCII as itself; for any other final character every token is looked at.
        self._any_token = any(not ("!" <= final <= "~") for final in finals)
        vocabulary = tokenizer.get_vocab()
        self._endings = frozenset(
            token_id for token, token_id in vocabulary.items() if finals & set(token)
        )

    def may_end(self, token: int) -> bool:
        """Whether a mark can be complete now that this token was written."""
        return self._any_token or token in self._endings

    def end(self, text: str) -> int:
        """Where the text is to be cut: right behind its first mark; -1 if it holds none."""
        ends = [at + len(mark) for mark in self._marks if (at := text.find(mark)) >= 0]
        return min(ends, default=-1)


def is_whole(text: str) -> bool:
    """Whether no character of a decoded text was torn between tokens."""
    return not text.endswith(_REPLACEMENT)
