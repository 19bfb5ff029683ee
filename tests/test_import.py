"""The package's surface: small, sorted, documented, and cheap to import."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import rstar_fast
from rstar_fast import _core

PUBLIC = ["PPM", "Executor", "Failure", "Forest", "FunctionPolicy", "MathVerifier", "PackedScorer"]
PUBLIC += ["Problem", "RStarError", "RunFolder", "Search", "SearchConfig", "Searcher"]
PUBLIC += ["TransformersPolicy", "Tree", "load_problems"]
HEAVY = {"torch", "transformers", "triton", "datasets", "math_verify", "sympy"}


def test_import_loads_nothing_heavy() -> None:
    program = "import sys, rstar_fast; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "rstar_fast" in loaded
    assert not HEAVY & set(loaded)


def test_the_public_names_are_these() -> None:
    assert len(Path(rstar_fast.__file__).read_text().splitlines()) <= 40
    names = list(rstar_fast.__all__)
    assert names == PUBLIC
    assert all(getattr(rstar_fast, name) is not None for name in names)
    with pytest.raises(AttributeError, match="no attribute 'Serach'"):
        rstar_fast.Serach  # noqa: B018


def test_the_core_says_the_first_line_of_its_stub() -> None:
    stub = ast.parse(Path(rstar_fast.__file__).with_name("_core.pyi").read_text())
    for node in stub.body:
        if isinstance(node, ast.FunctionDef):
            assert summary(node) in getattr(_core, node.name).__doc__
        if isinstance(node, ast.ClassDef):
            described = getattr(_core, node.name)
            assert (described.__doc__ or "").strip() == summary(node)
            for method in node.body:
                if isinstance(method, ast.FunctionDef) and ast.get_docstring(method):
                    assert summary(method) in getattr(described, method.name).__doc__


def summary(node: ast.ClassDef | ast.FunctionDef) -> str:
    docstring = ast.get_docstring(node)
    assert docstring, f"{node.name} has no docstring"
    return docstring.splitlines()[0]
