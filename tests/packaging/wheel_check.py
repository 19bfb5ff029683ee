"""Check a built wheel as a user meets it: in a new virtual environment, from an empty folder.

    python tests/packaging/wheel_check.py dist/rstar_fast-*.whl

The wheel must hold the package and nothing else. Installed with its base dependencies it must
import, search with a function for a policy, and name the extra where one is missing. Installed with
[local] it must run the demo.
"""

import re
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONSTRAINTS = ROOT / "constraints.txt"
COMPILED = re.compile(r"rstar_fast/(_core|_clone)\.[\w-]+\.so")
METADATA = re.compile(r"rstar_fast-[\w.]+\.dist-info/.+")

FOREST = """
import importlib.util
import sys
import rstar_fast
assert rstar_fast.__file__.startswith(sys.prefix), rstar_fast.__file__
found = [name for name in sys.argv[1:] if importlib.util.find_spec(name)]
assert not found, f"the base install brought {found}"

import numpy as np
forest = rstar_fast.Forest(1, 100)
root = np.array([forest.root(tree) for tree in forest.new_trees(1)], np.int32)
first = forest.expand(root, np.array([3], np.int32))
forest.backup(first + 2, np.array([1.0]))
reached, _ = forest.select(root, np.array([1], np.int32), 2.0)
assert reached == first + 2, reached
"""


def main(wheel: Path) -> None:
    """Check the names in the wheel, install it and use it. Raises if anything fails."""
    # This module is in the folder of the script, which is not on the path when pytest imports it.
    from test_light_base import EXTRAS, MISSING, SEARCH

    check_names(wheel)
    with tempfile.TemporaryDirectory() as folder:
        venv.create(Path(folder, "venv"), with_pip=True)
        python = Path(folder, "venv", "bin", "python")
        empty = Path(folder, "empty")
        empty.mkdir()

        def run(*arguments: str | Path) -> None:
            subprocess.run([python, *arguments], cwd=empty, check=True)

        def install(what: str) -> None:
            run("-m", "pip", "install", "--quiet", "--constraint", CONSTRAINTS, what)
            run("-m", "pip", "check")

        install(str(wheel.resolve()))
        run("-c", FOREST, *EXTRAS)
        run("-c", SEARCH)
        run("-c", f"import sys\n{MISSING}", folder)
        print("base install: ok")
        install(f"{wheel.resolve()}[local]")
        run("-m", "rstar_fast", "demo", "--problems", "4", "--json", "demo.json")
        print((empty / "demo.json").read_text())
    print("ok")


def check_names(wheel: Path) -> None:
    """Raise unless the wheel holds the package, two compiled modules and its metadata only."""
    with zipfile.ZipFile(wheel) as archive:
        files = {item.filename: item.file_size for item in archive.infolist()}
    package = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "rstar_fast").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    compiled = sorted(found[1] for name in files if (found := COMPILED.fullmatch(name)))
    others = {name for name in files if not COMPILED.fullmatch(name) and not METADATA.match(name)}
    if others != package or compiled != ["_clone", "_core"]:
        raise SystemExit(
            f"{wheel.name}: not in the package: {sorted(others - package)}; "
            f"not in the wheel: {sorted(package - others)}; compiled: {compiled}"
        )
    size, unpacked = wheel.stat().st_size, sum(files.values())
    print(f"{wheel.name}: {len(files)} files, {size:,} bytes, {unpacked:,} unpacked")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
