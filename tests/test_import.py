"""The package's surface: small, sorted, documented, and cheap to import."""

import subprocess
import sys
from pathlib import Path

import pytest

import rstar_fast

PUBLIC = ["PPM", "Executor", "Failure", "Forest", "FunctionPolicy", "MathVerifier", "PackedScorer"]
PUBLIC += ["Problem", "RStarError", "RunFolder", "Search", "SearchConfig", "Searcher"]
PUBLIC += ["TransformersPolicy", "Tree", "load_problems"]
HEAVY = {"torch", "transformers", "triton", "datasets", "latex2sympy2_extended", "mpmath", "sympy"}


def test_import_loads_nothing_heavy() -> None:
    program = "import sys, rstar_fast; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "rstar_fast" in loaded
    assert not HEAVY & set(loaded)


@pytest.mark.parametrize("words", ["--help", "show --help"])
def test_help_loads_neither_arrays_nor_the_search(words: str) -> None:
    program = (
        "import sys\nfrom rstar_fast.cli import main\n"
        f"try:\n    main({words.split()})\nexcept SystemExit:\n    print(*sys.modules)"
    )
    loaded = (
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        .stdout.splitlines()[-1]
        .split()
    )
    assert "rstar_fast.cli.commands" in loaded
    assert not (HEAVY | {"numpy", "rstar_fast.search"}) & set(loaded)


def test_the_public_names_are_these() -> None:
    assert len(Path(rstar_fast.__file__).read_text().splitlines()) <= 40
    names = list(rstar_fast.__all__)
    assert names == PUBLIC
    assert all(getattr(rstar_fast, name) is not None for name in names)
    with pytest.raises(AttributeError, match="no attribute 'Serach'"):
        rstar_fast.Serach  # noqa: B018
