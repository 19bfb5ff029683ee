"""Finding one's way in tokens: brackets, separators and signs."""

from collections.abc import Sequence

from rstar_fast.verify.grade.read.tokens import Kind, Token

OPENING = frozenset({"(", "[", "{", r"\{"})
CLOSING = frozenset({")", "]", "}", r"\}"})
SIGNS = ("=", "<", ">", "le", "ge", "ne")
"""Signs that stand between the sides of a relation."""


def split(tokens: Sequence[Token], *separators: str) -> list[tuple[Token, ...]]:
    """Split tokens at separators that stand outside all brackets and environments."""
    parts: list[tuple[Token, ...]] = []
    begin, depth = 0, 0
    for i, token in enumerate(tokens):
        depth += _opens(token)
        if depth == 0 and is_one_of(token, separators):
            parts.append(tuple(tokens[begin:i]))
            begin = i + 1
    return [*parts, tuple(tokens[begin:])]


def is_one_of(token: Token, texts: Sequence[str]) -> bool:
    """Return whether a token that is no number has one of some texts, in any letter case."""
    text = token.text.casefold()
    return token.kind is not Kind.NUMBER and (text.strip(" ,") or text) in texts


def enclosing_end(tokens: Sequence[Token]) -> int:
    """Return the index of the bracket that closes the first token, or -1."""
    depth = 0
    for i, token in enumerate(tokens):
        depth += _opens(token)
        if depth == 0:
            return i
    return -1


def has_sign(tokens: Sequence[Token]) -> bool:
    """Return whether a sign of a relation stands anywhere in tokens."""
    return any(token.text in SIGNS and token.kind is not Kind.TEXT for token in tokens)


def is_in_brackets(tokens: Sequence[Token], opening: str, closing: str) -> bool:
    """Return whether one pair of brackets encloses all tokens."""
    return (
        tokens[0].text == opening
        and tokens[-1].text == closing
        and enclosing_end(tokens) == len(tokens) - 1
    )


def _opens(token: Token) -> int:
    """Return 1 for an opening bracket, -1 for a closing one, else 0."""
    if token.kind is Kind.COMMAND:
        return (token.text == "begin") - (token.text == "end")
    if token.kind is Kind.SIGN:
        return (token.text in OPENING) - (token.text in CLOSING)
    return 0
