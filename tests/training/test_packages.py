"""What data, stores, viewers and trainings need of the packages of the extra `train`."""

import subprocess
import sys

import pytest

from rstar_fast.errors import TrainError
from rstar_fast.training import TrainConfig, train_model
from rstar_fast.training.packages import require_packages

OPTIONAL = ["accelerate", "datasets", "matplotlib", "peft", "pyarrow", "safetensors", "torch"]
OPTIONAL += ["transformers", "triton", "trl"]
LIGHT = [
    "rstar_fast.checks",
    "rstar_fast.data",
    "rstar_fast.evaluate",
    "rstar_fast.evaluate.run",
    "rstar_fast.evaluate.tree_samples",
    "rstar_fast.store",
    "rstar_fast.training",
    "rstar_fast.training.config",
    "rstar_fast.training.train",
    "rstar_fast.viewer",
]


def test_these_import_without_the_packages_of_training() -> None:
    program = f"""
import sys
for name in {OPTIONAL}:
    sys.modules[name] = None
from importlib import import_module
for name in {LIGHT}:
    import_module(name)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize(
    ("kind", "missing"),
    [("policy", "torch"), ("policy", "accelerate"), ("ppm", "accelerate"), ("policy", "trl")],
)
def test_a_missing_package_is_an_error_that_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, kind: str, missing: str
) -> None:
    pytest.importorskip("trl")
    monkeypatch.setitem(sys.modules, missing, None)
    options = TrainConfig.preset(f"cpu-{kind}")
    message = rf'needs the package {missing}: pip install "rstar-fast\[train\]"'
    with pytest.raises(TrainError, match=message):
        train_model(kind, "base", [{}], "out", options)  # type: ignore[arg-type]


def test_all_missing_packages_are_named() -> None:
    require_packages("this", "sys", "json")
    with pytest.raises(TrainError, match="this needs the packages absent_a, absent_b: pip install"):
        require_packages("this", "absent_a", "sys", "absent_b")
