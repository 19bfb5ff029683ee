"""Cutting an undressed answer into tokens. LaTeX, Python and plain notation are mixed."""

import re
from dataclasses import dataclass
from enum import Enum, auto

from rstar_fast.boxes import closing_brace
from rstar_fast.verify.grade.read.thousands import without_thousands
from rstar_fast.verify.grade.read.vocabulary import COMMANDS, SYNONYMS, TEXT_COMMANDS


class Kind(Enum):
    """Kind of a token."""

    NUMBER = auto()
    """A number in decimal digits, such as "12", ".5" or "1e-06"."""
    WORD = auto()
    """Letters that stand together."""
    COMMAND = auto()
    """A LaTeX command, without its backslash."""
    TEXT = auto()
    r"""The content of a `\\text{...}`."""
    SIGN = auto()
    """Anything else."""


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of an answer.

    Attributes:
        kind: Kind of the token.
        text: Characters of the token, in one spelling where there are several.
        spaced: Whether white space stands in front of it.
    """

    kind: Kind
    text: str
    spaced: bool = False

    @property
    def key(self) -> tuple[Kind, str]:
        """What two spellings of one token share."""
        return self.kind, self.text


class ReadError(Exception):
    """The answer is not of a form that is known."""


MAX_TOKENS = 2000
"""Most tokens of an answer that is read."""

_SIGNS = {
    "**": "^",
    "<=": "le",
    ">=": "ge",
    "!=": "ne",
    "==": "=",
    "...": "ldots",
    "&&": "land",
}
_COMMAND_SIGNS = frozenset({"le", "ge", "ne", "ldots", "land"})
_SCANNER = re.compile(
    r"(?P<space>\s+)"
    r"|(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+(?![\w.]))?)"
    r"|\\(?P<command>[a-zA-Z]+)"
    r"|(?P<word>(?:float|int)\d+(?=\()|[^\W\d_]+)"
    r"|(?P<sign>\*\*|<=|>=|!=|==|\.\.\.|&&|\\[^a-zA-Z\s]|[^\s])"
)


def tokens_of(text: str) -> tuple[Token, ...]:
    r"""Cut an undressed answer into tokens.

    Commas between thousands go. `\leqx` is `\leq` and `x`, and synonyms have one spelling.

    >>> [token.text for token in tokens_of(r"1,000 \geqslant x**2")]
    ['1000', 'ge', 'x', '^', '2']

    Raises:
        ReadError: There are too many tokens, or a character that no answer holds.
    """
    text = without_thousands(text)
    found: list[Token] = []
    at, spaced = 0, False
    while at < len(text):
        match = _SCANNER.match(text, at)
        if match is None or len(found) >= MAX_TOKENS:
            raise ReadError("no answer")
        at, kind = match.end(), match.lastgroup
        if kind == "space":
            spaced = True
            continue
        if kind == "number":
            found.append(Token(Kind.NUMBER, match[0], spaced))
        elif kind == "word":
            found.append(Token(Kind.WORD, match[0], spaced))
        elif kind == "command":
            at = _command(text, match, found, spaced)
        else:
            found.append(_sign(match[0], spaced))
        spaced = False
    return tuple(found)


def _command(text: str, match: re.Match[str], found: list[Token], spaced: bool) -> int:
    """Append the tokens of a command, and return where the text goes on."""
    name, at = match["command"], match.end()
    while name not in COMMANDS and len(name) > 1:
        name, at = name[:-1], at - 1
    if name not in COMMANDS:
        name, at = match["command"], match.end()
    if name in TEXT_COMMANDS:
        start = at + len(text[at:]) - len(text[at:].lstrip())
        end = closing_brace(text, start) if text[start : start + 1] == "{" else -1
        if end < 0:
            return at
        content = " ".join(text[start + 1 : end].split())
        if len(content) == 1 and content.isalpha():
            found.append(Token(Kind.WORD, content, spaced))
        elif content:
            found.append(Token(Kind.TEXT, content, spaced or text[start + 1] == " "))
        return end + 1
    if name in ("quad", "qquad", "item"):
        return at
    name = SYNONYMS.get(name, name)
    found.append(Token(Kind.COMMAND if name[0].isalpha() else Kind.SIGN, name, spaced))
    return at


def _sign(sign: str, spaced: bool) -> Token:
    sign = _SIGNS.get(sign, sign)
    if not sign.isprintable():
        raise ReadError("no answer")
    return Token(Kind.COMMAND if sign in _COMMAND_SIGNS else Kind.SIGN, sign, spaced)
