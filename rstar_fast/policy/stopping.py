"""Stop marks in the text of a candidate: written as special tokens, as plain text, or in a token.

A mark of plain text may take several tokens, and may end inside one.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_ANCHOR_TOKENS = 4
_REPLACEMENT = "\ufffd"


class Detokenizer:
    """Turns sampled tokens into text. Special tokens are kept."""

    def __init__(self, tokenizer: "PreTrainedTokenizerBase") -> None:
        self._tokenizer = tokenizer

    def text(self, prefix: Sequence[int], tokens: Sequence[int]) -> str:
        """Return the text of `tokens` as it reads after `prefix`.

        Some tokenizers drop the space in front of the first token that they decode. Therefore the
        last few tokens of the prefix are decoded too, and their text is cut off again.
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
    """Finds the first stop mark of a growing text.

    Decoding the text after every token would be slow. It is decoded only after a token that can end
    a mark.
    """

    def __init__(self, marks: Sequence[str], tokenizer: "PreTrainedTokenizerBase") -> None:
        self._marks = tuple(marks)
        finals = {mark[-1] for mark in marks}
        # Byte-level tokenizers spell printable ASCII as itself. A mark with another final character
        # may end with any token.
        self._any_token = any(not ("!" <= final <= "~") for final in finals)
        vocabulary = tokenizer.get_vocab()
        self._endings = frozenset(
            token_id for token, token_id in vocabulary.items() if finals & set(token)
        )

    def may_end(self, token: int) -> bool:
        """Return whether this token can complete a mark."""
        return self._any_token or token in self._endings

    def end(self, text: str) -> int:
        """Return the index just past the mark that ends first in a text, or -1 if there is none."""
        ends = [at + len(mark) for mark in self._marks if (at := text.find(mark)) >= 0]
        return min(ends, default=-1)


def is_whole(text: str) -> bool:
    """Return whether a decoded text ends with a whole character, not with half of one."""
    return not text.endswith(_REPLACEMENT)
