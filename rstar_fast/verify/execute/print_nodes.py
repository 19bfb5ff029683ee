"""Print nodes: the statements that the "reference" style shows.

Used in the main process and in the processes of programs. Needs the standard library only.
"""

import ast
import re

_ARGUMENTS = re.compile(r"print\((.*?)\)")


def is_print_node(statement: ast.stmt) -> bool:
    """Return whether a statement is a `print(...)`, or a block that holds one in its body."""
    if isinstance(statement, ast.If | ast.While | ast.For | ast.FunctionDef):
        return any(map(is_print_node, statement.body))
    call = statement.value if isinstance(statement, ast.Expr) else None
    return (
        isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "print"
    )


def end_of_shown(nodes: list[bool], num_before: int = 0) -> int:
    """Return how many statements are executed.

    Those behind the last print node are not, if there are several.

    Args:
        nodes: Whether each statement is a print node, in order.
        num_before: Number of print nodes in front of these statements.
    """
    if num_before + sum(nodes) < 2:
        return len(nodes)
    return len(nodes) - nodes[::-1].index(True) if any(nodes) else 0


class SourceLines:
    """Text of a program, from which the texts of its statements are taken.

    `ast.get_source_segment` does the same, but splits the whole text each time.
    """

    def __init__(self, text: str) -> None:
        """Split a text into lines, as the parser does."""
        self._lines = text.encode().splitlines(keepends=True)

    def print_arguments(self, statement: ast.stmt) -> str:
        """Return what stands in the calls of print in a statement, as text with a colon.

        Returns "" if no such call stands on one line.
        """
        found = _ARGUMENTS.findall(self.text_of(statement))
        return f"{' '.join(found)}:" if found else ""

    def text_of(self, statement: ast.stmt) -> str:
        """Return the text of a statement."""
        assert statement.end_lineno is not None
        lines = self._lines[statement.lineno - 1 : statement.end_lineno]
        lines[-1] = lines[-1][: statement.end_col_offset]
        lines[0] = lines[0][statement.col_offset :]
        return b"".join(lines).decode()
