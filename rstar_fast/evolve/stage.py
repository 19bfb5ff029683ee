"""One stage of a self-evolution: a folder that is finished when its manifest is there."""

import hashlib
import json
import platform
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from rstar_fast.errors import StoreError
from rstar_fast.store.config_file import write_json

MANIFEST = "manifest.json"
_PACKAGES = ("rstar_fast", "torch", "transformers", "trl", "numpy", "sympy")


@dataclass(frozen=True, slots=True)
class Stage:
    """Something to be done once.

    Attributes:
        name: also its folder below the run's, as in "round-2/policy".
        kind: what does it, see `rstar_fast.evolve.process`.
        options: plain values for that.
        needs: names of the stages whose results it reads.
    """

    name: str
    kind: str
    options: dict[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """What a finished stage says of itself; None where it is not finished.

    Raises:
        StoreError: the manifest is damaged.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise StoreError(f"{folder / MANIFEST}: cannot be read: {error}") from error
    if not isinstance(manifest, dict) or "metrics" not in manifest:
        raise StoreError(f"{folder / MANIFEST}: damaged: expected an object with metrics")
    return manifest


def write_manifest(
    folder: Path, stage: Stage, metrics: Mapping[str, Any], seconds: float, run: Path
) -> None:
    """Say that a stage is finished, and what it was made of.

    Raises:
        StoreError: the disk refuses.
    """
    inputs = {name: _digest(run / name / MANIFEST) for name in stage.needs}
    versions = {"python": platform.python_version()} | {name: _version(name) for name in _PACKAGES}
    manifest = {
        "stage": stage.name,
        "kind": stage.kind,
        "options": stage.options,
        "inputs": inputs,
        "versions": versions,
        "seconds": round(seconds, 3),
        "metrics": dict(metrics),
    }
    try:
        write_json(folder / MANIFEST, manifest)
    except OSError as error:
        raise StoreError(
            f"{folder / MANIFEST}: cannot be written: {error.strerror or error}"
        ) from error


@contextmanager
def fresh_folder(folder: Path) -> Iterator[Path]:
    """A folder to be filled that takes its name only when it is whole; what an earlier attempt left goes.

    Raises:
        StoreError: the disk refuses.
    """
    unfinished = folder.with_name(folder.name + ".unfinished")
    try:
        for old in (unfinished, folder):
            if old.exists():
                shutil.rmtree(old)
        unfinished.mkdir(parents=True)
        yield unfinished
        unfinished.replace(folder)
    except OSError as error:
        raise StoreError(f"{folder}: cannot be written: {error.strerror or error}") from error


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
