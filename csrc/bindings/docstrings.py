"""Write the docstrings of a stub file as C++ strings, so that the compiled module has them too.

    python docstrings.py rstar_fast/_core.pyi docstrings.hpp

The header has one constant for each docstring: `core` for the module, `pack` for a function,
`Forest` for a class and `Forest_select` for a method or property of it.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path


def docstrings(module: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield the name of the constant and the text for every docstring of a module."""
    for prefix, scope in [
        ("", module),
        *((f"{node.name}_", node) for node in module.body if isinstance(node, ast.ClassDef)),
    ]:
        for node in scope.body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and (
                text := ast.get_docstring(node)
            ):
                yield prefix + node.name, text


def main(stub: Path, header: Path) -> None:
    """Write the header for a stub."""
    module = ast.parse(stub.read_text(encoding="utf-8"))
    constants = {"core": ast.get_docstring(module) or "", **dict(docstrings(module))}
    lines = [
        f'inline constexpr char {name}[] = R"doc({text})doc";' for name, text in constants.items()
    ]
    header.write_text(
        "\n".join(["#pragma once", "namespace rstar_fast::bindings::docs {", *lines, "}", ""]),
        encoding="utf-8",
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
