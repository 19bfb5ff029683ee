"""The compiled module has the docstrings of its stub, and their example runs."""

import ast
import doctest
import inspect
from operator import attrgetter
from pathlib import Path

import rstar_fast
from rstar_fast import _core


def test_the_compiled_docstrings_are_those_of_the_stub() -> None:
    stub = ast.parse(Path(rstar_fast.__file__).with_name("_core.pyi").read_text(encoding="utf-8"))
    classes = [node for node in stub.body if isinstance(node, ast.ClassDef)]
    documented = {
        f"{scope.name}.{node.name}" if isinstance(scope, ast.ClassDef) else node.name: text
        for scope in [stub, *classes]
        for node in scope.body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and (text := ast.get_docstring(node))
    }
    assert len(documented) > 40
    for name, text in documented.items():
        assert (inspect.getdoc(attrgetter(name)(_core)) or "").endswith(text), name


def test_the_example_of_the_forest_runs() -> None:
    example, *_ = doctest.DocTestFinder(recurse=False).find(_core.Forest, "Forest", globs={})
    assert len(example.examples) > 5
    assert doctest.DocTestRunner().run(example).failed == 0
