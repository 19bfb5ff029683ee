"""Manifests: a stage is finished once its folder has one."""

import hashlib
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from rstar_fast.errors import StoreError
from rstar_fast.evolve.stage import Stage
from rstar_fast.store.config_file import read_json, write_json

MANIFEST = "manifest.json"
_PACKAGES = ("rstar_fast", "torch", "transformers", "trl", "numpy", "sympy")


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Return the manifest of a stage's folder. None if the stage is not finished.

    Raises:
        StoreError: The manifest is damaged.
    """
    try:
        manifest = read_json(folder / MANIFEST)
    except FileNotFoundError:
        return None
    if not isinstance(manifest.get("metrics"), dict):
        raise StoreError(f"{folder / MANIFEST}: damaged: expected an object with metrics")
    return manifest


def write_manifest(
    folder: Path, stage: Stage, metrics: Mapping[str, Any], seconds: float, run: Path
) -> None:
    """Write that a stage is finished, and what it was made of.

    Args:
        folder: Folder of the stage.
        stage: Finished stage. Those that it needs have manifests, whose digests are written.
        metrics: JSON values that the stage found.
        seconds: Time that the stage took.
        run: Folder of the self-evolution.

    Raises:
        StoreError: The disk refuses.
    """
    inputs = {name: _digest(run / name / MANIFEST) for name in stage.needs}
    versions = {"python": platform.python_version()} | {name: _version(name) for name in _PACKAGES}
    manifest = {
        "stage": stage.name,
        "kind": stage.kind,
        "options": stage.to_dict(),
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


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
