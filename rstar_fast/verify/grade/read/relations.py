"""What stands left of an equals sign: a name, or an expression."""

from rstar_fast.verify.grade.read.expression_reader import LONGEST_PRODUCT, read_expression
from rstar_fast.verify.grade.read.expressions import CONSTANTS, Apply, Name
from rstar_fast.verify.grade.read.splitting import SIGNS, is_in_brackets, split
from rstar_fast.verify.grade.read.tokens import Kind, ReadError, Token
from rstar_fast.verify.grade.read.values import Relation

_LABELS = ((Kind.COMMAND, "angle"), (Kind.COMMAND, "triangle"))
_FUNCTION_LETTERS = frozenset("fghpqFGHPTyuvwrsxzabcd")


def name_of(tokens: tuple[Token, ...]) -> Name | Apply | None:
    """Return the name that tokens are, or None.

    A name is a variable, a function letter with variables in brackets, or several names in
    brackets, as in "(x, y) = (1, 2)".
    """
    if is_in_brackets(tokens, "(", ")") and len(split(tokens[1:-1], ",")) > 1:
        if all(name_of(part) for part in split(tokens[1:-1], ",") if part):
            return Name("".join(token.text for token in tokens))
        return None
    try:
        expression = read_expression(tokens)
    except ReadError:
        return None
    match expression:
        case Name(text) if text not in CONSTANTS:
            return expression
        case Apply("*", (Name(function), Name())) if function[0] in _FUNCTION_LETTERS:
            return expression if tokens[-1].text == ")" else None
    return None


def is_label(tokens: tuple[Token, ...]) -> bool:
    r"""Return whether tokens only say what a value is of, as in "Area = 5", `\angle ABC = 30`."""
    return any(
        token.kind is Kind.TEXT
        or (token.kind is Kind.WORD and len(token.text) > LONGEST_PRODUCT)
        or token.key in _LABELS
        for token in tokens
    ) and all(token.kind is not Kind.NUMBER for token in tokens)


def signs_between(tokens: tuple[Token, ...]) -> tuple[list[tuple[Token, ...]], list[str]]:
    """Split tokens into the sides of a relation, and return the signs between them too."""
    sides = split(tokens, *SIGNS)
    at, signs = -1, []
    for side in sides[:-1]:
        at += len(side) + 1
        signs.append(tokens[at].text)
    return sides, signs


def relation_of(sides: list[tuple[Token, ...]], signs: list[str]) -> Relation:
    """Read the sides of a relation."""
    if not all(sides):
        raise ReadError("a side is missing")
    return Relation(tuple(map(read_expression, sides)), tuple(signs))
