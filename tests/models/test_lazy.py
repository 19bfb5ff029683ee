"""Without torch and transformers all but the local models works. Those name the extra."""

import subprocess
import sys

PROGRAM = """
import sys

for package in ("torch", "transformers"):
    sys.modules[package] = None

import rstar_fast
from rstar_fast import Executor, FunctionPolicy, MathVerifier, RunFolder, Search, Searcher
from rstar_fast.policy import Sampling, ScriptedPolicy
from rstar_fast.ppm import ScoreSpec, ScriptedScorer

for name in ("TransformersPolicy", "PPM", "PackedScorer"):
    try:
        getattr(rstar_fast, name)
    except rstar_fast.RStarError as error:
        print(type(error).__name__, error)
"""


def test_torch_and_transformers_are_optional() -> None:
    printed = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    ).stdout
    assert printed.splitlines() == [
        f'ConfigError {name} needs torch and transformers: pip install "rstar-fast[local]"'
        for name in ("TransformersPolicy", "PPM", "PackedScorer")
    ]
