"""Programs that are only arithmetic, computed in the main process.

Most steps of word problems are of this kind. Such a program consists of names, numbers,
`+ - * / // %` and `print`. It can do no harm, because nothing is executed as Python.
"""

import ast
import operator
import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from rstar_fast.config import ObservationStyle
from rstar_fast.verify.base import Observation, Status, StepRunner
from rstar_fast.verify.execute.observation_text import cut, reference_text, stdout_text
from rstar_fast.verify.execute.print_nodes import SourceLines, end_of_shown, is_print_node
from rstar_fast.verify.execute.source import source_of

Number = int | float

_MAX_CHARS, _MAX_LINE_CHARS = 4000, 200
_MAX_INTEGER = 1 << 63
_LINE = re.compile(r"[A-Za-z0-9(+-][A-Za-z0-9_+\-*/%(),.= ]*")
_STRANGE = re.compile(r"\b[0-9][0-9.]*[A-Za-z_]|[0-9]{19}|__")
"""A number that runs into a word, a number of 19 digits or more, or a name with "__"."""
_OPERATORS: dict[type[ast.operator], Callable[[Number, Number], Number]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}


class ArithmeticRunner:
    """Computes programs that are only arithmetic at once. Another runner runs all others.

    Implements `StepRunner`.
    """

    def __init__(self, others: StepRunner, style: ObservationStyle = "stdout") -> None:
        """Make a runner.

        Args:
            others: Runner of the other programs. It is closed with this runner.
            style: Style of the observations, see `Executor`. It must be that of `others`.
        """
        self._others = others
        self._style: ObservationStyle = style

    def submit(self, steps: tuple[str, ...]) -> "Future[Observation]":
        """Start one program, given as the texts of its steps. See `StepRunner`."""
        began = time.perf_counter()
        text = compute(source_of(steps), self._style)
        if text is None:
            return self._others.submit(steps)
        took = time.perf_counter() - began
        done: Future[Observation] = Future()
        done.set_result(Observation(Status.OK, text, wall_s=took, cpu_s=took))
        return done

    def close(self) -> None:
        """Close the other runner."""
        self._others.close()


def compute(source: str, style: ObservationStyle = "stdout") -> str | None:
    r"""Return the observation of a program that is only arithmetic.

    Returns None for any other program, and where Python would raise.

    Args:
        source: Text of the program.
        style: Style of the observation.

    >>> compute("# bags\nbags = 7 * 6\nprint(bags, bags / 4)"), compute("import os")
    ('42 10.5', None)
    """
    if len(source) > _MAX_CHARS or "\r" in source or "\0" in source:
        return None
    # Without strings, whatever follows a # is a comment.
    lines = [line for text in source.split("\n") if (line := text.partition("#")[0].rstrip())]
    if not all(
        len(line) <= _MAX_LINE_CHARS and _LINE.fullmatch(line) and not _STRANGE.search(line)
        for line in lines
    ):
        return None
    try:
        source.encode()
        plain = "\n".join(lines)
        statements = ast.parse(plain).body
        run = _stdout if style == "stdout" else _reference
        return cut(run(statements, plain)).strip()
    except (_NotPlainError, SyntaxError, ArithmeticError, ValueError, RecursionError, MemoryError):
        return None


class _NotPlainError(Exception):
    """The program holds something other than arithmetic."""


def _stdout(statements: Sequence[ast.stmt], _: str) -> str:
    names: dict[str, Number] = {}
    results = [_result(statement, names) for statement in statements]
    printed = "".join([result for result in results if isinstance(result, str)])
    last = results[-1] if results else None
    return stdout_text(printed, last)


def _reference(statements: Sequence[ast.stmt], source: str) -> str:
    nodes = [is_print_node(statement) for statement in statements]
    lines = SourceLines(source)
    names: dict[str, Number] = {}
    prints: list[tuple[str, object]] = []
    result: object = ""
    for statement, is_node in zip(statements[: end_of_shown(nodes)], nodes, strict=False):
        result = _result(statement, names)
        if is_node:
            if statement.lineno != statement.end_lineno:
                # Comments between its lines would be shown.
                raise _NotPlainError
            prints.append((lines.print_arguments(statement), result))
    return reference_text(prints, "" if result is None else result)


def _result(statement: ast.stmt, names: dict[str, Number]) -> Number | str | None:
    """Do a statement. Returns what it prints, the value of an expression, or None."""
    match statement:
        case ast.Assign([ast.Name(name)], expression) if name != "print":
            names[name] = _value(expression, names)
        case ast.AugAssign(ast.Name(name) as target, operation, expression):
            names[name] = _value(ast.BinOp(target, operation, expression), names)
        case ast.Expr(ast.Call(ast.Name("print"), arguments, [])):
            return " ".join([str(_value(argument, names)) for argument in arguments]) + "\n"
        case ast.Expr(expression):
            return _value(expression, names)
        case _:
            raise _NotPlainError
    return None


def _value(expression: ast.expr, names: dict[str, Number]) -> Number:
    match expression:
        case ast.Name(name) if name in names:
            return names[name]
        case ast.Constant(int() | float() as number) if type(number) is not bool:
            return number
        case ast.UnaryOp(ast.USub(), operand):
            return -_value(operand, names)
        case ast.BinOp(left, operation, right) if type(operation) in _OPERATORS:
            number = _OPERATORS[type(operation)](_value(left, names), _value(right, names))
            if type(number) is int and abs(number) >= _MAX_INTEGER:
                raise _NotPlainError
            return number
    raise _NotPlainError
