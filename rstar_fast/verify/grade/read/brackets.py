"""Values in brackets: tuples, lists, sets, intervals, dictionaries, and sets that are described."""

from rstar_fast.verify.grade.read.calls import Read
from rstar_fast.verify.grade.read.expression_reader import read_expression
from rstar_fast.verify.grade.read.relations import name_of
from rstar_fast.verify.grade.read.splitting import OPENING, has_sign, is_in_brackets, split
from rstar_fast.verify.grade.read.tokens import ReadError, Token
from rstar_fast.verify.grade.read.values import Bracketed, Listing, Named, Region, Scalar, Value

_SET = (r"\{", r"\}")


def read_brackets(tokens: tuple[Token, ...], read: Read) -> Value | None:
    """Read tokens that one pair of brackets encloses.

    None if they only group an expression.

    Raises:
        ReadError: What stands within is not of a form that is known.
    """
    opening, closing, inner = tokens[0].text, tokens[-1].text, tokens[1:-1]
    is_set = opening in (r"\{", "{")
    if not inner:
        if is_set:
            return Bracketed(*_SET, ())
        raise ReadError("empty brackets")
    if is_set and (described := _described_set(inner, read)) is not None:
        return described
    has_items = len(split(inner, ",", ";")) > 1
    if inner[0].text == "begin" and not has_items:
        return read(inner)
    if opening == "{" and not has_items and len(split(inner, ":")) == 1:
        return read(inner)
    if (opening, closing) == ("(", ")") and not has_items:
        return read(inner) if inner[0].text in OPENING or has_sign(inner) else None
    items = _items(inner, read)
    is_single = len(items) == 1 and (opening == "(" or isinstance(items[0], Scalar))
    if is_single and not is_set:
        return items[0]
    return Bracketed(*(_SET if is_set else (opening, closing)), items)


def read_open_interval(tokens: tuple[Token, ...], read: Read) -> Value:
    """Read an interval such as "]1, 2[", whose brackets point away from it."""
    return Bracketed("(", ")", _items(tokens[1:-1], read))


def _items(inner: tuple[Token, ...], read: Read) -> tuple[Value, ...]:
    found: list[Value] = []
    for part in split(inner, ",", ";"):
        if not part:
            continue
        key, *value = split(part, ":")
        name = name_of(key) if len(value) == 1 and key and value[0] else None
        if name is not None:
            found.append(Named(name, read(value[0])))
            continue
        item = read(part)
        if is_in_brackets(part, "[", "]") and not isinstance(item, Bracketed):
            item = Bracketed("[", "]", (item,))
        found += item.items if isinstance(item, Listing) else [item]
    if not found:
        raise ReadError("empty brackets")
    return tuple(found)


def _described_set(inner: tuple[Token, ...], read: Read) -> Value | None:
    r"""Read what stands between the braces of a set such as `\{x | x < 3\}`."""
    for sign in ("|", ":"):
        parts = split(inner, sign)
        if len(parts) != 2 or not all(parts):
            continue
        name = split(parts[0], "in")[0]
        if len(name) != 1 or (sign == ":" and not has_sign(parts[1])):
            continue
        value = read(parts[1])
        if not isinstance(value, Named):
            return Region("cup", (value,)) if has_sign(parts[1]) else None
        return value.value if value.name == read_expression(name) else None
    return None
