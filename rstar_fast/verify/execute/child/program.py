"""A Python program that is executed one piece at a time, and its observations.

Runs in the processes of programs, and needs the standard library only. A program can change
anything in its process, so it is trusted with nothing but its own result.
"""

import ast
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from rstar_fast.verify.execute.child.capture import Capture
from rstar_fast.verify.execute.observation_text import (
    after_output,
    cut,
    describe,
    reference_text,
    stdout_text,
)
from rstar_fast.verify.execute.print_nodes import SourceLines, end_of_shown, is_print_node
from rstar_fast.verify.execute.zygote_options import Style

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

    def __init__(
        self, style: Style, stdout: Capture, begin_shown: Callable[[], object] = lambda: None
    ) -> None:
        """Begin an empty program, which becomes this process's `__main__`.

        Args:
            style: Style of the observations. "stdout" shows everything that was printed, or the
                value of the last expression if nothing was. "reference" is the style of the
                released training data. "step" shows what "stdout" would of the last piece.
            stdout: Stream that collects what is printed. It becomes `sys.stdout`.
            begin_shown: Function that forgets what was printed. It is called in the style "step",
                before the first statement that is shown.
        """
        module = ModuleType("__main__")
        sys.modules["__main__"] = module
        sys.stdout = sys.__stdout__ = stdout  # type: ignore[misc, assignment]
        self._source = ""
        self._num_lines = 0
        self._namespace = module.__dict__
        self._future_flags = 0
        self._stdout = stdout
        self._observe: _Whole | _Segments
        if style == "step":
            self._observe = _Step(self, begin_shown)
        else:
            self._observe = _Whole(self) if style == "stdout" else _Segments(self)
        self.observing = False
        self._parsed = False

    @property
    def resumable(self) -> bool:
        """Whether showing the observation surely had no effects on later pieces."""
        return not self._observe.shows_value or not (
            "__str__" in self._source or "__repr__" in self._source
        )

    def extend(self, source: str, hidden: int = 0) -> str:
        """Execute a new piece of the program, and return the observation of the whole.

        Raises whatever the program raises, `SystemExit` and `KeyboardInterrupt` included. The
        program cannot be extended after that.

        Args:
            source: Text of the piece, which follows on the text executed so far. It begins at the
                beginning of a line.
            hidden: Number of characters from its beginning that the style "step" does not show.

        Raises:
            NotIncremental: The piece cannot be executed on its own. The program is unchanged.
        """
        self._parsed = False
        padded = "\n" * self._num_lines + source
        try:
            statements = _parse(padded, "<unknown>").body
        except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
            if not self._source:
                raise
            _parse(self._source + source, "<unknown>")
            raise NotIncremental from error
        self._parsed = True
        self._source += source
        first_shown = self._num_lines + source.count("\n", 0, hidden) + 1
        self._num_lines += source.count("\n")
        self._observe.run(statements, padded, first_shown)
        self.observing = True
        text = cut(self._observe.text()).strip()
        self.observing = False
        return text

    def failure(self, error: BaseException) -> str:
        """Return the observation of the whole after `extend` raised an error."""
        # A program that does not parse prints nothing, if it is executed at once.
        return after_output(self._observe.output() if self._parsed else "", describe(error))

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


class _Whole:
    """Observations of the "stdout" style."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._value: Any = None

    def run(self, statements: list[ast.stmt], source: str, first_shown: int) -> None:
        for statement in statements:
            self._value = self._program.execute(statement)

    def text(self) -> str:
        printed = self.output()
        if printed:
            self._value = None
        return stdout_text(printed, self._value)

    def output(self) -> str:
        return self._program.stdout.peek()

    @property
    def shows_value(self) -> bool:
        return self._value is not None


class _Step(_Whole):
    """Observations of the "step" style."""

    def __init__(self, program: Program, begin_shown: Callable[[], object]) -> None:
        super().__init__(program)
        self._begin_shown = begin_shown

    def run(self, statements: list[ast.stmt], source: str, first_shown: int) -> None:
        hidden = [s for s in statements if s.end_lineno is not None and s.end_lineno < first_shown]
        super().run(hidden, source, first_shown)
        self._value = None
        self._begin_shown()
        super().run(statements[len(hidden) :], source, first_shown)


class _Segments:
    """Observations of the "reference" style.

    With two print nodes or more, the observation is what each of them printed. Statements after the
    last one are then not executed. Otherwise the observation is the value of the last statement, or
    what it printed. A failure drops what was printed before it.
    """

    def __init__(self, program: Program) -> None:
        self._program = program
        self._prints: list[tuple[str, Any]] = []
        self._waiting: list[tuple[ast.stmt, SourceLines]] = []
        self._last: Any = ""

    def run(self, statements: list[ast.stmt], source: str, first_shown: int) -> None:
        lines = SourceLines(source)
        self._waiting += [(statement, lines) for statement in statements]
        nodes = [is_print_node(statement) for statement, _ in self._waiting]
        end = end_of_shown(nodes, len(self._prints))
        due, self._waiting = self._waiting[:end], self._waiting[end:]
        for (statement, lines), is_node in zip(due, nodes, strict=False):
            self._program.stdout.take()
            value = self._program.execute(statement)
            printed = self._program.stdout.take()
            self._last = printed if value is None else value
            if is_node:
                self._prints.append((lines.print_arguments(statement), self._last))

    def text(self) -> str:
        return reference_text(self._prints, self._last)

    def output(self) -> str:
        return ""

    @property
    def shows_value(self) -> bool:
        results = [result for _, result in self._prints] if len(self._prints) > 1 else [self._last]
        return any(type(result) is not str for result in results)
