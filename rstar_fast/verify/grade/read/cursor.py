"""A place in tokens that moves on as they are read."""

from rstar_fast.verify.grade.read.tokens import Kind, ReadError, Token


class Cursor:
    """A place in tokens."""

    def __init__(self, tokens: tuple[Token, ...]) -> None:
        """Stand at the first token."""
        self._tokens = tokens
        self._at = 0

    def expect_end(self) -> None:
        """Raise a `ReadError` if any token is left."""
        if self._at < len(self._tokens):
            raise ReadError(f"unexpected {self._tokens[self._at].text!r}")

    def _peek(self, ahead: int = 0) -> Token | None:
        at = self._at + ahead
        return self._tokens[at] if at < len(self._tokens) else None

    def _sign(self) -> str:
        """Return the next token if it is a sign, else ""."""
        token = self._peek()
        return token.text if token is not None and token.kind is Kind.SIGN else ""

    def _before(self) -> Token:
        return self._tokens[self._at - 1]

    def _next(self) -> Token:
        if self._at >= len(self._tokens):
            raise ReadError("it ends too early")
        self._at += 1
        return self._tokens[self._at - 1]

    def _skip(self, sign: str) -> bool:
        """Go past a sign if it is the next token. Returns whether it is."""
        found = self._sign() == sign
        self._at += found
        return found

    def _close(self, sign: str) -> None:
        if self._next().text != sign:
            raise ReadError(f"{sign} is missing")

    def _group(self) -> tuple[Token, ...]:
        """Take the tokens up to the brace that closes the one before this place, and go past it."""
        depth = 1
        for i in range(self._at, len(self._tokens)):
            if self._tokens[i].kind is Kind.SIGN:
                depth += (self._tokens[i].text == "{") - (self._tokens[i].text == "}")
            if depth == 0:
                inside, self._at = self._tokens[self._at : i], i + 1
                return inside
        raise ReadError("a brace is never closed")

    def _raw_argument(self) -> tuple[Token, ...]:
        """Take the tokens of an argument of a command as they stand."""
        token = self._next()
        return self._group() if token.key == (Kind.SIGN, "{") else (token,)

    def _cut_next(self, length: int) -> None:
        """Cut the next token in two."""
        token = self._tokens[self._at]
        pieces = (
            Token(token.kind, token.text[:length], token.spaced),
            Token(token.kind, token.text[length:]),
        )
        self._tokens = (*self._tokens[: self._at], *pieces, *self._tokens[self._at + 1 :])
