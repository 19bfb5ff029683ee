"""Options of self-evolutions that tests run."""

import json
from pathlib import Path
from typing import Any

from rstar_fast.embedded import base_path
from rstar_fast.embedded.problems import graded_problems

RECIPE = Path(__file__).parents[2] / "recipes" / "embedded" / "evolve.toml"
"""The configuration that the embedded models come from."""


def options(folder: Path, **changes: Any) -> dict[str, Any]:
    """A small self-evolution of the embedded base."""
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
        "policy": {"preset": "cpu-policy", "epochs": 1},
        "ppm": {"preset": "cpu-ppm", "epochs": 1},
        "evaluate": {
            "greedy": 4,
            "problems": 3,
            "searches": 2,
            "samples": 4,
            "held_out_pairs": 0.4,
        },
        "rounds": [{"again": [{"difficulties": ["hard", "medium"], "rollouts": 4}]}],
        **changes,
    }
