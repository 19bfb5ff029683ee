"""What commands import, and what loading models leaves of the garbage collector."""

import gc
import subprocess
import sys
from pathlib import Path

import pytest
from trees import small_tree

from rstar_fast.cli.loading import loading
from rstar_fast.store import RunFolder

HEAVY = ["torch", "transformers", "sympy", "safetensors", "tokenizers", "datasets", "matplotlib"]


@pytest.mark.parametrize(
    "words", [["--help"], ["search", "--help"], ["demo", "--help"], ["show", "run"]]
)
def test_what_needs_no_model_imports_nothing_of_models(tmp_path: Path, words: list[str]) -> None:
    with RunFolder.open(tmp_path / "run", {}) as run:
        run.append(small_tree())
    program = f"""
import sys
from rstar_fast.cli import main
try:
    main({words})
except SystemExit:
    pass
found = [name for name in {HEAVY} if name in sys.modules]
assert not found, found
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path
    )
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("fails", [False, True])
def test_the_garbage_collector_works_again_after_loading(fails: bool) -> None:
    try:
        with loading():
            assert not gc.isenabled()
            made = [[] for _ in range(1000)]
            if fails:
                raise ValueError
    except ValueError:
        assert fails
    else:
        assert gc.get_freeze_count() >= len(made)
        gc.unfreeze()
    assert gc.isenabled()
