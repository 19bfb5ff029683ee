"""Stop marks in the text of a candidate: written as special tokens, as plain text, or in a token.

A mark of plain text may take several tokens, and may end inside one.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rstar_fast.marks.step_text import stop_end

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

    A mark with a token of its own is that token alone: spelt in other tokens it is text. A mark
    without one is its text, outside string literals (see `rstar_fast.marks.step_text`). Decoding
    the text after every token would be slow. It is decoded only after a token that can end a mark.

    Attributes:
        tokens: Ids of the tokens that are marks.
        all_tokens: Whether every mark has a token of its own.
    """

    def __init__(self, marks: Sequence[str], tokenizer: "PreTrainedTokenizerBase") -> None:
        added = tokenizer.get_added_vocab()
        self.tokens = frozenset(added[mark] for mark in marks if mark in added)
        self._marks = tuple(mark for mark in marks if mark not in added)
        self.all_tokens = not self._marks
        finals = {mark[-1] for mark in self._marks}
        # Byte-level tokenizers spell printable ASCII as itself. A mark with another final character
        # may end with any token.
        self._any_token = any(not ("!" <= final <= "~") for final in finals)
        vocabulary = tokenizer.get_vocab() if finals else {}
        self._endings = self.tokens | {
            token_id for token, token_id in vocabulary.items() if finals & set(token)
        }

    def may_end(self, token: int) -> bool:
        """Return whether this token can complete a mark."""
        return self._any_token or token in self._endings

    def are_spelt(self, text: str) -> bool:
        """Return whether a text spells a mark, which may be one or stand in a string literal."""
        return any(mark in text for mark in self._marks)

    def end(self, text: str, goes_on: bool = False) -> int:
        """Return the index just past the mark that ends first in a text, or -1 if there is none.

        Args:
            text: Text, whose last token is no mark by itself.
            goes_on: Whether more may follow, so that a literal which is open may be closed.
        """
        return stop_end(text, self._marks, goes_on) if self.are_spelt(text) else -1


def is_whole(text: str) -> bool:
    """Return whether a decoded text ends with a whole character, not with half of one."""
    return not text.endswith(_REPLACEMENT)
