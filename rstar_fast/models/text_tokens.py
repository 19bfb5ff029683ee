"""The tokens of prompts and solutions, in which no text can pass for a mark or a special token."""

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from rstar_fast.errors import PolicyError, RStarError
from rstar_fast.marks import ALL_MARKS, escaped
from rstar_fast.marks.thinking import THINKING_MARKS
from rstar_fast.models.texts import encodable, opening_tokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_CHAT_TOKEN = re.compile(r"<(?:\|.*\||\uff5c.*\uff5c)>", re.DOTALL)
"""Form of tokens that structure a chat. Some tokenizers do not call them special."""
_BRACKETED = re.compile(r"<\S+>|\[\S+\]")
"""Form of such tokens in general: those that the chat template spells structure a chat."""


class TextTokens:
    """Turns prompts and pieces of solutions into tokens.

    A mark that a text spells becomes the mark's token, if the tokenizer has one. An escaped mark
    (see `rstar_fast.marks`) then becomes plain tokens of the mark's letters. A mark without a token
    is read as it stands, with its backslash if it is escaped. A special token that a text spells
    becomes plain tokens of its letters.
    """

    def __init__(
        self,
        tokenizer: "PreTrainedTokenizerBase",
        error_type: type[RStarError] = PolicyError,
    ) -> None:
        """Take the tokenizer of a model.

        Raises:
            RStarError: Special tokens change the tokens between them. The error is an `error_type`.
        """
        self._tokenizer: Any = tokenizer
        controls = _control_tokens(tokenizer)
        self._marks = {
            text: token
            for text, token in controls.items()
            if any(mark in text for mark in ALL_MARKS)
        }
        self._mark_text = _any_of(self._marks)
        self._control_text = _any_of(controls)
        # Characters that the tokenizer does not know are the unknown token by right.
        self._unknown = tokenizer.unk_token
        unknown_id = tokenizer.unk_token_id
        if unknown_id in (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id):
            self._unknown = unknown_id = None
        self._controls = frozenset(controls.values()) - {unknown_id}
        self._special = self._controls - set(self._marks.values())
        self._special_text = _any_of(controls.keys() - self._marks.keys() - {self._unknown})
        with_token = [mark for mark in ALL_MARKS if any(mark in text for text in self._marks)]
        self._plain_mark = escaped(with_token)
        self._shown_mark = escaped([mark for mark in ALL_MARKS if mark not in with_token])
        self._front = opening_tokens(tokenizer, error_type)

    def of(self, text: str, opens: bool = False) -> list[int]:
        """Return the tokens of a text.

        Args:
            text: Prompt, or a piece of a solution.
            opens: Whether the tokens begin with those that the tokenizer puts at the front of a
                text.
        """
        tokens = self._checked(text, self._encode(text))
        return [*self._front, *tokens] if opens else tokens

    def of_all(self, texts: Sequence[str], opens: bool = False) -> list[list[int]]:
        """Return the tokens of several texts. See `of`."""
        if not texts:
            return []
        found = self._tokenizer(list(map(encodable, texts)), add_special_tokens=False).input_ids
        front = self._front if opens else []
        return [
            [*front, *self._checked(text, tokens)]
            for text, tokens in zip(texts, found, strict=True)
        ]

    def filled(self, template: Sequence[str], text: str, opens: bool = True) -> list[int]:
        """Return the tokens of a template with a text in its gaps.

        Args:
            template: Pieces around the gaps. They may spell special tokens.
            text: Text of each gap.
            opens: Whether the tokens begin with those that the tokenizer puts at the front of a
                text. A chat template has them.
        """
        front = self._front if opens else []
        tokens = self._encode(text.join(template))
        num_special = self._num_special(tokens)
        if self._is_plain(text) and num_special == (
            num_special and sum(self._num_special(self._encode(piece)) for piece in template)
        ):
            return [*front, *tokens]
        gap, tokens = self._plainly(text), self._encode(template[0])
        for piece in template[1:]:
            tokens += [*gap, *self._encode(piece)]
        return [*front, *tokens]

    def without_special(self, text: str) -> str:
        """Return a text that spells no special token, for a tokenizer that would find it.

        A backslash stands behind the first character of each, as in an escaped mark.
        """
        return self._special_text.sub(lambda found: f"{found[0][0]}\\{found[0][1:]}", text)

    def are_of(self, token_ids: Sequence[int], text: str) -> bool:
        """Return whether tokens have the marks of the text that they spell, and no others.

        They must have no special token, and a model that reads a mark as text must not have written
        one that is escaped.
        """
        wanted = [self._marks[mark] for mark in self._mark_text.findall(text)]
        found = [token for token in token_ids if token in self._controls]
        return found == wanted and not ("<\\" in text and self._shown_mark.search(text))

    def is_special(self, token_id: int) -> bool:
        """Return whether a token is special, or structures a chat, and is no mark."""
        return token_id in self._special

    def _encode(self, text: str, **options: bool) -> list[int]:
        tokens: list[int] = self._tokenizer(
            encodable(text), add_special_tokens=False, **options
        ).input_ids
        return tokens

    def _checked(self, text: str, tokens: list[int]) -> list[int]:
        """Return the tokens of a text, given those that the tokenizer makes of it as it is."""
        if self._is_plain(text) and self._special.isdisjoint(tokens):
            return tokens
        return self._plainly(text)

    def _is_plain(self, text: str) -> bool:
        """Return whether a text has neither an escaped mark nor the unknown token to be spelt."""
        return not ("<\\" in text and self._plain_mark.search(text)) and (
            self._unknown is None or self._unknown not in text
        )

    def _num_special(self, tokens: Sequence[int]) -> int:
        return sum(token in self._special for token in tokens)

    def _plainly(self, text: str) -> list[int]:
        """Return the tokens of a text in which only marks are marks."""
        tokens, position = [], 0
        for mark in self._mark_text.finditer(text):
            tokens += self._plain(text[position : mark.start()])
            tokens.append(self._marks[mark[0]])
            position = mark.end()
        return tokens + self._plain(text[position:])

    def _plain(self, text: str) -> list[int]:
        """Return the tokens of a text in which nothing is a mark or special."""
        text = self._plain_mark.sub("<", text)
        tokens = self._encode(text, split_special_tokens=True)
        if self._controls.isdisjoint(tokens):
            return tokens
        # What the tokenizer does not call special it still finds. Without its first letter it is
        # nothing.
        cuts = [0, *(found.start() + 1 for found in self._control_text.finditer(text)), len(text)]
        parts = [self._encode(text[a:b], split_special_tokens=True) for a, b in pairwise(cuts)]
        return [token for part in parts for token in part if token not in self._controls]


def _control_tokens(tokenizer: "PreTrainedTokenizerBase") -> dict[str, int]:
    """Return the special tokens, those that hold marks and those that structure a chat, by text."""
    template = str(tokenizer.chat_template or "")
    found = {
        token.content: number
        for number, token in tokenizer.added_tokens_decoder.items()
        if token.special
        or token.content in THINKING_MARKS
        or _CHAT_TOKEN.search(token.content)
        or (_BRACKETED.fullmatch(token.content) and token.content in template)
        or any(mark in token.content for mark in ALL_MARKS)
    }
    return found | dict(zip(tokenizer.all_special_tokens, tokenizer.all_special_ids, strict=True))


def _any_of(texts: Iterable[str]) -> re.Pattern[str]:
    """Return a pattern that finds texts, the longest first. It finds nothing if there are none."""
    longest_first = sorted(filter(None, texts), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or "(?!)")
