"""Check that a self-evolution whose every stage was killed with SIGKILL ends as an unbroken one.

    python -m tests.soak.killed_evolve --out DIR [--per-level 20] [--rounds 2] [--seed 0]

There are two small runs of `recipes/embedded/evolve.toml`. Nothing disturbs DIR/unbroken. In
DIR/killed each stage is killed once, at a random moment of the time that it took in the other run.
In turn this hits the process of the stage and that of the whole command.

The results are compared stage by stage: trees and rows (floats to a thousandth, as the last bits of
a log-probability depend on the other rows of its batch), solved problems byte by byte, and weights
by their largest difference. For a search the program says how many trees differ, and shows the
first texts that differ. A draw that falls between the last bits of two log-probabilities gives
another token, see `TransformersPolicy`. The exit status is 1 if anything but weights differs.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from bench.lib.card import print_card
from rstar_fast.data import read_rows
from rstar_fast.embedded import base_path
from rstar_fast.embedded.problems import LEVELS
from rstar_fast.evolve import EvolveConfig, read_options
from rstar_fast.evolve.manifest import read_manifest
from rstar_fast.evolve.plan import plan
from rstar_fast.evolve.stage import Stage
from rstar_fast.store import RunFolder

REPOSITORY = Path(__file__).parents[2]


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of both runs")
    parser.add_argument("--per-level", type=int, default=20, help="training problems of each level")
    parser.add_argument("--rounds", type=int, default=2, help="number of rounds, up to 4")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    config = args.out / "small.toml"
    config.write_text(small(args.per_level, args.rounds))
    stages = plan(EvolveConfig.from_dict(read_options(config)))
    print_card(stages=len(stages), problems=len(LEVELS) * args.per_level, rounds=args.rounds)
    unbroken, killed = args.out / "unbroken", args.out / "killed"
    if command(config, unbroken).wait():
        raise SystemExit(f"{unbroken}: the unbroken run did not end well")
    kills = kill_each(config, unbroken, killed, stages, random.Random(args.seed))
    print(f"\n{'kind':10}{'stages':>8}{'killed':>8}  after the restart")
    findings: dict[str, list[str]] = {}
    for stage in stages:
        findings.setdefault(stage.kind, []).append(
            compare(unbroken / stage.name, killed / stage.name, stage.kind)
        )
    for kind, found in findings.items():
        hit = sum(kills[stage.name] for stage in stages if stage.kind == kind)
        said = "; ".join(f"{count} {what}" for what, count in Counter(found).items())
        print(f"{kind:10}{len(found):8}{hit:8}  {said}")
    return int(any("DIFFERS" in what for found in findings.values() for what in found))


def small(per_level: int, rounds: int) -> str:
    """Return the text of `recipes/embedded/evolve.toml` with few problems and rounds."""
    text = (REPOSITORY / "recipes" / "embedded" / "evolve.toml").read_text()
    shrunk = {
        'base = "../../rstar_fast/embedded/base"': f'base = "{base_path()}"',
        "graded:train:80": f"graded:train:{per_level}",
        "countdown:train:150:3-4": f"countdown:train:{per_level}:3-4",
        "equations:train:50": f"equations:train:{per_level}",
        "graded:held_out:168": "graded:held_out:4",
        "graded:reworded:168": "graded:reworded:4",
        "countdown:held_out:250:3-4": "countdown:held_out:8:3-4",
        "equations:held_out:100": "equations:held_out:4",
        "greedy = 1006": "greedy = 40",
        "problems = 400": "problems = 30",
    }
    for old, new in shrunk.items():
        if old not in text:
            raise SystemExit(f"evolve.toml: expected {old!r}")
        text = text.replace(old, new)
    return "[[rounds]]".join(text.split("[[rounds]]")[: rounds + 1])


def command(config: Path, run: Path) -> "subprocess.Popen[bytes]":
    """Start the command of a run, which goes on where the run was stopped."""
    line = [
        sys.executable,
        "-m",
        "rstar_fast",
        "evolve",
        "--config",
        str(config),
        "--out",
        str(run),
        "--workers",
        "1",
        "--unconfined",
    ]
    with (run.parent / f"{run.name}.log").open("ab") as log:
        return subprocess.Popen(line, stdout=log, stderr=log)


def kill_each(
    config: Path, unbroken: Path, run: Path, stages: list[Stage], draw: random.Random
) -> Counter[str]:
    """Do the run to its end, and kill each stage once. Returns the stages that were killed."""
    kills: Counter[str] = Counter()
    for i, stage in enumerate(stages):
        manifest = read_manifest(unbroken / stage.name)
        assert manifest is not None
        moment = manifest["seconds"] * draw.uniform(0.1, 0.9)
        process = command(config, run)
        child = child_of(process, stage)
        if child is None:
            continue
        time.sleep(moment)
        try:
            os.kill(child if i % 2 else process.pid, signal.SIGKILL)
        except ProcessLookupError:
            # The stage was faster this time. The table shows it as not killed.
            process.kill()
        process.wait()
        kills[stage.name] = read_manifest(run / stage.name) is None
        hit = "the stage" if i % 2 else "the command"
        print(f"{stage.name}: killed {hit} {moment:.1f} s after the stage began", flush=True)
    if command(config, run).wait():
        raise SystemExit(f"{run}: the run did not end well")
    return kills


def child_of(process: "subprocess.Popen[bytes]", stage: Stage) -> int | None:
    """Wait for the process of a stage and return its id. None if the command ends before it."""
    while process.poll() is None:
        # A process may end while it is looked at.
        with suppress(OSError):
            for server in children(process.pid):
                for child in children(server):
                    # The kernel keeps the end of the stage's name.
                    if Path(f"/proc/{child}/comm").read_text().strip() == stage.name[-15:]:
                        return child
        time.sleep(0.01)
    return None


def children(pid: int) -> list[int]:
    """Return the ids of the processes that the first thread of a process has started."""
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def compare(one: Path, other: Path, kind: str) -> str:
    """Return in words how the results of a stage differ between two runs."""
    if kind == "search":
        return compare_trees(trees(one), trees(other))
    if (one / "model.safetensors").exists():
        difference = largest_difference(one, other)
        return "equal weights" if difference == 0 else f"weights up to {difference:.0e} apart"
    if kind == "data":
        names = sorted(path.name for path in one.glob("*.jsonl"))
        return (
            "equal rows"
            if all(near(read_rows(one / name), read_rows(other / name)) for name in names)
            else "DIFFERS"
        )
    return (
        "equal bytes"
        if (one / "results.json").read_bytes() == (other / "results.json").read_bytes()
        else "DIFFERS"
    )


def trees(folder: Path) -> dict[str, Any]:
    """Return the trees of a search as plain values, without their log-probabilities."""
    with RunFolder.read(folder) as run:
        return {
            tree.problem.key: [asdict(replace(node, logprob_bytes=b"")) for node in tree.nodes]
            for tree in run.trees()
        }


def compare_trees(some: dict[str, Any], others: dict[str, Any]) -> str:
    """Return in words how many trees differ, and the first two steps that do."""
    differing = [
        key for key in some.keys() | others.keys() if not near(some.get(key), others.get(key))
    ]
    if not differing:
        return "equal trees"
    key = min(differing)
    steps = ([node["step"] for node in side.get(key, [])] for side in (some, others))
    apart = next(((one, other) for one, other in zip_longest(*steps) if one != other), None)
    how = f"{apart[0]!r}, {apart[1]!r}" if apart else "equal steps"
    return f"DIFFERS in {len(differing)} of {len(some)} trees; {key}: {how}"


def near(one: Any, other: Any) -> bool:
    """Return whether two values are equal, floats to within a thousandth."""
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) < 1e-3
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(near(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(near, one, other))
    return bool(one == other)


def largest_difference(one: Path, other: Path) -> float:
    """Return the largest difference between the weights of two models."""
    weights, others = (load_file(folder / "model.safetensors") for folder in (one, other))
    if weights.keys() != others.keys():
        return float("inf")
    return max(
        float((weights[name].double() - others[name].double()).abs().max()) for name in weights
    )


if __name__ == "__main__":
    sys.exit(main())
