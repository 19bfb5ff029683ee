"""Options of self-evolutions that tests run, and a way to run them in this process."""

import json
from pathlib import Path
from typing import Any

from rstar_fast.embedded import base_path
from rstar_fast.embedded.problems import graded_problems
from rstar_fast.evolve import EvolveConfig, process
from rstar_fast.evolve.plan import plan
from rstar_fast.store.config_file import write_config

RECIPE = Path(__file__).parents[2] / "recipes" / "embedded" / "evolve.toml"
"""File of the self-evolution that made the embedded models."""


def options(folder: Path, **changes: Any) -> dict[str, Any]:
    """Write problem files and return the options of a small self-evolution of the embedded base."""
    for name, seed in (("train", 11), ("held_out", 1)):
        lines = [
            json.dumps(
                {
                    "id": f"level-{i % 2}/{name}-{i}",
                    "question": problem.question,
                    "answer": problem.answer,
                }
            )
            for i, problem in enumerate(graded_problems("held_out", 4, seed, levels=(0, 1)))
        ]
        (folder / f"{name}.jsonl").write_text("\n".join(lines))
    return {
        "base": str(base_path()),
        "problems": str(folder / "train.jsonl"),
        "held_out": str(folder / "held_out.jsonl"),
        "parts": 2,
        "dtype": "float32",
        "search": {
            "candidates": 6,
            "rollouts": 6,
            "max_depth": 8,
            "max_step_tokens": 40,
            "temperature": 1.3,
        },
        "policy": {"preset": "cpu-policy", "epochs": 4},
        "ppm": {
            "preset": "cpu-ppm",
            "epochs": 1,
            "likelihood": "fitted",
            "observations": True,
        },
        "evaluate": {
            "greedy": 4,
            "problems": 3,
            "searches": 2,
            "samples": 4,
            "budgets": [200, 400],
            "held_out_pairs": 0.4,
        },
        "rounds": [{"again": [{"difficulties": ["hard", "medium"], "rollouts": 4}]}],
        **changes,
    }


def do_all(run: Path, opened: dict[str, Any], upto: str = "") -> list[str]:
    """Do every stage in this process, up to one that is left out. Returns their names."""
    run.mkdir(parents=True, exist_ok=True)
    write_config(run, {"options": opened, "files": {}})
    names = [stage.name for stage in plan(EvolveConfig.from_dict(opened))]
    names = names[: names.index(upto)] if upto else names
    for name in names:
        process.do(run, name, "cpu", 1)
    return names


def options_of(run: Path) -> dict[str, Any]:
    """Return the options that a run was started with."""
    opened: dict[str, Any] = json.loads((run / "config.json").read_text())["options"]
    return opened
