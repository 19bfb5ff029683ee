"""What stands left of an equals sign: a name, or an expression."""

from rstar_fast.verify.grade.read.expression_reader import read_expression
from rstar_fast.verify.grade.read.expressions import CONSTANTS, Apply, Expression, Name
from rstar_fast.verify.grade.read.splitting import SIGNS, is_in_brackets, split
from rstar_fast.verify.grade.read.tokens import Kind, ReadError, Token
from rstar_fast.verify.grade.read.values import Relation

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


def is_text(tokens: tuple[Token, ...]) -> bool:
    """Return whether tokens are words, as in "Area = 5"."""
    return all(
        token.kind is Kind.TEXT or (token.kind is Kind.WORD and len(token.text) > 3)
        for token in tokens
    )


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


def is_named(expression: Expression) -> bool:
    """Return whether an expression is one variable."""
    return isinstance(expression, Name) and expression.text not in CONSTANTS
