"""Tests a built wheel as a user meets it: installed with its dependencies in a fresh venv, run from an empty folder.

python tests/wheel_check.py dist/rstar_fast-*.whl
"""

import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

CONSTRAINTS = Path(__file__).parents[2] / "constraints.txt"

USE = """
import sys
import rstar_fast
from rstar_fast._core import Forest
heavy = {"torch", "transformers", "triton"} & set(sys.modules)
assert not heavy, f"import rstar_fast also imported {heavy}"
assert rstar_fast.__file__.startswith(sys.prefix), rstar_fast.__file__

import numpy as np
forest = Forest(1, 100)
root = np.array([forest.root(tree) for tree in forest.new_trees(1)], np.int32)
first = forest.expand(root, np.array([3], np.int32))
forest.backup(first + 2, np.array([1.0]))
reached, _ = forest.select(root, np.array([1], np.int32), 2.0)
assert reached == first + 2, reached
"""


def main(wheel: Path) -> None:
    """Lists the wheel, installs it and uses it; raises if anything fails."""
    with zipfile.ZipFile(wheel) as archive:
        for item in archive.infolist():
            print(f"{item.file_size:>10,}  {item.filename}")
    print(f"{wheel.stat().st_size:>10,}  {wheel.name}")

    with tempfile.TemporaryDirectory() as folder:
        venv.create(Path(folder, "venv"), with_pip=True)
        python = Path(folder, "venv", "bin", "python")
        empty = Path(folder, "empty")
        empty.mkdir()

        def run(*arguments: str | Path) -> None:
            subprocess.run([python, *arguments], cwd=empty, check=True)

        run("-m", "pip", "install", "--quiet", "--constraint", CONSTRAINTS, wheel.resolve())
        run("-m", "pip", "check")
        run("-c", USE)
        run("-m", "rstar_fast", "demo", "--problems", "4", "--json", "demo.json")
        print((empty / "demo.json").read_text())
    print("ok")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
