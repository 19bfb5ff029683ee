"""A Python program, executed a piece at a time, and what it shows.

Needs the standard library only. It runs inside the process of the program, which it trusts with nothing but its own result.
"""

import ast
import re
import sys
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal

from rstar_fast.verify.execute.child.capture import Capture

MAX_OBSERVATION_CHARS = 1024
"""A longer text is cut to its first and last half around "..."."""

_PRINT_ARGUMENTS = re.compile(r"print\((.*?)\)", re.DOTALL)
_parse = ast.parse


class NotIncremental(Exception):
    """The next piece cannot be executed on its own (it continues a statement): the whole program must be run at once."""


class Program:
    """A program that grows: each `extend` executes what is new, and gives the observation of all there is.

    The observation is the same text as if everything had been executed at once, but for a value shown whose own `__str__` or
    `__repr__` has effects: see `resumable`.
    """

    def __init__(self, style: Literal["stdout", "reference"], stdout: Capture) -> None:
        """Begin an empty program, which becomes this process's `__main__`.

        Args:
            style: "stdout" shows everything printed, or the value of a last expression where nothing was printed; "reference" is
                the style of the released training data.
            stdout: collects what is printed; becomes `sys.stdout`.
        """
        module = ModuleType("__main__")
        sys.modules["__main__"] = module
        sys.stdout = sys.__stdout__ = stdout  # type: ignore[misc, assignment]
        self._source = ""
        self._num_lines = 0
        self._namespace = module.__dict__
        self._future_flags = 0
        self._stdout = stdout
        self._observe = _Whole(self) if style == "stdout" else _Segments(self)
        self.observing = False
        """Whether an error that `extend` raised came from showing a value, not from a statement."""

    @property
    def resumable(self) -> bool:
        """Whether showing the observation cannot have changed what comes next."""
        return self._observe.value is None or not (
            "__str__" in self._source or "__repr__" in self._source
        )

    def extend(self, source: str) -> str:
        """Execute what is new of a program and give the observation of the whole.

        Raises whatever the program raises, `SystemExit` and `KeyboardInterrupt` included; `describe` words it. The program cannot
        be extended after that.

        Args:
            source: what follows on the text executed so far, from the beginning of a line on.

        Raises:
            NotIncremental: nothing was executed; the program is as it was.
        """
        padded = "\n" * self._num_lines + source
        try:
            statements = _parse(padded, "<unknown>").body
        except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
            if not self._source:
                raise
            _parse(self._source + source, "<unknown>")
            raise NotIncremental from error
        self._source += source
        self._num_lines += source.count("\n")
        self._observe.run([_Statement(statement, padded) for statement in statements])
        self.observing = True
        text = cut(self._observe.text()).strip()
        self.observing = False
        return text

    def execute(self, statement: ast.stmt) -> Any:
        """Run one top-level statement; the value of an expression statement, None for any other."""
        if isinstance(statement, ast.Expr):
            expression = ast.Expression(statement.value)
            return eval(
                compile(expression, "<unknown>", "eval", self._future_flags, dont_inherit=True),
                self._namespace,
            )
        code = compile(
            ast.Module([statement], []), "<unknown>", "exec", self._future_flags, dont_inherit=True
        )
        if isinstance(statement, ast.ImportFrom) and statement.module == "__future__":
            self._future_flags |= code.co_flags & ~0xFFFF
        exec(code, self._namespace)
        return None

    @property
    def stdout(self) -> Capture:
        """What it prints to."""
        return self._stdout


def check(source: str) -> None:
    """Raise what parsing a program raises."""
    _parse(source, "<unknown>")


def describe(error: BaseException) -> str:
    """An exception as an observation: `Type: message`."""
    name = "MemoryError" if isinstance(error, MemoryError) else type(error).__name__
    try:
        message = str(error)
    except BaseException as unprintable:  # a program's own __str__
        message = f"<unprintable: {type(unprintable).__name__}>"
    return cut(f"{name}: {message}").strip()


@dataclass(slots=True)
class _Statement:
    node: ast.stmt
    source: str
    printed: str = ""

    def shows(self) -> str:
        """The arguments of its prints and what it printed."""
        arguments = ", ".join(
            _PRINT_ARGUMENTS.findall(ast.get_source_segment(self.source, self.node) or "")
        )
        return f"{arguments}: {_rounded(self.printed).strip()}"


def stdout_text(printed: str, value: Any) -> str:
    """What the "stdout" style shows of everything printed and the value of the last statement, before it is cut."""
    return _rounded(printed) if printed or value is None else str(value)


class _Whole:
    """The "stdout" style."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self.value: Any = None

    def run(self, statements: list[_Statement]) -> None:
        for statement in statements:
            self.value = self._program.execute(statement.node)

    def text(self) -> str:
        printed = self._program.stdout.peek()
        if printed:
            self.value = None
        return stdout_text(printed, self.value)


class _Segments:
    """The "reference" style: with two print nodes or more, what each of them printed; what stands behind the last is left alone."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._prints: list[_Statement] = []
        self._waiting: list[_Statement] = []
        self._last_printed = ""
        self.value: Any = None

    def run(self, statements: list[_Statement]) -> None:
        self._waiting += statements
        print_places = [
            i for i, statement in enumerate(self._waiting) if _holds_print(statement.node)
        ]
        segmented = len(self._prints) + len(print_places) >= 2
        end = (print_places[-1] + 1 if print_places else 0) if segmented else len(self._waiting)
        due, self._waiting = self._waiting[:end], self._waiting[end:]
        for statement in due:
            self._program.stdout.take()
            self.value = self._program.execute(statement.node)
            statement.printed = self._last_printed = self._program.stdout.take()
            if _holds_print(statement.node):
                self._prints.append(statement)

    def text(self) -> str:
        if len(self._prints) >= 2:
            self.value = None
            return "\n".join(statement.shows() for statement in self._prints)
        return _rounded(self._last_printed) if self.value is None else str(self.value)


def _holds_print(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.If | ast.While | ast.For | ast.FunctionDef):
        return any(map(_holds_print, statement.body))
    call = statement.value if isinstance(statement, ast.Expr) else None
    return (
        isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "print"
    )


def _rounded(printed: str) -> str:
    try:
        short = str(round(float(printed), 4))
    except ValueError:
        return printed
    return short if len(short) < len(printed.strip()) else printed


def cut(text: str) -> str:
    """A text of at most `MAX_OBSERVATION_CHARS`, its middle left out if need be."""
    if len(text) <= MAX_OBSERVATION_CHARS:
        return text
    half = MAX_OBSERVATION_CHARS // 2
    return f"{text[:half]}...{text[-half:]}"
