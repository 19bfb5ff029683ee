"""Makes the embedded models: `python -m rstar_fast.embedded.train --out DIR` (about 15 minutes on one core).

Four stages, each a folder of DIR: `beginner` learns the problems from nothing, `base` learns on until it solves most of them;
`policy` is the base with a bad habit, learnt from careless solutions; `ppm` is the base turned into a judge of steps.
"""

import argparse
from pathlib import Path

import torch

from rstar_fast.embedded.train_policy import train_policy
from rstar_fast.embedded.train_ppm import train_ppm


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    torch.set_num_threads(1)
    train_policy(out / "beginner", num_steps=700, seed=0)
    train_policy(out / "base", num_steps=600, seed=1, start=out / "beginner")
    train_policy(out / "policy", num_steps=150, seed=2, start=out / "base", habit=True)
    train_ppm(out / "ppm", num_steps=300, seed=3, start=out / "base")


if __name__ == "__main__":
    main()
