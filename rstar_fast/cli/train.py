"""The command `rstar-fast train`: a policy, a PPM or a baseline from rows of training data."""

import argparse
import json
from dataclasses import asdict

from rich.console import Console

from rstar_fast.cli.console import Exit
from rstar_fast.cli.options import add_settings, parse_settings
from rstar_fast.training.config import TRAIN_PRESETS, TrainConfig, is_first_process
from rstar_fast.training.train import KINDS, train_model

DESCRIPTION = "Train one model on rows of training data, and print its report as one line of JSON."
_EPILOG = """\
examples:
  rstar-fast train policy --model BASE --rows sft.jsonl --out policy --preset paper-policy
  rstar-fast train ppm --model policy --rows pairs.jsonl --out ppm --preset paper-ppm --set seed=1
  accelerate launch --config_file FSDP.yaml -m rstar_fast train policy --model BASE ...

Configurations of accelerate are in rstar_fast/training/accelerate/. The options of --set are those
of `rstar_fast.training.TrainConfig`."""


def epilog() -> str:
    """Return the text after the options."""
    return _EPILOG


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add = parser.add_argument
    add("kind", choices=KINDS, help="policy, ppm, or one of the PPM's baselines")
    add("--model", required=True, metavar="DIR", help="base of a policy, or policy of a PPM")
    add("--rows", required=True, metavar="F", help="JSONL or parquet file of training data")
    add("--fit-rows", metavar="F", help="held-out pairs to fit the weight of likelihood on")
    add("--out", required=True, metavar="DIR", help="folder to write")
    add("--preset", required=True, metavar="P", help=", ".join(TRAIN_PRESETS))
    add_settings(parser, "changes to the preset")
    add(
        "--report-to",
        nargs="+",
        default=[],
        metavar="NAME",
        help="where losses go: tensorboard, wandb, ...",
    )


def run(args: argparse.Namespace, console: Console) -> int:
    """Train the model and print its report."""
    from rstar_fast.data import read_rows

    config = TrainConfig.preset(args.preset, **parse_settings(args.set))
    rows = read_rows(args.rows)
    fit_rows = read_rows(args.fit_rows) if args.fit_rows else None
    report = train_model(args.kind, args.model, rows, args.out, config, args.report_to, fit_rows)
    if is_first_process():
        console.print(json.dumps(asdict(report)), soft_wrap=True)
    return Exit.OK
