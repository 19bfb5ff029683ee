"""Check a built distribution as a user meets it: in a new environment, from an empty folder.

    python tests/packaging/wheel_check.py dist/rstar_fast-*.whl
    python tests/packaging/wheel_check.py wheelhouse/rstar_fast-*.tar.gz
    python tests/packaging/wheel_check.py --installed

The wheel must hold the package and nothing else. Installed with its base dependencies it must
import, search with a function for a policy, run programs, grade, and name the extra where one is
missing. Installed with [local] it must run the demo. A source distribution must hold what git
tracks, and is checked by the wheel that it makes. With --installed, the base of what this
interpreter has is checked. The last line is one JSON object: sizes, and times of installing.
"""

import argparse
import json
import re
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
CONSTRAINTS = ROOT / "constraints.txt"
COMPILED = re.compile(r"rstar_fast/(_core|_clone)\.[\w-]+\.so")
METADATA = re.compile(r"rstar_fast-[\w.]+\.dist-info/.+")
ON_LINUX = sys.platform == "linux"

FOREST = """
import importlib.metadata
import importlib.util
import pathlib
import sys
import sysconfig
import rstar_fast
assert rstar_fast.__file__.startswith(sys.prefix), rstar_fast.__file__
assert rstar_fast.__version__ == importlib.metadata.version("rstar-fast")
found = [name for name in sys.argv[1:] if importlib.util.find_spec(name)]
assert not found, f"the base install brought {found}"

import numpy as np
forest = rstar_fast.Forest(1, 100)
root = np.array([forest.root(tree) for tree in forest.new_trees(1)], np.int32)
first = forest.expand(root, np.array([3], np.int32))
forest.backup(first + 2, np.array([1.0]))
reached, _ = forest.select(root, np.array([1], np.int32), 2.0)
assert reached == first + 2, reached
levels = rstar_fast._core.simd_levels()
cpuinfo = pathlib.Path("/proc/cpuinfo")
assert ("avx2" in levels) == (cpuinfo.exists() and " avx2" in cpuinfo.read_text()), levels
if sysconfig.get_config_var("Py_GIL_DISABLED"):
    assert not sys._is_gil_enabled(), "an extension switched the GIL on"
"""


def check(distribution: Path, python: Path, extras: Sequence[str] = ("local",)) -> None:
    """Check the names in a distribution, install it with an interpreter, and use it.

    Raises if anything fails. Prints what it measured.
    """
    told: dict[str, Any] = {"file": distribution.name, "bytes": distribution.stat().st_size}
    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder, "empty")
        empty.mkdir()
        if distribution.name.endswith(".tar.gz"):
            check_tracked(distribution)
            distribution = made_of(distribution, python, Path(folder))
        check_names(distribution)
        subprocess.run([python, "-m", "venv", Path(folder, "venv")], check=True)
        new = Path(folder, "venv", "bin", "python")
        told["base"] = install(new, str(distribution.resolve()), Path(folder, "base"))
        check_base(new, empty)
        for extra in extras:
            wanted = f"{distribution.resolve()}[{extra}]"
            told[extra] = install(new, wanted, Path(folder, extra))
        if "local" in extras:
            demo = ("-m", "rstar_fast", "demo", "--problems", "4", "--json", "demo.json")
            subprocess.run([new, *demo], cwd=empty, check=True, stdout=subprocess.DEVNULL)
            told["demo"] = json.loads((empty / "demo.json").read_text())
    print(json.dumps(told))


def check_base(python: Path, empty: Path) -> None:
    """Raise unless the package of an interpreter works with its base dependencies alone.

    Args:
        python: Interpreter. It has none of the extras.
        empty: Folder to work in.
    """
    # This module is in the folder of the script, which is not on the path when pytest imports it.
    from test_light_base import EXTRAS, MISSING, NO_HTTP, SEARCH
    from test_other_systems import ELSEWHERE

    for program in (FOREST, SEARCH if ON_LINUX else ELSEWHERE, f"import sys\n{MISSING}", NO_HTTP):
        arguments = EXTRAS if program is FOREST else (str(empty),)
        subprocess.run([python, "-c", program, *arguments], cwd=empty, check=True)
    print("base install: ok")


def install(python: Path, what: str, folder: Path) -> dict[str, float]:
    """Download what an environment lacks of a requirement, and install it from there.

    Returns:
        Number of packages and bytes downloaded, bytes that they take once installed, and the
        seconds of installing from the folder.
    """
    pip = [python, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    before = site_bytes(python)
    constraint = ["--constraint", CONSTRAINTS]
    subprocess.run([*pip, "download", "--dest", folder, *constraint, what], check=True)
    have = {canonical(one["name"]) for one in json.loads(listed(python))}
    new = [path for path in folder.iterdir() if canonical(path.name.split("-")[0]) not in have]
    began = time.perf_counter()
    found = ["--no-index", "--find-links", folder]
    subprocess.run([*pip, "install", *found, *constraint, what], check=True)
    took = time.perf_counter() - began
    subprocess.run([*pip, "check"], check=True)
    return {
        "packages": len(new),
        "bytes": sum(path.stat().st_size for path in new),
        "installed_bytes": site_bytes(python) - before,
        "install_s": round(took, 1),
    }


def listed(python: Path) -> str:
    """Return the packages of an environment, as pip's JSON."""
    command = [python, "-m", "pip", "list", "--format", "json"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def canonical(name: str) -> str:
    """Return the one spelling of a package's name."""
    return re.sub(r"[-_.]+", "-", name).lower()


def site_bytes(python: Path) -> int:
    """Return the bytes of the files in an environment."""
    files = (path for path in python.parents[1].rglob("*") if not path.is_symlink())
    return sum(path.stat().st_size for path in files if path.is_file())


def made_of(sdist: Path, python: Path, folder: Path) -> Path:
    """Return the wheel that pip makes of a source distribution, with this machine's compiler."""
    command = [python, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder]
    subprocess.run([*command, sdist.resolve()], check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def check_tracked(sdist: Path) -> None:
    """Raise unless a source distribution holds what git tracks, without CI, and its metadata."""
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    tracked = set(subprocess.check_output(command, cwd=ROOT, text=True).splitlines())
    tracked = {name for name in tracked if not name.startswith((".ci/", ".github/"))}
    compare(sdist, names - {"PKG-INFO"}, tracked, "tracked by git")


def check_names(wheel: Path) -> None:
    """Raise unless the wheel holds the package, its compiled modules and its metadata only."""
    with zipfile.ZipFile(wheel) as archive:
        names = {item.filename for item in archive.infolist() if not item.is_dir()}
    package = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "rstar_fast").rglob("*")
        if path.is_file() and path.suffix != ".so" and "__pycache__" not in path.parts
    }
    compiled = sorted(found[1] for name in names if (found := COMPILED.fullmatch(name)))
    if compiled != (["_clone", "_core"] if ON_LINUX else ["_core"]):
        raise SystemExit(f"{wheel.name}: compiled modules: {compiled}")
    others = {name for name in names if not COMPILED.fullmatch(name) and not METADATA.match(name)}
    compare(wheel, others, package, "in the package")


def compare(distribution: Path, found: set[str], expected: set[str], where: str) -> None:
    """Raise unless a distribution holds the files that it should."""
    if found != expected:
        raise SystemExit(
            f"{distribution.name}: not {where}: {sorted(found - expected)}; "
            f"missing: {sorted(expected - found)}"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("distribution", type=Path, nargs="?", help="a wheel, or an sdist")
    parser.add_argument("--installed", action="store_true", help="check what is installed")
    args = parser.parse_args()
    if args.installed:
        with tempfile.TemporaryDirectory() as nowhere:
            check_base(Path(sys.executable), Path(nowhere))
    elif args.distribution:
        check(args.distribution, Path(sys.executable))
    else:
        parser.error("expected a distribution, or --installed")
