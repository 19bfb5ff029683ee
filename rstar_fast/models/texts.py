"""Texts on their way into a tokenizer."""

from typing import TYPE_CHECKING

from rstar_fast.errors import PolicyError, RStarError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from transformers import PreTrainedTokenizerBase

_SURROGATES = dict.fromkeys(range(0xD800, 0xE000), "\ufffd")


def encodable(text: str) -> str:
    r"""Return a text with a replacement character for each surrogate, which has no UTF-8 form.

    >>> encodable("1\ud800")
    '1�'
    """
    return text if text.isascii() else text.translate(_SURROGATES)


def opening_tokens(
    tokenizer: "PreTrainedTokenizerBase", error_type: type[RStarError] = PolicyError
) -> list[int]:
    """Return the tokens that a tokenizer puts in front of a text, such as a begin-of-text token.

    What it puts behind a text has no place in one that goes on.

    Raises:
        RStarError: Special tokens change the tokens between them. The error is an `error_type`.
    """
    plain = list(tokenizer("a", add_special_tokens=False).input_ids)
    whole = list(tokenizer("a").input_ids)
    for begin in range(len(whole) - len(plain) + 1):
        if whole[begin : begin + len(plain)] == plain:
            return whole[:begin]
    raise error_type(
        f"tokenizer {tokenizer.name_or_path!r}: expected special tokens before and after a text "
        f"only; 'a' has the tokens {plain} without them and {whole} with them"
    )


def missing_embedding(
    num_embeddings: int, tokenizer: "PreTrainedTokenizerBase", tokens: "Iterable[int]"
) -> str | None:
    """Return which token has no embedding in a model, as a text, or None if all have one.

    Args:
        num_embeddings: Number of tokens that have an embedding.
        tokenizer: Tokenizer that gave the tokens.
        tokens: Token ids.
    """
    highest = max(tokens, default=0)
    if highest < num_embeddings:
        return None
    return (
        f"the tokenizer gave token id {highest} ({tokenizer.convert_ids_to_tokens(highest)!r}); "
        f"the model has embeddings for ids below {num_embeddings}"
    )


def check_marks(
    num_embeddings: int,
    tokenizer: "PreTrainedTokenizerBase",
    marks: "Sequence[str]",
    name: str,
    error_type: type[RStarError],
) -> None:
    """Raise an error if a mark has a token without an embedding.

    Args:
        num_embeddings: Number of tokens that have an embedding.
        tokenizer: Tokenizer of the model.
        marks: Marks.
        name: Name of the model, for the error.
        error_type: Type of the error.
    """
    for mark in marks:
        tokens = tokenizer(mark, add_special_tokens=False).input_ids
        if problem := missing_embedding(num_embeddings, tokenizer, tokens):
            raise error_type(
                f"{name}: the mark {mark!r} cannot be read: {problem} "
                "(model.resize_token_embeddings adds new ones)"
            )
