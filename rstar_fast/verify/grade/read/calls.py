"""Values as Python and sympy print them: sets, intervals, matrices and points as calls."""

from collections.abc import Callable, Sequence

from rstar_fast.verify.grade.read.splitting import enclosing_end, split
from rstar_fast.verify.grade.read.tokens import Kind, ReadError, Token
from rstar_fast.verify.grade.read.values import Bracketed, Matrix, Region, Value

Read = Callable[[tuple[Token, ...]], Value]
"""The reader of what stands within."""

_INTERVALS = {"Interval": "[]", "open": "()", "Lopen": "(]", "Ropen": "[)"}
_REGIONS = {"Union": "cup", "Intersection": "cap", "Complement": "setminus"}
_BRACKETS = {
    "FiniteSet": (r"\{", r"\}"),
    "Point": ("(", ")"),
    "Point2D": ("(", ")"),
    "Point3D": ("(", ")"),
    "Tuple": ("(", ")"),
}
_MATRICES = frozenset({"Matrix", "ImmutableMatrix", "MutableDenseMatrix", "array"})
_COLLECTIONS = frozenset({"list", "set", "tuple", "frozenset"})


def read_call(tokens: tuple[Token, ...], read: Read) -> Value | None:
    """Read a call that makes a set, a matrix, a point or an equation. None if it is no such call.

    Raises:
        ReadError: Its arguments are not as they should be.
    """
    head, at = tokens[0].text, 1
    if len(tokens) > 3 and tokens[1].text == ".":
        head, at = tokens[2].text, 3
    if tokens[at].text != "(" or enclosing_end(tokens[at:]) != len(tokens) - at - 1:
        return None
    inner = tokens[at + 1 : -1]
    parts = [part for part in split(inner, ",") if part]
    if head in _INTERVALS:
        return _interval(_INTERVALS[head], parts, read)
    if head in _REGIONS and parts:
        return Region(_REGIONS[head], tuple(map(read, parts)))
    if head in _BRACKETS and parts:
        return Bracketed(*_BRACKETS[head], tuple(map(read, parts)))
    if head == "Eq" and len(parts) == 2:
        return read((*parts[0], Token(Kind.SIGN, "="), *parts[1]))
    if head in _MATRICES:
        value = read(inner)
        return as_matrix(value) or value
    return read(inner) if head in _COLLECTIONS else None


def _interval(brackets: str, parts: Sequence[tuple[Token, ...]], read: Read) -> Value:
    opening, closing = brackets[0], brackets[1]
    if len(parts) == 4:
        opening = "(" if parts[2][0].text == "True" else "["
        closing = ")" if parts[3][0].text == "True" else "]"
    elif len(parts) != 2:
        raise ReadError("an interval without two ends")
    return Bracketed(opening, closing, (read(parts[0]), read(parts[1])))


def as_matrix(value: Value) -> Matrix | None:
    """Return a list of lists, or a list, as a matrix or a column. None for other values."""
    if isinstance(value, Matrix):
        return value
    if not isinstance(value, Bracketed) or value.opening not in ("[", "("):
        return None
    rows = tuple(item.items if isinstance(item, Bracketed) else (item,) for item in value.items)
    return Matrix(rows) if len({len(row) for row in rows}) == 1 else None


def read_matrix(tokens: tuple[Token, ...], read: Read) -> Matrix:
    r"""Read `\begin{pmatrix} ... \end{pmatrix}` and the like.

    Raises:
        ReadError: The environment is no matrix, or its rows have different lengths.
    """
    end = next((i for i, token in enumerate(tokens) if token.text == "end"), -1)
    name_end = 1 + enclosing_end(tokens[1:])
    name = "".join(token.text for token in tokens[2:name_end])
    is_whole = end > 0 and end + 1 + enclosing_end(tokens[end + 1 :]) == len(tokens) - 1
    if not is_whole or not (name == "array" or name.endswith("matrix")):
        raise ReadError(f"an environment {name!r}")
    begin = name_end + 1
    if name == "array" and tokens[begin].text == "{":
        begin += 1 + enclosing_end(tokens[begin:])
    lines = [split(line, "&") for line in split(tokens[begin:end], r"\\") if line]
    rows = tuple(tuple(map(read, cells)) for cells in lines)
    if not rows or len({len(row) for row in rows}) != 1:
        raise ReadError("rows of different lengths")
    return Matrix(rows)
