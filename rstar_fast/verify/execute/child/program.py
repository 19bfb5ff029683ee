"""A Python program that is executed one piece at a time, and its observations.

Runs in the processes of programs, and needs the standard library only. A program can change
anything in its process, so it is trusted with nothing but its own result.
"""

import ast
import re
import sys
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal

from rstar_fast.verify.execute.child.capture import Capture
from rstar_fast.verify.execute.observation_text import cut, rounded, stdout_text

_PRINT_ARGUMENTS = re.compile(r"print\((.*?)\)", re.DOTALL)
# Looked up once: a program may rebind it, and its later pieces still have to be parsed.
_parse = ast.parse


class NotIncremental(Exception):
    """The new piece continues a statement, so the whole program must be run at once."""


class Program:
    """A program that grows one piece at a time.

    Each `extend` executes a new piece and returns the observation of the whole program. The
    observation is the text that the program would show if it were executed at once. The exception
    is a shown value whose own `__str__` or `__repr__` has effects: see `resumable`.

    Attributes:
        observing: Whether an error that `extend` raised came from showing a value, not from a
            statement.
    """

    def __init__(self, style: Literal["stdout", "reference"], stdout: Capture) -> None:
        """Begin an empty program, which becomes this process's `__main__`.

        Args:
            style: Style of the observations. "stdout" shows everything that was printed, or the
                value of the last expression if nothing was. "reference" is the style of the
                released training data.
            stdout: Stream that collects what is printed. It becomes `sys.stdout`.
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

    @property
    def resumable(self) -> bool:
        """Whether showing the observation surely had no effects on later pieces."""
        return self._observe.value is None or not (
            "__str__" in self._source or "__repr__" in self._source
        )

    def extend(self, source: str) -> str:
        """Execute a new piece of the program, and return the observation of the whole.

        Raises whatever the program raises, `SystemExit` and `KeyboardInterrupt` included. The
        program cannot be extended after that.

        Args:
            source: Text of the piece, which follows on the text executed so far. It begins at the
                beginning of a line.

        Raises:
            NotIncremental: The piece cannot be executed on its own. The program is unchanged.
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
        """Run one top-level statement. Returns its value if it is an expression, else None."""
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
        """Stream that the program prints to."""
        return self._stdout


def check(source: str) -> None:
    """Parse a program. Raises what parsing raises."""
    _parse(source, "<unknown>")


@dataclass(slots=True)
class _Statement:
    """A top-level statement.

    Attributes:
        node: Parsed statement.
        source: Text that the node's line numbers refer to.
        printed: Text that it printed.
    """

    node: ast.stmt
    source: str
    printed: str = ""

    def shows(self) -> str:
        """Return the arguments of its prints, and what it printed."""
        arguments = ", ".join(
            _PRINT_ARGUMENTS.findall(ast.get_source_segment(self.source, self.node) or "")
        )
        return f"{arguments}: {rounded(self.printed).strip()}"


class _Whole:
    """Observations of the "stdout" style.

    Attributes:
        value: Value of the last statement that the observation may show. None for none.
    """

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
    """Observations of the "reference" style.

    With two printing statements or more, the observation is what each of them printed. Statements
    after the last one are then not executed. Otherwise the observation is the value of the last
    statement, or what it printed.

    Attributes:
        value: Value of the last statement that the observation may show. None for none.
    """

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
        return rounded(self._last_printed) if self.value is None else str(self.value)


def _holds_print(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.If | ast.While | ast.For | ast.FunctionDef):
        return any(map(_holds_print, statement.body))
    call = statement.value if isinstance(statement, ast.Expr) else None
    return (
        isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "print"
    )
