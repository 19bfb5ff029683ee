"""A block's steps as one Python program, and what running it shows.

Needs the standard library only and runs inside the process of the program, which it trusts with nothing but its own result.
"""

import ast
import io
import re
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any, Literal

from rstar_fast.steps import CODE, END_OF_CODE, MARKS

MAX_OBSERVATION_CHARS = 1024
"""A longer text is cut to its first and last half around "..."."""

_BLOCK = re.compile(f"{re.escape(CODE)}(.*?)(?:{re.escape(END_OF_CODE)}|\\Z)", re.DOTALL)
_MARK = re.compile("|".join(map(re.escape, MARKS)))
_FENCE_BEGIN = re.compile(r"\A(\s*)`+(?:python\b)?|\A(\s*)python[ \t]*(?=\n)")
_FENCE_END = re.compile(r"`+\s*\Z")
_PRINT_ARGUMENTS = re.compile(r"print\((.*?)\)", re.DOTALL)


def source_of(steps: Sequence[str]) -> str:
    r"""The program of an open block: the code of its joined steps, marks and code fences removed.

    Line numbers are those of the joined text from the line of `<code>` on.

    >>> source_of(("Let us see. <code>\nx = 3\n<end_of_step>", "\nprint(x)\n<end_of_code>"))
    '\nx = 3\n\nprint(x)\n'
    """
    text = "".join(steps)
    code = "\n".join(_BLOCK.findall(text)) if CODE in text else text
    code = _MARK.sub("", code)
    return _FENCE_END.sub("", _FENCE_BEGIN.sub(lambda match: match[1] or match[2] or "", code))


def run(source: str, style: Literal["stdout", "reference"], stdout: "Capture") -> str:
    """Run a program in a fresh `__main__`, its `sys.stdout` being `stdout`, and give its observation.

    Raises whatever the program raises, `SystemExit` and `KeyboardInterrupt` included; `describe` words it.

    Args:
        source: the program.
        style: "stdout" shows everything printed, or the value of a last expression where nothing was printed; "reference" is the
            style of the released training data.
        stdout: collects what is printed.
    """
    module = ModuleType("__main__")
    sys.modules["__main__"] = module
    sys.stdout = sys.__stdout__ = stdout  # type: ignore[misc, assignment]
    statements = ast.parse(source, "<unknown>").body
    observe = _observe_stdout if style == "stdout" else _observe_reference
    return _cut(observe(statements, source, _Runner(module.__dict__), stdout)).strip()


def describe(error: BaseException) -> str:
    """An exception as an observation: `Type: message`."""
    name = "MemoryError" if isinstance(error, MemoryError) else type(error).__name__
    try:
        message = str(error)
    except BaseException as unprintable:  # a program's own __str__
        message = f"<unprintable: {type(unprintable).__name__}>"
    return _cut(f"{name}: {message}").strip()


class Capture(io.TextIOBase):
    """A text stream that keeps the beginning and the end of what is written, in bounded memory."""

    encoding = "utf-8"
    errors = "replace"

    def __init__(self, limit_chars: int) -> None:
        self._half = limit_chars // 2
        self._reset()

    def _reset(self) -> None:
        self._head = io.StringIO()
        self._tail = io.StringIO()
        self._room = self._half

    def write(self, text: str) -> int:
        """Take text in; what is neither in the first nor in the last half of the limit is dropped."""
        if self.closed:
            raise ValueError("I/O operation on closed file.")
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        begin = text[: self._room]
        self._head.write(begin)
        self._room -= len(begin)
        if len(begin) < len(text):
            self._tail.write(text[max(len(begin), len(text) - self._half) :])
            if self._tail.tell() > 4 * self._half:
                end = self._tail.getvalue()[-self._half :]
                self._tail = io.StringIO()
                self._tail.write(end)
        return len(text)

    def take(self) -> str:
        """What was written since the last `take`, its middle left out beyond the limit."""
        text = self._head.getvalue() + self._tail.getvalue()[-self._half :]
        self._reset()
        return text

    @property
    def buffer(self) -> "_Bytes":
        """The stream for programs that write bytes."""
        return _Bytes(self)

    def reconfigure(self, **_: Any) -> None:
        """Accepted, as the stream of a usual program has it; changes nothing."""

    def writable(self) -> bool:
        """True."""
        return True


class _Bytes(io.RawIOBase):
    def __init__(self, text: Capture) -> None:
        self._text = text

    def write(self, data: Any) -> int:
        raw = bytes(data)
        self._text.write(raw.decode("utf-8", "replace"))
        return len(raw)

    def writable(self) -> bool:
        return True


class _Runner:
    """Executes top-level statements one after another in one namespace."""

    def __init__(self, namespace: dict[str, Any]) -> None:
        self._namespace = namespace
        self._future_flags = 0

    def __call__(self, statement: ast.stmt) -> Any:
        """The value of an expression statement, None for any other."""
        if isinstance(statement, ast.Expr):
            expression = ast.Expression(statement.value)
            return eval(compile(expression, "<unknown>", "eval", self._future_flags, dont_inherit=True), self._namespace)
        code = compile(ast.Module([statement], []), "<unknown>", "exec", self._future_flags, dont_inherit=True)
        if isinstance(statement, ast.ImportFrom) and statement.module == "__future__":
            self._future_flags |= code.co_flags & ~0xFFFF
        exec(code, self._namespace)
        return None


def _observe_stdout(statements: list[ast.stmt], source: str, run_statement: _Runner, stdout: Capture) -> str:
    value = None
    for statement in statements:
        value = run_statement(statement)
    printed = stdout.take()
    return _rounded(printed) if printed or value is None else str(value)


def _observe_reference(statements: list[ast.stmt], source: str, run_statement: _Runner, stdout: Capture) -> str:
    num_prints = sum(map(_holds_print, statements))
    if num_prints >= 2:
        return _observe_segments(statements, source, run_statement, stdout, num_prints)
    value = None
    for statement in statements:
        stdout.take()
        value = run_statement(statement)
    return _rounded(stdout.take()) if value is None else str(value)


def _observe_segments(statements: list[ast.stmt], source: str, run_statement: _Runner, stdout: Capture, num_prints: int) -> str:
    lines: list[str] = []
    for statement in statements:
        stdout.take()
        run_statement(statement)
        if _holds_print(statement):
            arguments = ", ".join(_PRINT_ARGUMENTS.findall(ast.get_source_segment(source, statement) or ""))
            lines.append(f"{arguments}: {_rounded(stdout.take()).strip()}")
            if len(lines) == num_prints:
                break
    return "\n".join(lines)


def _holds_print(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.If | ast.While | ast.For | ast.FunctionDef):
        return any(map(_holds_print, statement.body))
    call = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "print"


def _rounded(printed: str) -> str:
    try:
        short = str(round(float(printed), 4))
    except ValueError:
        return printed
    return short if len(short) < len(printed.strip()) else printed


def _cut(text: str) -> str:
    if len(text) <= MAX_OBSERVATION_CHARS:
        return text
    half = MAX_OBSERVATION_CHARS // 2
    return f"{text[:half]}...{text[-half:]}"
