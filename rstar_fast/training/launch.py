"""Training by a command, for `accelerate launch` on several GPUs (configurations: `evolve/accelerate/*.yaml`).

python -m rstar_fast.training.launch policy --model BASE --rows sft.jsonl --out DIR --preset paper-policy
python -m rstar_fast.training.launch ppm --model POLICY --rows pairs.jsonl --out DIR --preset paper-ppm --set seed=1
"""

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rstar_fast.data.rows import read_rows
from rstar_fast.errors import ConfigError
from rstar_fast.training.config import TRAIN_PRESETS, TrainConfig

KINDS = ("policy", "ppm", "orm", "pqm")


def main(arguments: Sequence[str] | None = None) -> None:
    """Train one model and print the report as a line of JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument(
        "--model", required=True, help="the base model of a policy; the policy of a PPM"
    )
    parser.add_argument("--rows", required=True, help="JSONL or parquet file of training data")
    parser.add_argument("--out", required=True, help="folder to write")
    parser.add_argument("--preset", required=True, help=", ".join(TRAIN_PRESETS))
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="OPTION=VALUE", help="changes to the preset"
    )
    parser.add_argument("--report-to", nargs="+", default=[], help="tensorboard, wandb, ...")
    args = parser.parse_args(arguments)
    config = TrainConfig.preset(args.preset, **dict(map(_setting, args.set)))
    rows = read_rows(args.rows)
    report: Any
    if args.kind == "policy":
        from rstar_fast.training.train_policy import train_policy

        report = train_policy(args.model, rows, args.out, config, args.report_to)
    else:
        from rstar_fast.training.train_ppm import train_ppm

        report = train_ppm(args.model, rows, args.out, config, args.kind, args.report_to)
    if os.environ.get("RANK", "0") == "0":
        print(json.dumps(asdict(report)))


def _setting(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"--set: expected OPTION=VALUE, got {text!r}")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


if __name__ == "__main__":
    main()
