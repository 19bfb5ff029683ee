"""Reading an answer as one typed value."""

from collections.abc import Sequence
from functools import lru_cache

from rstar_fast.verify.grade.read.brackets import read_brackets, read_open_interval
from rstar_fast.verify.grade.read.calls import read_call, read_matrix
from rstar_fast.verify.grade.read.relations import is_label, name_of, relation_of, signs_between
from rstar_fast.verify.grade.read.scalars import read_scalar
from rstar_fast.verify.grade.read.special import read_special, read_words
from rstar_fast.verify.grade.read.splitting import (
    CLOSING,
    OPENING,
    enclosing_end,
    has_sign,
    is_in_brackets,
    is_one_of,
    split,
)
from rstar_fast.verify.grade.read.tokens import Kind, ReadError, Token, tokens_of
from rstar_fast.verify.grade.read.undress import undress
from rstar_fast.verify.grade.read.values import (
    Bracketed,
    Conditioned,
    Listing,
    Named,
    Region,
    Relation,
    Value,
)

_CONDITIONS = ("for", "where", "with", "if", "when", "for all", "for any", "for every")
_SEPARATORS = (",", ";", "and", "or", "lor", "&")
_NOT_READ = frozenset({"ldots", "forall", "exists", "equiv", "sim", "sum", "prod", "int", "lim"})
_REALS = (["mathbb", "{", "R", "}"], ["mathbb", "R"], ["Reals"])
_LONGEST_NAME = 4
"""Most tokens of a name in front of "in"."""


@lru_cache(maxsize=4096)
def read(answer: str) -> Value:
    r"""Read an answer.

    >>> read(r"$\frac{1}{2}$").expression.head
    '/'

    Raises:
        ReadError: It is empty, or not of a form that is known.
    """
    text = undress(answer)
    if not text:
        raise ReadError("empty")
    found = read_special(text)
    if found is not None:
        return found
    try:
        return _read(tokens_of(text))
    except ReadError:
        return read_words(text)
    except RecursionError:
        raise ReadError("nested too deeply") from None


def _read(tokens: tuple[Token, ...]) -> Value:
    if not tokens:
        raise ReadError("empty")
    if any(token.kind is Kind.COMMAND and token.text in _NOT_READ for token in tokens):
        raise ReadError("a form that is not read")
    for i, token in enumerate(tokens):
        if i and is_one_of(token, _CONDITIONS):
            return _conditioned(tokens[:i], tokens[i + 1 :])
    approximated = [part for part in split(tokens, "approx") if part]
    if len(approximated) <= 2 and approximated != [tokens]:
        return _read(approximated[0])
    return (
        _both_signs(tokens)
        or _region_of_relations(tokens)
        or _listing(tokens)
        or _region(tokens)
        or _relation(tokens)
        or _single(tokens)
    )


def _conditioned(tokens: tuple[Token, ...], condition: tuple[Token, ...]) -> Value:
    words = tuple(token.text for token in condition)
    if not has_sign(condition) and "in" not in words:
        raise ReadError("a condition that is none")
    return Conditioned(_read(tokens), words)


def _both_signs(tokens: tuple[Token, ...]) -> Value | None:
    r"""Read a value in which `\pm` stands as the two values that it means."""
    if not any(token.kind is Kind.COMMAND and token.text in ("pm", "mp") for token in tokens):
        return None
    parts = [part for part in split(tokens, *_SEPARATORS) if part]
    if len(parts) > 1:
        return Listing(_with_names([item for part in parts for item in _items_of(_read(part))]))
    return Listing(_with_names([_read(_with_sign(tokens, *signs)) for signs in ("+-", "-+")]))


def _with_sign(tokens: tuple[Token, ...], plus: str, minus: str) -> tuple[Token, ...]:
    signs = {"pm": plus, "mp": minus}
    return tuple(
        Token(Kind.SIGN, signs[token.text], token.spaced)
        if token.kind is Kind.COMMAND and token.text in signs
        else token
        for token in tokens
    )


def _items_of(value: Value) -> tuple[Value, ...]:
    return value.items if isinstance(value, Listing) else (value,)


def _region_of_relations(tokens: tuple[Token, ...]) -> Value | None:
    for words, head in ((("or", "lor"), "cup"), (("and", "land", "&"), "cap")):
        parts = split(tokens, *words)
        if len(parts) > 1 and all(parts) and all(map(has_sign, parts)):
            values = tuple(map(_read_part, parts))
            if all(isinstance(value, Region) or _is_inequality(value) for value in values):
                return Region(head, values)
    return None


def _is_inequality(value: Value) -> bool:
    return isinstance(value, Relation) and "=" not in value.signs


def _listing(tokens: tuple[Token, ...]) -> Value | None:
    if tokens[0].text == "]" and tokens[-1].text == "[":
        return None
    parts = [part for part in split(tokens, *_SEPARATORS) if part]
    if len(parts) > 1:
        return Listing(_with_names([_read_part(part) for part in parts]))
    return _read(parts[0]) if len(parts) == 1 and parts[0] != tokens else None


def _read_part(tokens: tuple[Token, ...]) -> Value:
    is_relation = is_in_brackets(tokens, "(", ")") and has_sign(tokens)
    return _read(tokens[1:-1] if is_relation else tokens)


def _with_names(items: Sequence[Value]) -> tuple[Value, ...]:
    """Give unnamed items the name of the first, as "x = 2 or 3" means it."""
    first = items[0]
    if isinstance(first, Named) and not any(isinstance(item, Named) for item in items[1:]):
        return (first, *(Named(first.name, item) for item in items[1:]))
    return tuple(items)


def _region(tokens: tuple[Token, ...]) -> Value | None:
    for head, other in (("cup", "u"), ("cap", "cap"), ("setminus", "setminus")):
        parts = split(tokens, head, other)
        if len(parts) > 1 and all(part and _ends_set(part) for part in parts):
            return Region(head, tuple(map(_read, parts)))
    parts = split(tokens, "in")
    if len(parts) == 2 and all(parts) and len(parts[0]) <= _LONGEST_NAME:
        name = name_of(parts[0])
        return None if name is None else Named(name, _read(parts[1]))
    return None


def _ends_set(tokens: tuple[Token, ...]) -> bool:
    return tokens[-1].text in (*CLOSING, "[", "R", "emptyset", "Reals")


def _relation(tokens: tuple[Token, ...]) -> Value | None:
    sides, signs = signs_between(tokens)
    if not signs:
        return None
    if signs == ["="] and not sides[0]:
        return _read(sides[1])
    if set(signs) == {"="} and all(sides):
        rest = tokens[len(sides[0]) + 1 :]
        name = name_of(sides[0])
        if name is not None:
            return Named(name, _read(rest))
        if is_label(sides[0]):
            return _read(rest)
    return relation_of(sides, signs)


def _single(tokens: tuple[Token, ...]) -> Value:
    first, last = tokens[0], tokens[-1]
    if first.key == (Kind.COMMAND, "begin"):
        return read_matrix(tokens, _read)
    if first.text == "]" and last.text == "[" and len(tokens) > 3:
        return read_open_interval(tokens, _read)
    if first.text in OPENING and enclosing_end(tokens) == len(tokens) - 1:
        value = read_brackets(tokens, _read)
        if value is not None:
            return value
    if first.kind is Kind.WORD and len(tokens) > 2:
        value = read_call(tokens, _read)
        if value is not None:
            return value
    if first.text == "emptyset" and len(tokens) == 1:
        return Bracketed(r"\{", r"\}", ())
    if [token.text for token in tokens] in _REALS:
        return Region("reals")
    return read_scalar(tokens)
